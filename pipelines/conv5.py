"""5x5 convolutions without padding, pooling or stride, for a GPU: one of the three networks of An et al.

    make train PIPELINE=conv5

Published: 0.9987 on MNIST's test set, by majority vote with two other kernel sizes (arXiv 2008.10400). This figure is too
high, because the best epoch was selected on the same test set. Deviations: a one-cycle schedule of 24 epochs instead of 150
epochs of Adam; label smoothing, shear and elastic deformation are added.

Out of fold 0.99583 (0.99517 to 0.99641) in 346 s in parallel with conv7 and strided on one H100, JAX backend, 2026-11-22.
"""

from digit_recognizer.experiment import Augmentation, Experiment, Schedule
from digit_recognizer.models import networks

EXPERIMENT = Experiment(
    network=networks.all_convolutional,
    network_options={"kernel": 5, "widths": (32, 64, 96, 128, 160)},
    seeds=(0, 1),
    epochs=24,
    validate_every=6,
    batch_size=128,
    optimizer="adamw",
    learning_rate=3e-3,
    weight_decay=0.02,
    label_smoothing=0.05,
    schedule=Schedule("one_cycle"),
    ema=0.998,
    augmentation=Augmentation(rotation=15, zoom=0.12, shear=8, shift=0.1, elastic=0.6),
)
