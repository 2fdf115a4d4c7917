"""Comparison of two runs image by image, on the training images that both have predicted out of fold."""

from collections.abc import Sequence

import numpy as np

from digit_recognizer import metrics
from digit_recognizer.data import dataset
from digit_recognizer.errors import UserError
from digit_recognizer.metrics import Comparison
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.run import Run, read_run
from digit_recognizer.workspace import Workspace


def common_rows(runs: Sequence[Run]) -> np.ndarray:
    """Return the rows that every run has predicted out of fold, int64.

    Raises:
        UserError: there are no such rows.
    """
    predicted = np.all([metrics.predicted_rows(run.probabilities) for run in runs], axis=0)
    if not predicted.any():
        names = ", ".join(run.name for run in runs)
        raise UserError(f"{names}: no training image is predicted by all of them: train the same FOLDS of each")
    return np.flatnonzero(predicted)


def compare_runs(first: str, second: str, workspace: Workspace) -> Comparison:
    """Compare two runs on the training images that both have predicted out of fold.

    Raises:
        UserError: one of them can't be read, or they have no image in common.
    """
    data = dataset.load_dataset(workspace)
    runs = [read_run(RunFolder.of(workspace, name), data) for name in (first, second)]
    rows = common_rows(runs)
    return metrics.compare(data.labels[rows], *(run.predictions[rows] for run in runs))
