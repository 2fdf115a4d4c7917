"""The search space: the pipeline's `suggest`, or the default space."""

import re

import optuna
import pytest
import study_worker

from digit_recognizer.errors import UserError
from digit_recognizer.experiment import available, load, override, settings_json
from digit_recognizer.tuning.space import search_space
from digit_recognizer.workspace import Workspace

OWN_NETWORKS = [name for name in available(Workspace.default()) if load(name).experiment.network]
WITHOUT_SUGGEST = study_worker.PIPELINE.partition("def suggest")[0]


def drawn(pipeline, space, count):
    """Return the experiments of random points of a space."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [override(pipeline.experiment, space.suggest(study.ask())) for _ in range(count)]


@pytest.fixture
def workspace(tmp_path):
    return study_worker.workspace_with_pipeline(tmp_path)


def test_baseline_is_read_from_the_experiment_and_the_networks_defaults(workspace):
    space = search_space(load("quick", workspace, {"learning_rate": 0.02}))
    assert space.baseline == {"learning_rate": 0.02, "network_options.dropout": 0.0, "augmentation.rotation": 5.0}


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("1e-4, 0.04", "1e-4, 1e-3", "out of the range"),
        ('trial.suggest_float("learning_rate"', 'trial.suggest_float("rate"', "'rate' is not a setting"),
        ("network_options.dropout", "network_options.dropuot", "neither set nor has a default"),
        ('rotation", 0, 20)', 'rotation", 0, 20) + 1', "augmentation.rotation: 5.0 -> 6.0"),
        ('"augmentation.rotation": trial.suggest_float("augmentation.rotation", 0, 20)', '"folds": 5', "can't vary folds"),
        ('"augmentation.rotation": trial', '"augmentation.rotation": tiral', "NameError"),
        ("    return {", "    return {}\n    return {", "must call a method such as trial.suggest_float"),
        ("network=networks.mlp, folds=3", 'members=("baseline", "fast")', "tune one of its members (baseline, fast)"),
    ],
)
def test_wrong_suggest_is_refused_before_anything_is_trained(workspace, before, after, message):
    assert before in study_worker.PIPELINE
    study_worker.workspace_with_pipeline(workspace.root, study_worker.PIPELINE.replace(before, after))
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        study_worker.search(workspace, trials=1)
    assert "quick.py" in str(caught.value)
    assert not workspace.studies.exists()


@pytest.mark.parametrize("name", OWN_NETWORKS)
def test_every_pipeline_can_be_tuned(name):
    pipeline = load(name)
    space = search_space(pipeline)
    own, unchanged = (
        settings_json(experiment)
        for experiment in (pipeline.experiment, override(pipeline.experiment, space.changes(space.baseline)))
    )
    options = unchanged.pop("network_options")
    assert options == options | own.pop("network_options")  # it also holds defaults of the network
    assert unchanged == own
    assert len(set(map(repr, drawn(pipeline, space, 30)))) == 30


def test_pipeline_without_suggest_gets_a_default_space(workspace):
    study_worker.workspace_with_pipeline(workspace.root, WITHOUT_SUGGEST)
    changes = {"augmentation.elastic": 3.0, "learning_rate": 0.01}
    pipeline = load("quick", workspace, changes)
    space = search_space(pipeline)
    assert space.baseline == {
        "learning_rate": 0.01,
        "batch_size": 64,
        "label_smoothing": 0.0,
        "network_options.dropout": 0.0,
        "augmentation.rotation": 5.0,
        "augmentation.zoom": 0.0,
        "augmentation.shift": 0.0,
        "augmentation.elastic": 3.0,
    }
    ranges = {name: (one["attributes"].get("low"), one["attributes"].get("high")) for name, one in space.definition.items()}
    assert ranges == {
        "learning_rate": (0.002, 0.05),
        "batch_size": (None, None),
        "label_smoothing": (0, 0.15),
        "network_options.dropout": (0, 0.6),
        "augmentation.rotation": (0, 20),
        "augmentation.zoom": (0, 0.2),
        "augmentation.shift": (0, 0.15),
        "augmentation.elastic": (0, 3),
    }
    experiments = drawn(pipeline, space, 30)
    assert {one.batch_size for one in experiments} == {32, 64, 128}
    assert {one.augmentation.shear for one in experiments} == {0}


def test_default_space_has_dropout_only_if_the_network_has(workspace):
    text = WITHOUT_SUGGEST.replace("networks.mlp", "networks.small_cnn")
    study_worker.workspace_with_pipeline(workspace.root, text)
    assert not [name for name in search_space(load("quick", workspace)).baseline if name.startswith("network_options")]


def test_changes_are_computed_from_the_parameters(workspace):
    space = search_space(load("quick", workspace))
    parameters = {"learning_rate": 0.001, "network_options.dropout": 0.25, "augmentation.rotation": 7.0}
    assert space.changes(parameters) == parameters
    with pytest.raises(UserError, match="the study is damaged"):
        space.changes({"learning_rate": "__import__('os').getcwd()"})
