"""Learning from another run's probabilities for the test images, without hearing of the fold that is predicted."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from tiny_run import make_workspace, probabilities, request, train_here

from digit_recognizer import files
from digit_recognizer.data.dataset import load_dataset
from digit_recognizer.errors import UserError
from digit_recognizer.runs.folder import MemberFolder, RunFolder
from digit_recognizer.runs.records import read_run_record
from digit_recognizer.training import teacher
from digit_recognizer.training.member import Task
from digit_recognizer.training.members import Member, split_rows
from digit_recognizer.workspace import Workspace

SMALL = {"folds": 2, "epochs": 2, "checkpoint": None}


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A workspace with the run `tiny` of two seeds and the run `student` that learned from it."""
    workspace = make_workspace(tmp_path_factory.mktemp("taught"))
    train_here(request(workspace, seeds=(0, 1), **SMALL), workspace)
    train_here(request(workspace, "student", teacher="tiny", **SMALL), workspace)
    return workspace


@pytest.fixture
def workspace(taught, tmp_path):
    shutil.copytree(taught.root, tmp_path, dirs_exist_ok=True)
    return Workspace(tmp_path)


def predictions(workspace, seed, fold):
    return workspace.run("tiny") / f"seed_{seed}/fold_{fold}/predictions.npz"


def train_student(workspace, **changes):
    return train_here(request(workspace, "student", teacher="tiny", **{**SMALL, **changes}), workspace)


def test_soft_labels_are_the_mean_of_the_folds_own_models(workspace):
    run = RunFolder(workspace.run("tiny"))
    for fold in (0, 1):
        both = [files.read_npz(predictions(workspace, seed, fold))["test"] for seed in (0, 1)]
        np.testing.assert_allclose(teacher.soft_labels(run, fold), np.mean(both, axis=0), atol=1e-7)


def test_a_fold_hears_nothing_of_models_that_have_seen_it(workspace):
    before = teacher.soft_labels(RunFolder(workspace.run("tiny")), 0)
    path = predictions(workspace, 1, 1)
    files.write_npz(path, **files.read_npz(path) | {"test": np.zeros((40, 10), np.float32)})
    np.testing.assert_array_equal(teacher.soft_labels(RunFolder(workspace.run("tiny")), 0), before)
    assert not np.array_equal(teacher.soft_labels(RunFolder(workspace.run("tiny")), 1), before)


def test_a_model_on_all_rows_learns_from_all_folds(workspace):
    with np.load(workspace.run("tiny") / "test.npz") as archive:
        np.testing.assert_allclose(
            teacher.soft_labels(RunFolder(workspace.run("tiny")), None), archive["probabilities"], atol=1e-7
        )


def test_the_test_images_are_learned_with_these_labels(workspace):
    wanted, dataset = request(workspace, "student", teacher="tiny", **SMALL), load_dataset(workspace)
    split = split_rows(np.arange(160) % 2, 0)
    soft = teacher.soft_labels(RunFolder(workspace.run("tiny")), 0)
    task = Task(wanted.pipeline.experiment, dataset, split, Member(0, 0), MemberFolder(workspace.root), soft_labels=soft)
    images, targets = task.examples
    np.testing.assert_array_equal(images, np.concatenate([dataset.images[split.train], dataset.test_images]))
    np.testing.assert_array_equal(targets[:80].argmax(axis=1), dataset.labels[split.train])
    np.testing.assert_array_equal(targets[80:], soft)


def test_the_student_learned_something_else_and_remembers_from_whom(workspace):
    train_here(request(workspace, "alone", **SMALL), workspace)
    assert probabilities(workspace.run("student")) != probabilities(workspace.run("alone"))
    record = json.loads((workspace.run("student") / "experiment.json").read_text())
    assert record["settings"]["teacher"] == "tiny"


def test_a_teacher_that_changed_stops_the_student(workspace):
    path = predictions(workspace, 1, 0)
    files.write_npz(path, **files.read_npz(path) | {"test": files.read_npz(path)["test"][::-1]})
    with pytest.raises(UserError, match="teacher: it was trained anew"):
        train_student(workspace)


def test_a_teacher_may_learn_from_all_rows_later(workspace):
    train_here(request(workspace, seeds=(0, 1), full=True, **SMALL), workspace)
    train_student(workspace)


def test_a_run_does_not_teach_itself(workspace):
    with pytest.raises(UserError, match=r"run 'tiny' can't learn from itself: .*RUN="):
        train_here(request(workspace, teacher="tiny", force=True, **SMALL), workspace)
    assert workspace.run("tiny").exists()


def test_a_wrong_teacher_leaves_the_old_run_where_it_is(workspace):
    with pytest.raises(UserError, match="no trained run 'nobody'"):
        train_here(request(workspace, "student", teacher="nobody", force=True, **SMALL), workspace)
    assert (workspace.run("student") / "metrics.json").exists()


def test_a_missing_teacher_is_named(workspace):
    shutil.rmtree(workspace.run("tiny"))
    with pytest.raises(UserError, match="no trained run 'tiny': make train PIPELINE=tiny"):
        train_student(workspace)


def test_a_teacher_of_other_folds_is_refused(workspace):
    with pytest.raises(UserError, match="run 'tiny' has other folds"):
        train_student(workspace, folds=4)


def test_an_unfinished_teacher_is_refused(workspace):
    shutil.rmtree(workspace.run("tiny"))
    train_here(request(workspace, only=[0], **SMALL), workspace)
    train_here(request(workspace, full=True, **SMALL), workspace)  # which stands for no fold
    with pytest.raises(UserError, match="run 'tiny' is not finished"):
        train_student(workspace)


def test_a_teacher_of_other_data_is_refused(workspace):
    run = RunFolder(workspace.run("tiny"))
    record = read_run_record(run)
    files.write_record(run.record, replace(record, dataset=replace(record.dataset, sha256="0" * 64)))
    with pytest.raises(UserError, match="run 'tiny' was trained on other data"):
        train_student(workspace)
