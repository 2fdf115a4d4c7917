"""All runs at a glance, without loading any data."""

import dataclasses
import os
import shutil
import time

import pytest
from synthetic_run import make_dataset, make_run

from digit_recognizer.runs.lifecycle import locked
from digit_recognizer.runs.records import read_run_metrics
from digit_recognizer.runs.status import run_statuses
from digit_recognizer.workspace import Workspace


@pytest.fixture(scope="module")
def dataset():
    return make_dataset(100)


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path)


def test_whole_and_partial_runs_have_their_figures(workspace, dataset):
    whole = make_run(workspace.run("whole"), dataset, folds=2, seeds=(0, 1))
    make_run(workspace.run("partial"), dataset, folds=3, finished=[2])
    found = {run.name: run for run in run_statuses(workspace, {"whole": 0.99})}
    assert found["whole"].accuracy == read_run_metrics(whole).accuracy
    assert (found["whole"].folds_done, found["whole"].folds, found["whole"].members) == (2, 2, 4)
    assert (found["whole"].seconds, found["whole"].score, found["whole"].problem) == (4 * 61.5, 0.99, "")
    assert (found["partial"].folds_done, found["partial"].folds, found["partial"].members) == (1, 3, 1)
    assert found["partial"].score is None


def test_run_without_a_finished_member_has_no_figures(workspace, dataset):
    run = make_run(workspace.run("begun"), dataset, folds=2)
    shutil.rmtree(run.path / "seed_0")
    run.metrics.unlink()
    (found,) = run_statuses(workspace, {})
    assert (found.accuracy, found.folds_done, found.folds, found.members, found.seconds) == (None, 0, 2, 0, 0.0)


def test_damaged_run_has_its_problem_and_no_figures(workspace, dataset):
    make_run(workspace.run("damaged"), dataset, folds=2).record.write_text("{}")
    (found,) = run_statuses(workspace, {})
    assert "experiment.json is damaged" in found.problem
    empty = {"pipeline": "", "source": "", "accuracy": None, "folds_done": 0, "folds": 0, "members": 0, "seconds": 0.0}
    assert {name: value for name, value in dataclasses.asdict(found).items() if name in empty} == empty


def test_run_whose_record_is_a_broken_link_has_its_problem(workspace, dataset):
    run = make_run(workspace.run("linked"), dataset, folds=2)
    run.record.unlink()
    run.record.symlink_to("nowhere")
    (found,) = run_statuses(workspace, {})
    assert "experiment.json is missing" in found.problem


def test_runs_come_latest_first_with_their_age(workspace, dataset):
    for name, age in (("old", 5000), ("new", 100)):
        run = make_run(workspace.run(name), dataset, folds=2)
        for path in (run.path, *run.path.rglob("*")):
            os.utime(path, (time.time() - age, time.time() - age))
    found = run_statuses(workspace, {})
    assert [run.name for run in found] == ["new", "old"]
    assert [run.age for run in found] == pytest.approx([100, 5000], abs=30)


def test_run_of_the_future_has_no_negative_age(workspace, dataset):
    run = make_run(workspace.run("future"), dataset, folds=2)
    os.utime(run.path, (time.time() + 1000, time.time() + 1000))
    assert [run.age for run in run_statuses(workspace, {})] == [0.0]


def test_other_folders_are_no_runs(workspace):
    assert run_statuses(workspace, {}) == []
    (workspace.runs / "notes").mkdir(parents=True)
    assert run_statuses(workspace, {}) == []


def test_run_that_is_being_trained_is_known(workspace, dataset):
    run = make_run(workspace.run("busy"), dataset, folds=2)
    with locked(run.path):
        assert [found.training for found in run_statuses(workspace, {})] == [True]
    assert [found.training for found in run_statuses(workspace, {})] == [False]
