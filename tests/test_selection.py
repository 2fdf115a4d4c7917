"""PIPELINE="a b" and RUN="a b" select pipelines and runs in the same way in every command."""

import pytest
from pipeline_files import write_pipeline

from digit_recognizer.cli import selection
from digit_recognizer.errors import UserError
from digit_recognizer.workspace import Workspace


def test_pipeline_with_members_selects_them_and_names_the_blend(two_pipelines):
    assert [one.name for one in selection.load_pipelines("both", two_pipelines, {})] == ["a", "b"]
    assert selection.select_runs("both", None, two_pipelines) == selection.Selection(["a", "b"], "both")
    assert selection.select_runs("a b", None, two_pipelines) == selection.Selection(["a", "b"], "a+b")
    assert selection.select_runs("both a", None, two_pipelines).runs == ["a", "b"]


def test_run_may_differ_from_all_pipelines(two_pipelines):
    assert selection.select_runs(None, "try1 try2", two_pipelines) == selection.Selection(["try1", "try2"], "try1+try2")


def test_members_in_a_circle_are_refused(two_pipelines):
    write_pipeline(two_pipelines, "a", "members=('both',)")
    with pytest.raises(UserError, match="is a circle"):
        selection.load_pipelines("both", two_pipelines, {})


def test_settings_are_applied_to_members(two_pipelines):
    assert [one.experiment.epochs for one in selection.load_pipelines("both", two_pipelines, {"epochs": 3})] == [3, 3]


def test_path_with_spaces_is_one_pipeline(two_pipelines, tmp_path):
    write_pipeline(Workspace(tmp_path / "my own"), "net 1")
    file = tmp_path / "my own" / "pipelines" / "net 1.py"
    assert [one.name for one in selection.load_pipelines(str(file), two_pipelines, {})] == ["net 1"]


def test_pipeline_may_be_the_name_of_a_run_with_a_note(two_pipelines, capsys):
    two_pipelines.run("rotate").mkdir(parents=True)
    assert selection.select_runs("a rotate", None, two_pipelines) == selection.Selection(["a", "rotate"], "a+rotate")
    assert capsys.readouterr().out == "PIPELINE=rotate: no pipeline has this name; using the run rotate\n"


def test_pipeline_has_precedence_over_a_run_of_the_same_name(two_pipelines, capsys):
    two_pipelines.run("both").mkdir(parents=True)
    assert selection.select_runs("both", None, two_pipelines).runs == ["a", "b"]
    assert capsys.readouterr().out == ""


def test_neither_pipeline_nor_run_lists_the_pipelines(two_pipelines):
    with pytest.raises(UserError, match="there is no pipeline 'c'"):
        selection.select_runs("a c", None, two_pipelines)


def test_default_pipeline_is_fast_and_in_the_demos_folder_demo(two_pipelines, tmp_path):
    assert selection.select_runs(None, None, two_pipelines).runs == ["fast"]
    assert selection.select_runs(None, None, Workspace(tmp_path / "demo")).runs == ["demo"]


@pytest.mark.parametrize("name", ["my run", " a", "a\tb", "a/b", ".a", "a\x00", "ä" * 51])
def test_invalid_name_of_a_new_run_is_refused(name):
    with pytest.raises(UserError, match="a run's name has"):
        selection.check_new_name(name)


def test_several_runs_are_refused_if_a_command_needs_one(two_pipelines):
    assert selection.select_run(None, "x", two_pipelines).name == "x"
    with pytest.raises(UserError, match=r"this takes one run, not 2 \(x, y\): name it with RUN="):
        selection.select_run(None, "x y", two_pipelines)
