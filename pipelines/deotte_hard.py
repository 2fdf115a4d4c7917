"""The network of `deotte`, trained in half its epochs with hard examples: a member of `flagship`.

    make train PIPELINE=deotte_hard

Its batch normalisation, dropout and flattened maps err elsewhere than `fast`. docs/journal.md has the comparisons.

Out of fold 0.99576 (0.99509 to 0.99634) in 43 minutes, beside test runs, on two cores of an AMD EPYC (Zen 4, bfloat16),
2026-11-26.
"""

from digit_recognizer import models
from digit_recognizer.experiment import Augmentation, Experiment, Schedule

EXPERIMENT = Experiment(
    network=models.deotte_cnn,
    epochs=24,
    validate_every=6,
    batch_size=128,
    hard_examples=0.5,
    optimizer="adamw",
    learning_rate=4e-3,
    weight_decay=0.01,
    schedule=Schedule("one_cycle"),
    ema=0.99,
    augmentation=Augmentation(rotation=10, zoom=0.1, shift=0.1),
)
