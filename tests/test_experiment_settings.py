"""Settings are frozen, typed and within their limits."""

import contextlib
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


# Each setting with its smallest and largest value.
LIMITS = {
    Experiment: {
        "folds": (2, 100),
        "fold_seed": (0, 2**31),
        "epochs": (1, 100_000),
        "steps_per_epoch": (0, 10**9),
        "validate_every": (1, 100_000),
        "measure_every": (0, 10**9),
        "batch_size": (1, 65_536),
        "hard_examples": (0, 0.99),
        "learning_rate": (1e-12, 100),
        "momentum": (0, 0.99999),
        "weight_decay": (0, 10),
        "label_smoothing": (0, 0.99),
        "ema": (0, 0.999999),
        "threads": (1, 1024),
    },
    Augmentation: {
        "rotation": (0, 180),
        "zoom": (0, 0.9),
        "shear": (0, 60),
        "shift": (0, 0.9),
        "elastic": (0, 10),
        "elastic_smoothing": (0.5, 50),
    },
    Schedule: {"decay": (1e-6, 1), "warmup": (0, 0.95), "final": (0, 1)},
    EarlyStopping: {"patience": (1, 10_000)},
    ReduceLROnPlateau: {"patience": (1, 10_000), "factor": (1e-6, 0.999999), "min_learning_rate": (0, 10)},
}


@pytest.mark.parametrize(
    ("part", "name", "low", "high"), [(part, name, *limits) for part, all_ in LIMITS.items() for name, limits in all_.items()]
)
def test_setting_may_have_its_smallest_and_largest_value_and_none_beyond(part, name, low, high):
    base = {"network": networks.mlp, "optimizer": "sgd"} if part is Experiment else {}
    whole = isinstance(high, int) and isinstance(getattr(part(**base), name), int)
    for value in (low, high):
        assert getattr(part(**base, **{name: value}), name) == value
    for value in (low - 1, high + 1) if whole else (low - 1e-7, high + 1e-7):
        with pytest.raises(ValueError, match=f"^{name}={value!r}: must be from {low} to {high}$"):
            part(**base, **{name: value})


@pytest.mark.parametrize(("optimizer", "allowed"), [("adam", False), ("adamw", True), ("sgd", True), ("rmsprop", False)])
def test_weight_decay_is_only_for_optimizers_that_have_it(optimizer, allowed):
    assert dataclasses.replace(BASE, optimizer=optimizer).weight_decay == 0
    with contextlib.nullcontext() if allowed else pytest.raises(ValueError, match="needs optimizer='adamw' or 'sgd'"):
        dataclasses.replace(BASE, optimizer=optimizer, weight_decay=0.1)


@pytest.mark.parametrize(
    "settings",
    [
        {"keep": "best_val_accuracy"},
        {"early_stopping": EarlyStopping()},
        {"reduce_lr_on_plateau": ReduceLROnPlateau()},
        {"checkpoint": Checkpoint()},
    ],
)
def test_setting_that_uses_each_validation_needs_one_in_each_epoch(settings):
    assert dataclasses.replace(BASE, **settings).validate_every == 1
    with pytest.raises(ValueError, match="validate_every must be 1"):
        dataclasses.replace(BASE, validate_every=2, **settings)
    assert dataclasses.replace(BASE, validate_every=2).keep == "last"


@pytest.mark.parametrize("name", ["seeds", "drop_rows"])
def test_seeds_and_dropped_rows_are_different_whole_numbers_from_0(name):
    assert getattr(dataclasses.replace(BASE, **{name: (1, 0)}), name) == (1, 0)
    for wrong in ((0, 0), (-1,), (0, -1)):
        with pytest.raises(ValueError, match=f"^{name}.*different whole numbers from 0"):
            dataclasses.replace(BASE, **{name: wrong})


def test_whole_number_becomes_a_float_in_a_float_field():
    assert isinstance(dataclasses.replace(BASE, learning_rate=1).learning_rate, float)
