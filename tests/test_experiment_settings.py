"""Settings are frozen, typed and within their limits."""

import dataclasses

import pytest

from digit_recognizer.experiment import (
    Augmentation,
    Checkpoint,
    EarlyStopping,
    Experiment,
    ReduceLROnPlateau,
    Schedule,
)
from digit_recognizer.models import networks

BASE = Experiment(network=networks.mlp)


def test_experiment_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        BASE.epochs = 3
    assert dataclasses.replace(BASE, epochs=3).epochs == 3


@pytest.mark.parametrize(
    ("part", "settings", "message"),
    [
        (Experiment, {"network": networks.mlp, "epochs": 0}, "epochs=0: must be from 1"),
        (Experiment, {"network": networks.mlp, "epochs": 1.5}, "epochs=1.5: must be a whole number"),
        (Experiment, {"network": networks.mlp, "epochs": True}, "epochs=True"),
        (Experiment, {"network": networks.mlp, "folds": 1}, "folds=1: must be from 2"),
        (Experiment, {"network": networks.mlp, "learning_rate": float("nan")}, "learning_rate=nan"),
        (Experiment, {"network": networks.mlp, "learning_rate": "high"}, "learning_rate='high': must be a number"),
        (Experiment, {"network": networks.mlp, "optimizer": "lion"}, "optimizer='lion': must be one of 'adam'"),
        (Experiment, {"network": networks.mlp, "seeds": ()}, r"seeds=\(\)"),
        (Experiment, {"network": networks.mlp, "seeds": (1, 1)}, "different whole numbers"),
        (Experiment, {"network": networks.mlp, "seeds": (0, "x")}, "seeds="),
        (Experiment, {"network": networks.mlp, "ema": 1}, "ema=1"),
        (Experiment, {"network": networks.mlp, "weight_decay": 0.1}, "weight_decay=0.1 needs optimizer='adamw'"),
        (
            Experiment,
            {"network": networks.mlp, "validate_every": 2, "keep": "best_val_loss"},
            "validate_every must be 1 for keep, early_stopping, ",
        ),
        (
            Experiment,
            {"network": networks.mlp, "reduce_lr_on_plateau": ReduceLROnPlateau(), "schedule": Schedule("one_cycle")},
            "both would set the learning rate",
        ),
        (Experiment, {}, "network: give either a network or members"),
        (Experiment, {"network": networks.mlp, "members": ("a",)}, "network: give either a network or members"),
        (Experiment, {"network": "mlp"}, "network='mlp'"),
        (Augmentation, {"rotation": -1}, "rotation=-1"),
        (Augmentation, {"engine": "fast"}, "engine='fast': must be one of 'batched', 'albumentations'"),
        (Augmentation, {"transforms": (("Blur", {}),)}, "transforms need engine='albumentations'"),
        (Augmentation, {"elastic": 1.0, "engine": "albumentations"}, "elastic needs engine='batched'"),
        (Schedule, {"kind": "step"}, "kind='step'"),
        (EarlyStopping, {"monitor": "loss"}, "monitor='loss'"),
        (EarlyStopping, {"patience": 0}, "patience=0"),
        (ReduceLROnPlateau, {"factor": 1.0}, "factor=1.0"),
        (Checkpoint, {"every_improvement": 1}, "every_improvement=1: must be True or False"),
    ],
)
def test_invalid_setting_is_refused_with_its_name(part, settings, message):
    with pytest.raises(ValueError, match=message):
        part(**settings)


def test_whole_number_becomes_a_float_in_a_float_field():
    assert isinstance(dataclasses.replace(BASE, learning_rate=1).learning_rate, float)
