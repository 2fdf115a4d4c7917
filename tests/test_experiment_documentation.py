"""The list of settings with type, default, value and meaning."""

import dataclasses

import pytest

from digit_recognizer import experiment
from digit_recognizer.experiment import (
    Augmentation,
    Checkpoint,
    EarlyStopping,
    Experiment,
    ReduceLROnPlateau,
    Schedule,
    override,
    parse_settings,
)
from digit_recognizer.experiment.documentation import comments, describe_settings
from digit_recognizer.models.networks import mlp


@pytest.mark.parametrize("kind", [Experiment, Augmentation, Schedule, EarlyStopping, ReduceLROnPlateau, Checkpoint])
def test_every_setting_has_a_meaning_of_one_line(kind):
    parts = {"schedule", "augmentation"}
    for field in dataclasses.fields(kind):
        meaning = comments(kind)[field.name]
        assert field.name in parts or 5 < len(meaning) < 130, f"{kind.__name__}.{field.name}: {meaning!r}"


def test_setting_shows_default_and_the_pipelines_value():
    mine = Experiment(network=mlp, epochs=3, augmentation=Augmentation(rotation=15), early_stopping=EarlyStopping())
    found = {setting.name: setting for setting in describe_settings(mine)}
    assert found["epochs"][1:4] == ("int", 10, 3)
    assert found["seeds"][1:4] == ("list of int", [0], [0])
    assert found["augmentation.rotation"][1:4] == ("float", 0.0, 15.0)
    assert found["optimizer"].type == "adam or adamw or sgd or rmsprop"
    assert found["network"].value == "digit_recognizer.models.networks.mlp"
    assert found["early_stopping.patience"][1:4] == ("int", 10, 10)
    assert found["checkpoint"][1:4] == ("Checkpoint or None", None, None)


def test_listed_names_can_be_set():
    mine = experiment.load("fast").experiment
    for setting in describe_settings(mine):
        if setting.type in ("int", "float"):
            override(mine, parse_settings(f"{setting.name}={setting.value}"))
