"""Pipelines are loaded by name or path."""

import pytest

from digit_recognizer import experiment
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import (
    Experiment,
)
from digit_recognizer.models import networks
from digit_recognizer.workspace import Workspace

BASE = Experiment(network=networks.mlp)


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


def test_name_is_looked_up_in_the_workspace_first(workspace):
    write(workspace, GOOD)
    own = write(workspace, GOOD, "smoke")
    assert experiment.load("mine", workspace).summary == "Mine: the first line."
    assert experiment.load("smoke", workspace).file == own
    assert experiment.load("fast", workspace).name == "fast"
    assert {"mine", "smoke", "fast"} <= set(experiment.available(workspace))


def test_pipeline_may_be_any_file(tmp_path):
    path = tmp_path / "with a space é.py"
    path.write_text(GOOD)
    assert experiment.load(str(path)).experiment == BASE


def test_file_in_the_current_folder_is_loaded_by_its_file_name(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    assert experiment.load("mine.py").file == tmp_path / "mine.py"


def test_summary_is_the_first_line_of_the_docstring_and_does_not_run_the_file(workspace):
    assert experiment.summary_of(write(workspace, GOOD + "1 / 0\n")) == "Mine: the first line."
    assert experiment.summary_of(write(workspace, "x = 1\n")) == ""
    assert experiment.summary_of(write(workspace, "x = (\n")) == "(can't be read: SyntaxError)"


def test_file_that_begins_with_an_underscore_is_not_a_pipeline(workspace):
    write(workspace, GOOD, "_common")
    assert "_common" not in experiment.available(workspace)


def test_unknown_name_lists_all_pipelines(workspace):
    with pytest.raises(UserError, match="there is no pipeline 'fats'; did you mean fast") as refused:
        experiment.load("fats", workspace)
    assert "tutorial_cnn_deep" in str(refused.value)
    with pytest.raises(UserError, match=r"there is no pipeline 'xyz'\. The pipelines are baseline, "):
        experiment.load("xyz", workspace)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (", r"mine\.py, line 1: the pipeline can't be loaded: SyntaxError"),
        ("\n\n1 / 0\n", r"mine\.py, line 3: the pipeline can't be loaded: ZeroDivisionError"),
        ("import nothing_like_this", r"mine\.py, line 1: .*ModuleNotFoundError"),
        ("x = 1", r"mine\.py is not a pipeline: it must define EXPERIMENT"),
        ("EXPERIMENT = 3", r"it must define EXPERIMENT"),
        (GOOD.replace("network=", "epochs=0, network="), r"line 6: .*epochs=0: must be from 1"),
        (GOOD.replace("network=", "epoch=1, network="), r"line 6: .*unexpected keyword argument 'epoch'"),
        ("\0", r"mine\.py.*the pipeline can't be loaded"),
        ("import sys\nsys.exit(3)", r"mine\.py, line 2: the pipeline can't be loaded: SystemExit: 3"),
    ],
)
def test_broken_pipeline_is_refused_with_file_and_line(workspace, text, message):
    write(workspace, text)
    with pytest.raises(UserError, match=message):
        experiment.load("mine", workspace)


def test_file_of_another_kind_is_not_a_pipeline(tmp_path):
    (tmp_path / "mine.txt").write_text(GOOD)
    with pytest.raises(UserError, match=r"mine\.txt is not a Python file"):
        experiment.load(str(tmp_path / "mine.txt"))


def test_missing_file_is_named():
    with pytest.raises(UserError, match=r"PIPELINE=no/such\.py: there is no such file"):
        experiment.load("no/such.py")
    with pytest.raises(UserError, match=r"PIPELINE=no/such: there is no such file"):
        experiment.load("no/such")


def test_changed_pipeline_carries_all_its_changes(workspace):
    write(workspace, GOOD)
    pipeline = experiment.load("mine", workspace, {"epochs": 3}).changed({"augmentation.rotation": 5})
    assert (pipeline.experiment.epochs, pipeline.experiment.augmentation.rotation) == (3, 5.0)
    assert pipeline.changes == {"epochs": 3, "augmentation.rotation": 5}
    assert experiment.load("mine", workspace, pipeline.changes).experiment == pipeline.experiment
