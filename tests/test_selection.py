"""PIPELINE="a b" and RUN="a b" select pipelines and runs in the same way in every command."""

import pytest

from digit_recognizer.cli import selection
from digit_recognizer.errors import UserError
from digit_recognizer.workspace import Workspace

PIPELINE = '''"""{summary}"""
from digit_recognizer.models import networks
from digit_recognizer.experiment import Experiment
EXPERIMENT = Experiment({settings})
'''


@pytest.fixture
def workspace(tmp_path):
    for name, settings in {"a": "network=networks.mlp", "b": "network=networks.mlp", "both": "members=('a', 'b')"}.items():
        file = tmp_path / "pipelines" / f"{name}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(PIPELINE.format(summary=f"pipeline {name}", settings=settings))
    return Workspace(tmp_path)


def test_pipeline_with_members_selects_them_and_names_the_blend(workspace):
    assert [one.name for one in selection.load_pipelines("both", workspace, {})] == ["a", "b"]
    assert selection.select_runs("both", None, workspace) == selection.Selection(["a", "b"], "both")
    assert selection.select_runs("a b", None, workspace) == selection.Selection(["a", "b"], "a+b")
    assert selection.select_runs("both a", None, workspace).runs == ["a", "b"]


def test_run_may_differ_from_all_pipelines(workspace):
    assert selection.select_runs(None, "try1 try2", workspace) == selection.Selection(["try1", "try2"], "try1+try2")


def test_members_in_a_circle_are_refused(workspace):
    (workspace.root / "pipelines" / "a.py").write_text(PIPELINE.format(summary="", settings="members=('both',)"))
    with pytest.raises(UserError, match="is a circle"):
        selection.load_pipelines("both", workspace, {})


def test_settings_are_applied_to_members(workspace):
    assert [one.experiment.epochs for one in selection.load_pipelines("both", workspace, {"epochs": 3})] == [3, 3]


def test_path_with_spaces_is_one_pipeline(workspace, tmp_path):
    file = tmp_path / "my own" / "net 1.py"
    file.parent.mkdir()
    file.write_text(PIPELINE.format(summary="mine", settings="network=networks.mlp"))
    assert [one.name for one in selection.load_pipelines(str(file), workspace, {})] == ["net 1"]


def test_pipeline_may_be_the_name_of_a_run_with_a_note(workspace, capsys):
    workspace.run("rotate").mkdir(parents=True)
    assert selection.select_runs("a rotate", None, workspace) == selection.Selection(["a", "rotate"], "a+rotate")
    assert capsys.readouterr().out == "PIPELINE=rotate: no pipeline has this name; using the run rotate\n"


def test_pipeline_has_precedence_over_a_run_of_the_same_name(workspace, capsys):
    workspace.run("both").mkdir(parents=True)
    assert selection.select_runs("both", None, workspace).runs == ["a", "b"]
    assert capsys.readouterr().out == ""


def test_neither_pipeline_nor_run_lists_the_pipelines(workspace):
    with pytest.raises(UserError, match="there is no pipeline 'c'"):
        selection.select_runs("a c", None, workspace)


def test_default_pipeline_is_fast_and_in_the_demos_folder_demo(workspace, tmp_path):
    assert selection.select_runs(None, None, workspace).runs == ["fast"]
    assert selection.select_runs(None, None, Workspace(tmp_path / "demo")).runs == ["demo"]


@pytest.mark.parametrize("name", ["my run", " a", "a\tb", "a/b", ".a", "a\x00", "ä" * 51])
def test_invalid_name_of_a_new_run_is_refused(name):
    with pytest.raises(UserError, match="a run's name has"):
        selection.check_new_name(name)


def test_several_runs_are_refused_if_a_command_needs_one(workspace):
    assert selection.select_run(None, "x", workspace).name == "x"
    with pytest.raises(UserError, match=r"this takes one run, not 2 \(x, y\): name it with RUN="):
        selection.select_run(None, "x y", workspace)
