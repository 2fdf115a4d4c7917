"""Experiments: frozen, typed, checked; overridden by SET; pipelines loaded by name or file."""

import dataclasses

import pytest

from digit_recognizer import experiment
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import (
    Augmentation,
    Checkpoint,
    EarlyStopping,
    Experiment,
    ReduceLROnPlateau,
    Schedule,
    merged,
    override,
    parse_settings,
)
from digit_recognizer.models import networks
from digit_recognizer.workspace import Workspace

BASE = Experiment(network=networks.mlp)


def test_an_experiment_cannot_be_changed_only_replaced():
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
def test_an_impossible_setting_is_refused_with_the_fields_name(part, settings, message):
    with pytest.raises(ValueError, match=message):
        part(**settings)


def test_whole_numbers_become_floats_where_floats_are_meant():
    assert isinstance(dataclasses.replace(BASE, learning_rate=1).learning_rate, float)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"network_options": {"hidden": (8,)}}, {"network_options.dropout": 0.5}),
        ({"network_options.dropout": 0.5}, {"network_options": {"hidden": (8,)}}),
        ({"epochs": 3, "augmentation.rotation": 5}, {"epochs": 4, "augmentation.zoom": 0.1}),
    ],
)
def test_merged_changes_do_what_both_do_one_after_the_other(first, then):
    assert override(BASE, merged(first, then)) == override(override(BASE, first), then)


def test_set_overrides_fields_also_nested_ones():
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
def test_a_wrong_set_is_refused_in_one_line(text, message):
    with pytest.raises(UserError, match=message) as refused:
        override(BASE, parse_settings(text))
    assert "\n" not in str(refused.value)


def test_settings_are_json():
    import json

    found = experiment.settings_json(
        dataclasses.replace(BASE, early_stopping=EarlyStopping(), network_options={"hidden": (8,)})
    )
    assert json.loads(json.dumps(found)) == found
    assert found["network"] == "digit_recognizer.models.networks.mlp"
    assert found["early_stopping"] == {"monitor": "val_loss", "patience": 10, "min_delta": 0.0}
    assert found["network_options"] == {"hidden": [8]}


GOOD = (
    '"""Mine: the first line.\n\nMore."""\nfrom digit_recognizer.models import networks\n'
    "from digit_recognizer.experiment import Experiment\nEXPERIMENT = Experiment(network=networks.mlp)\n"
)


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "pipelines").mkdir()
    return Workspace(tmp_path)


def write(workspace, text, name="mine"):
    path = workspace.root / "pipelines" / f"{name}.py"
    path.write_text(text)
    return path


def test_a_pipeline_is_found_by_name_in_the_workspace_first(workspace):
    write(workspace, GOOD)
    own = write(workspace, GOOD, "smoke")
    assert experiment.load("mine", workspace).summary == "Mine: the first line."
    assert experiment.load("smoke", workspace).file == own
    assert experiment.load("fast", workspace).name == "fast"
    assert {"mine", "smoke", "fast"} <= set(experiment.available(workspace))


def test_a_pipeline_is_found_by_path_anywhere(tmp_path):
    path = tmp_path / "with a space é.py"
    path.write_text(GOOD)
    assert experiment.load(str(path)).experiment == BASE


def test_a_file_that_begins_with_an_underscore_is_no_pipeline(workspace):
    write(workspace, GOOD, "_common")
    assert "_common" not in experiment.available(workspace)


def test_an_unknown_name_lists_what_there_is(workspace):
    with pytest.raises(UserError, match=r"there is no pipeline 'fats'\. Did you mean fast") as refused:
        experiment.load("fats", workspace)
    assert "tutorial_cnn_deep" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (", r"mine\.py, line 1: the pipeline can't be loaded: SyntaxError"),
        ("\n\n1 / 0\n", r"mine\.py, line 3: the pipeline can't be loaded: ZeroDivisionError"),
        ("import nothing_like_this", r"mine\.py, line 1: .*ModuleNotFoundError"),
        ("x = 1", r"mine\.py is no pipeline: it must define EXPERIMENT"),
        ("EXPERIMENT = 3", r"it must define EXPERIMENT"),
        (GOOD.replace("network=", "epochs=0, network="), r"line 6: .*epochs=0: must be from 1"),
        (GOOD.replace("network=", "epoch=1, network="), r"line 6: .*unexpected keyword argument 'epoch'"),
        ("\0", r"mine\.py.*the pipeline can't be loaded"),
    ],
)
def test_a_broken_pipeline_is_refused_with_file_and_line(workspace, text, message):
    write(workspace, text)
    with pytest.raises(UserError, match=message):
        experiment.load("mine", workspace)


def test_a_path_that_does_not_exist_is_named():
    with pytest.raises(UserError, match=r"PIPELINE=no/such\.py: there is no such file"):
        experiment.load("no/such.py")
