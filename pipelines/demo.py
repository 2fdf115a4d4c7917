"""The pipeline of `make demo`: a small network for the bundled digits.

    make demo

The network of `tutorial_cnn_deep` with augmentation and a one-cycle schedule, trained on 1,437 images of 8x8 pixels.
"""

from digit_recognizer.experiment import Augmentation, Experiment, Schedule
from digit_recognizer.models import networks

EXPERIMENT = Experiment(
    network=networks.tutorial_cnn,
    network_options={"deep": True},
    epochs=12,
    validate_every=4,
    batch_size=32,
    optimizer="adamw",
    learning_rate=3e-3,
    weight_decay=0.01,
    schedule=Schedule("one_cycle"),
    augmentation=Augmentation(rotation=10, zoom=0.1, shift=0.05),
)
