"""Changes to settings."""

import dataclasses
import json

import pytest

from digit_recognizer import experiment
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import (
    EarlyStopping,
    Experiment,
    differences,
    override,
    parse_settings,
)
from digit_recognizer.experiment.changes import merged
from digit_recognizer.models import networks

BASE = Experiment(network=networks.mlp)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"network_options": {"hidden": (8,)}}, {"network_options.dropout": 0.5}),
        ({"network_options.dropout": 0.5}, {"network_options": {"hidden": (8,)}}),
        ({"epochs": 3, "augmentation.rotation": 5}, {"epochs": 4, "augmentation.zoom": 0.1}),
    ],
)
def test_merged_changes_equal_both_changes_in_turn(first, then):
    assert override(BASE, merged(first, then)) == override(override(BASE, first), then)


def test_set_overrides_nested_fields_too():
    changes = parse_settings("epochs=2 augmentation.rotation=15 network_options.hidden=(8,) seeds=[0,1] optimizer=sgd")
    changed = override(BASE, changes)
    assert (changed.epochs, changed.augmentation.rotation, changed.optimizer) == (2, 15.0, "sgd")
    assert changed.network_options == {"hidden": (8,)}
    assert changed.seeds == (0, 1)
    assert override(BASE, {"seeds": 3}).seeds == (3,)
    assert BASE.epochs != 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs", "'epochs' is not of the form setting=value"),
        ("epochs = 2", "not of the form setting=value"),
        ("=2", "not of the form"),
        ("epoch=2", "epoch: there is no such setting; did you mean epochs?"),
        ("xyz=2", "xyz: there is no such setting; `digit-recognizer settings` lists all"),
        ("augmentation.rotate=2", "augmentation.rotate: there is no such setting; did you mean augmentation.rotation?"),
        ("rotation=10", "rotation: there is no such setting; did you mean augmentation.rotation?"),
        ("epochs=many", "^epochs='many': must be a whole number"),
        ("early_stopping.patience=3", "this pipeline has early_stopping=None; set early_stopping in a pipeline file"),
        ("epochs.x=3", "this pipeline has epochs=10; set epochs in a pipeline file"),
        ("augmentation=3", "augmentation=3: must be Augmentation"),
    ],
)
def test_wrong_set_is_refused_in_one_line(text, message):
    with pytest.raises(UserError, match=message) as refused:
        override(BASE, parse_settings(text))
    assert "\n" not in str(refused.value)


def test_differences_name_each_changed_setting_with_its_old_and_new_value():
    before = {"epochs": 3, "keep": "last", "schedule": {"kind": "constant", "final": 0.01}, "early_stopping": None, "gone": 1}
    now = {"epochs": 4, "keep": "last", "schedule": {"kind": "one_cycle", "final": 0.01}, "early_stopping": {"patience": 3}}
    assert differences(before, now) == [
        "epochs: 3 -> 4",
        "schedule.kind: 'constant' -> 'one_cycle'",
        "early_stopping: None -> {'patience': 3}",
        "gone: 1 -> None",
    ]
    assert differences(now, now) == []


def test_settings_are_json():
    found = experiment.settings_json(
        dataclasses.replace(BASE, early_stopping=EarlyStopping(), network_options={"hidden": (8,)})
    )
    assert json.loads(json.dumps(found)) == found
    assert found["network"] == "digit_recognizer.models.networks.mlp"
    assert found["early_stopping"] == {"monitor": "val_loss", "patience": 10, "min_delta": 0.0}
    assert found["network_options"] == {"hidden": [8]}
