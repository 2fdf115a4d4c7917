"""One convolution with 16 filters and a dense layer of 128 units with dropout.

    make train PIPELINE=small_cnn

Published: 0.9916 on MNIST's test set. Deviations: five stratified folds of the competition's 42,000 images; in the original, a
fifth of MNIST's 60,000 images is held out.

Out of fold 0.98440 (0.98317 to 0.98555) in 5 minutes on one core, 2026-11-24.
"""

from digit_recognizer.experiment import Experiment
from digit_recognizer.models import networks

EXPERIMENT = Experiment(
    network=networks.small_cnn,
    epochs=10,
    batch_size=200,
    optimizer="adam",
    published="0.9916",
)
