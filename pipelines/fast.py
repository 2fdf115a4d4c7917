"""A small network for two CPU cores: the default.

    make train PIPELINE=fast

The inner 24x24 pixels, strided 3x3 convolutions with standardised kernels instead of batch normalisation, global average
pooling; one-cycle AdamW, label smoothing, averaged weights (EMA). From the third epoch on, 60 % of each batch are hard
examples: images of the tenth with the highest loss. The weights of the last epoch are kept. Two of the five models get digits
that are scaled to 20x20 pixels (Ciresan et al., arXiv 1202.2745): they make other errors, so that the average has fewer.
docs/journal.md has the experiments.

Out of fold 0.99519 (0.99448 to 0.99581), each image predicted by one model, in 2 min 46 s on two cores of an AMD EPYC (Zen 4),
2026-11-27. A submission averages the five models: 0.99614 (0.99550 to 0.99669), rehearsed on all six parts.
"""

from typing import Any

from digit_recognizer.experiment import Augmentation, Experiment, Schedule
from digit_recognizer.models import networks

EXPERIMENT = Experiment(
    network=networks.strided_cnn,
    network_options={"border": 2, "stages": ((16,), (32, 32), (64, 64), (128, 128)), "normalize": "weights", "dropout": 0.1},
    digit_widths=(0, 20),
    epochs=4,
    validate_every=3,
    batch_size=128,
    hard_examples=0.6,
    optimizer="adamw",
    learning_rate=8e-3,
    weight_decay=0.01,
    label_smoothing=0.05,
    schedule=Schedule("one_cycle"),
    ema=0.99,
    augmentation=Augmentation(rotation=10, zoom=0.1, shear=4, shift=0.05, elastic=0.3),
)

# Length of training, as a multiple of this one -> rehearsed accuracy, and the number of images: one, two, four and eight seeds.
CURVE = {1.0: (0.99609, 21_000), 2.0: (0.99614, 21_000), 4.0: (0.99624, 21_000), 8.0: (0.99629, 21_000)}


def suggest(trial: Any) -> dict[str, Any]:
    """Return the settings of a trial: all but the network's size, which determines the time."""
    return {
        "network_options.dropout": trial.suggest_float("network_options.dropout", 0.0, 0.3),
        "learning_rate": trial.suggest_float("learning_rate", 2e-3, 3e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-3, 0.1, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [64, 128, 256]),
        "hard_examples": trial.suggest_float("hard_examples", 0.0, 0.7),
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.15),
        "schedule.warmup": trial.suggest_float("schedule.warmup", 0.05, 0.5),
        "ema": trial.suggest_float("ema", 0.9, 0.999),
        "augmentation.rotation": trial.suggest_float("augmentation.rotation", 5.0, 20.0),
        "augmentation.zoom": trial.suggest_float("augmentation.zoom", 0.0, 0.2),
        "augmentation.shift": trial.suggest_float("augmentation.shift", 0.0, 0.15),
        "augmentation.elastic": trial.suggest_float("augmentation.elastic", 0.0, 1.5),
    }
