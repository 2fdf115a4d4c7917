"""One dense layer of 256 units: a baseline without convolutions.

    make train PIPELINE=mlp

Published: 0.9775 on MNIST's test set. Deviations: five stratified folds of the competition's 42,000 images; in the original, a
fifth of MNIST's 60,000 images is held out.

Out of fold 0.97071 (0.96906 to 0.97228) in 2 minutes on one core, 2026-11-24.
"""

from digit_recognizer.experiment import Experiment
from digit_recognizer.models import networks

EXPERIMENT = Experiment(
    network=networks.mlp,
    epochs=10,
    batch_size=200,
    optimizer="adam",
    published="0.9775",
)
