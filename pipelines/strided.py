"""Strided 3x3 convolutions that keep the full size for one layer, for a GPU.

make train PIPELINE=strided
"""

from digit_recognizer import models
from digit_recognizer.experiment import Augmentation, Experiment, Schedule

EXPERIMENT = Experiment(
    network=models.strided_cnn,
    network_options={"patch": 1, "stages": ((32,), (64, 64), (128, 128), (192, 192))},
    seeds=(0, 1),
    epochs=30,
    validate_every=6,
    batch_size=128,
    optimizer="adamw",
    learning_rate=8e-3,
    weight_decay=0.01,
    label_smoothing=0.05,
    schedule=Schedule("one_cycle"),
    ema=0.99,
    augmentation=Augmentation(rotation=15, zoom=0.12, shear=8, shift=0.1, elastic=0.6),
)
