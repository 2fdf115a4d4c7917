"""Verifying a submission: from the stored probabilities, or by training everything again."""

import shutil

import numpy as np
import pytest
from tiny_run import make_workspace, request, train_here

from digit_recognizer import files
from digit_recognizer.ensemble import blending, verification
from digit_recognizer.errors import UserError
from digit_recognizer.workspace import Workspace


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workspace = make_workspace(tmp_path_factory.mktemp("verified"))
    small = {"folds": 2, "epochs": 2, "checkpoint": None}
    train_here(request(workspace, **small), workspace)
    train_here(request(workspace, full=True, **small), workspace)
    blending.write_blend(workspace, ["tiny"], "tiny")
    return workspace


@pytest.fixture
def workspace(trained, tmp_path):
    shutil.copytree(trained.root, tmp_path, dirs_exist_ok=True)
    return Workspace(tmp_path)


def verify(workspace, **options):
    return verification.verify(workspace.submissions / "tiny.csv", workspace, **options)


def test_an_untouched_submission_is_confirmed(workspace):
    assert verify(workspace) == 40


def test_another_label_is_found(workspace):
    path = workspace.submissions / "tiny.csv"
    lines = path.read_text().splitlines()
    number, label = lines[3].split(",")
    lines[3] = f"{number},{(int(label) + 1) % 10}"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match="1 labels differ from the stored probabilities, the first at ImageId 3"):
        verify(workspace)


@pytest.mark.parametrize("name", ["oof.npz", "test.npz"])
def test_averages_that_are_not_those_of_the_members_are_found(workspace, name):
    path = workspace.run("tiny") / name
    arrays = files.read_npz(path)
    arrays["probabilities"][0] = arrays["probabilities"][1]
    files.write_npz(path, **arrays)
    with pytest.raises(UserError, match="is not the average of the members"):
        verify(workspace)


def test_a_members_changed_predictions_are_found(workspace):
    path = workspace.run("tiny") / "seed_0/fold_1/predictions.npz"
    files.write_npz(path, **files.read_npz(path) | {"extra": np.zeros(1)})
    with pytest.raises(UserError, match=r"fold_1/predictions\.npz is damaged or missing"):
        verify(workspace)


def test_changed_data_are_found(workspace):
    path = workspace.input / "train.csv"
    path.write_text(path.read_text().replace(",0\n", ",1\n", 1))
    with pytest.raises(UserError, match=r"train\.csv has changed since `make data`"):
        verify(workspace)


def retrain_here(monkeypatch):
    monkeypatch.setattr(verification, "train", train_here)


def test_training_again_gives_the_same_probabilities(workspace, monkeypatch):
    """Also of the models on all rows; the second run is removed again."""
    retrain_here(monkeypatch)
    assert verify(workspace, retrain=True) == 40
    assert [path.name for path in workspace.runs.iterdir()] == ["tiny"]


def test_a_pipeline_that_was_changed_since_gives_other_probabilities(workspace, monkeypatch):
    retrain_here(monkeypatch)
    path = workspace.root / "pipelines" / "tiny.py"
    path.write_text(path.read_text().replace("Dropout(0.2)", "Dropout(0.4)"))
    record = workspace.run("tiny") / "experiment.json"
    record.write_text(record.read_text().replace(str(files.read_json(record)["pipeline_file"]), str(path)))
    with pytest.raises(UserError, match=r"run 'tiny' gives other probabilities when it is trained again.*'tiny\.retrained'"):
        verify(workspace, retrain=True)
