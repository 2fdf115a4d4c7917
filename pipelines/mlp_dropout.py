"""Two dense layers of 256, each with dropout 0.5.

    make train PIPELINE=mlp_dropout

Published: no figure. Deviations: this project's five stratified folds of the competition's 42,000 images instead of a fifth
of MNIST's 60,000 held out.
"""

from digit_recognizer import models
from digit_recognizer.experiment import Experiment

EXPERIMENT = Experiment(
    network=models.mlp,
    network_options={"hidden": (256, 256), "dropout": 0.5},
    epochs=10,
    batch_size=200,
    optimizer="adam",
)
