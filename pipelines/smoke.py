"""A small network that trains in seconds, for tests and for trying out an idea.

    make train PIPELINE=smoke

Two folds and two epochs, with augmentation, a one-cycle schedule and averaged weights (EMA).
"""

from digit_recognizer.experiment import Augmentation, Experiment, Schedule
from digit_recognizer.models import networks

EXPERIMENT = Experiment(
    network=networks.browser_cnn,
    folds=2,
    epochs=2,
    batch_size=64,
    optimizer="adamw",
    learning_rate=5e-3,
    schedule=Schedule("one_cycle"),
    ema=0.9,
    augmentation=Augmentation(rotation=10, zoom=0.1, shift=0.05),
)
