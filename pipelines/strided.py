"""3x3 convolutions, some with stride 2, after one layer on all 28x28 pixels; for a GPU.

    make train PIPELINE=strided

Out of fold 0.99600 (0.99535 to 0.99656) in 394 s in parallel with conv5 and conv7 on one H100, JAX backend, 2026-11-22.
"""

from typing import Any

from digit_recognizer.experiment import Augmentation, Experiment, Schedule
from digit_recognizer.models import networks

EXPERIMENT = Experiment(
    network=networks.strided_cnn,
    network_options={"stages": ((32,), (64, 64), (128, 128), (192, 192))},
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


def suggest(trial: Any) -> dict[str, Any]:
    """Return the settings of a trial."""
    return {
        "network_options.width": trial.suggest_float("network_options.width", 0.5, 1.5, step=0.25),
        "network_options.extra_layers": trial.suggest_int("network_options.extra_layers", 0, 2),
        "network_options.dropout": trial.suggest_float("network_options.dropout", 0.0, 0.4),
        "learning_rate": trial.suggest_float("learning_rate", 2e-3, 3e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-3, 0.1, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [64, 128, 256]),
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.15),
        "schedule.warmup": trial.suggest_float("schedule.warmup", 0.05, 0.5),
        "ema": trial.suggest_float("ema", 0.9, 0.999),
        "augmentation.rotation": trial.suggest_float("augmentation.rotation", 5.0, 25.0),
        "augmentation.zoom": trial.suggest_float("augmentation.zoom", 0.0, 0.25),
        "augmentation.shear": trial.suggest_float("augmentation.shear", 0.0, 15.0),
        "augmentation.shift": trial.suggest_float("augmentation.shift", 0.0, 0.15),
        "augmentation.elastic": trial.suggest_float("augmentation.elastic", 0.0, 1.5),
    }
