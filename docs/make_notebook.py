"""Write docs/kaggle-notebook.ipynb; its text and code are below.

    .venv/bin/python docs/make_notebook.py

tests/test_notebook.py executes it in an environment like Kaggle's.
"""

from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

NOTEBOOK = Path(__file__).resolve().with_name("kaggle-notebook.ipynb")

TEXT, CODE = new_markdown_cell, new_code_cell
CELLS = [
    (
        TEXT,
        """
# Handwritten digits: from the data to a submission

This notebook trains five small convolutional networks by cross-validation, shows where they are wrong, averages them and
writes `submission.csv`. It takes some minutes and needs no GPU and no internet access.

Before you run it, in the panel on the right:

1. *Add Input*: the competition **Digit Recognizer**.
2. *Add Input*, then *Upload*: the wheel of the digit-recognizer project, as a dataset. `pip wheel --no-deps .` in the
   project's folder builds it.
3. *Session options*: a GPU if you want to train the larger pipelines; `fast` does not need one.
""",
    ),
    (
        TEXT,
        """
## 1. Install

`--no-deps` makes sure that TensorFlow and the other libraries of Kaggle's image are not changed.
""",
    ),
    (
        CODE,
        """
from pathlib import Path

wheel = max(Path("/kaggle/input").rglob("digit_recognizer-*.whl"))
%pip install --quiet --no-deps {wheel}
""",
    ),
    (
        CODE,
        """
!digit-recognizer --version
""",
    ),
    (
        TEXT,
        """
## 2. The data

The command finds the competition's files in the folder and its subfolders, checks every cell and writes the data to `input/`
in the current folder. All other commands read it there.
""",
    ),
    (
        CODE,
        """
!digit-recognizer data --source=/kaggle/input
""",
    ),
    (
        TEXT,
        """
Each row of `train.csv` is one image: the label, then 28 x 28 = 784 grey values from 0 (paper) to 255 (ink).
""",
    ),
    (
        CODE,
        """
%matplotlib inline
import matplotlib.pyplot as plt
import pandas as pd

train = pd.read_csv("input/train.csv", nrows=20)
figure, axes = plt.subplots(2, 10, figsize=(10, 2.4))
for row, axis in enumerate(axes.flat):
    axis.imshow(train.iloc[row, 1:].to_numpy().reshape(28, 28), cmap="gray_r")
    axis.set_title(train.label[row])
    axis.axis("off")
""",
    ),
    (
        TEXT,
        """
## 3. Train

The training images are divided into five parts, called *folds*. Each of the five models is trained on four folds and
predicts the fifth, on which it was not trained. The accuracy of all these predictions together is the *out-of-fold
accuracy*. It estimates how accurate a single model is on new images.

`fast` is the name of a *pipeline*: a file with all settings of an experiment. `!digit-recognizer pipelines` lists the others.
If the notebook is interrupted, the same command resumes the training.
""",
    ),
    (
        CODE,
        """
!digit-recognizer train --pipeline=fast
""",
    ),
    (
        TEXT,
        """
## 4. Look at the errors

The report shows the confusion matrix (select a cell to see its images), the learning curves, the most confident errors, and
labels that may be wrong.
""",
    ),
    (
        CODE,
        """
!digit-recognizer report --pipeline=fast
""",
    ),
    (
        CODE,
        """
import html

from IPython.display import HTML

report = html.escape(Path("runs/fast/report.html").read_text(encoding="utf-8"))
HTML(f'<div><iframe srcdoc="{report}" width="100%" height="800" style="border: 1px solid silver"></iframe></div>')
""",
    ),
    (
        TEXT,
        """
## 5. Average the models

Each of the five models predicts the 28,000 test images. The average of their predictions is usually more accurate than a
single model, because their errors differ. So expect a score above the out-of-fold accuracy.
""",
    ),
    (
        CODE,
        """
!digit-recognizer ensemble --pipeline=fast
""",
    ),
    (
        TEXT,
        """
## 6. Submit

Kaggle accepts a file `submission.csv` in the notebook's output. Choose *Save Version*, *Save & Run All*. When this has
finished, open the version's *Output* tab and choose *Submit*.
""",
    ),
    (
        CODE,
        """
import shutil

shutil.copy("submissions/fast.csv", "submission.csv")
pd.read_csv("submission.csv").head()
""",
    ),
    (
        TEXT,
        """
## What next?

- Change a setting and compare the two runs image by image:
  `!digit-recognizer train --run=rotate --set="augmentation.rotation=15"`, then `!digit-recognizer compare fast rotate`.
- `!digit-recognizer settings fast` explains every setting.
- With a GPU, `!digit-recognizer train --pipeline=flagship_gpu` trains three larger networks, and
  `!digit-recognizer ensemble --pipeline=flagship_gpu` blends them.
- Train for 30 minutes: `!digit-recognizer train --run=half_hour --minutes=30`.
""",
    ),
]


def make_notebook() -> NotebookNode:
    """Return the notebook, without outputs. Cells have fixed ids, so that the same text gives the same file."""
    cells = [new_cell(source.strip(), id=f"cell-{number}") for number, (new_cell, source) in enumerate(CELLS, 1)]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


if __name__ == "__main__":
    nbformat.write(make_notebook(), NOTEBOOK)
