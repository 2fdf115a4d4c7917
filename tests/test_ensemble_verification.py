"""Verification of a submission from the stored probabilities, or by training all models again."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from tiny_run import make_workspace, request, train_here

from digit_recognizer import files
from digit_recognizer.data.dataset import load_dataset
from digit_recognizer.data.folds import load_folds
from digit_recognizer.ensemble import blending, verification
from digit_recognizer.errors import UserError
from digit_recognizer.runs import results
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.member import Member
from digit_recognizer.runs.records import read_member_metrics, read_run_metrics, read_run_record
from digit_recognizer.submission.record import read_submission_record
from digit_recognizer.workspace import Workspace

SMALL = {"folds": 2, "epochs": 2, "checkpoint": None}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workspace = make_workspace(tmp_path_factory.mktemp("verified"))
    train_here(request(workspace, **SMALL), workspace)
    train_here(request(workspace, full=True, **SMALL), workspace)
    blending.write_blend(blending.compute_blend(workspace, ["tiny"], "tiny"), workspace)
    return workspace


@pytest.fixture
def workspace(trained, tmp_path):
    shutil.copytree(trained.root, tmp_path, dirs_exist_ok=True)
    return Workspace(tmp_path)


def verify(workspace, **options):
    return verification.verify(workspace.submissions / "tiny.csv", workspace, **options)


def test_untouched_submission_is_confirmed(workspace):
    assert verify(workspace) == 40


def test_another_label_is_found(workspace):
    path = workspace.submissions / "tiny.csv"
    lines = path.read_text().splitlines()
    number, label = lines[3].split(",")
    lines[3] = f"{number},{(int(label) + 1) % 10}"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match="1 labels differ from the stored probabilities, the first at ImageId 3"):
        verify(workspace)


def forget_checksums(run):
    """Remove the checksums of a run's files, as somebody would who has changed them on purpose."""
    files.write_record(run.metrics, replace(read_run_metrics(run), sha256={}, settings_sha256=None))


@pytest.mark.parametrize("name", ["oof.npz", "test.npz"])
def test_averages_that_are_not_those_of_the_members_are_found(workspace, name):
    path = workspace.run("tiny") / name
    arrays = files.read_npz(path)
    arrays["probabilities"][0] = arrays["probabilities"][1]
    files.write_npz(path, **arrays)
    forget_checksums(RunFolder(workspace.run("tiny")))
    with pytest.raises(UserError, match="is not the average of the members"):
        verify(workspace)


def test_members_changed_predictions_are_found(workspace):
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


def test_changed_probabilities_are_found_by_training_again_even_if_all_files_agree(workspace, monkeypatch):
    retrain_here(monkeypatch)
    run, data = RunFolder.of(workspace, "tiny"), load_dataset(workspace)
    folder = run.member(Member(0, 1))
    predictions = results.Predictions.read(folder.predictions)
    replace(predictions, test=predictions.test[::-1]).write(folder.predictions)
    files.write_record(folder.metrics, replace(read_member_metrics(folder), sha256=results.checksums(folder)))
    results.write_results(run, request(workspace, **SMALL).pipeline.experiment, data, load_folds(run.folds))
    blending.write_blend(blending.compute_blend(workspace, ["tiny"], "tiny"), workspace)
    assert verify(workspace) == 40
    with pytest.raises(UserError, match=r"run 'tiny' has other probabilities when it is trained again.*'tiny\.retrained'"):
        verify(workspace, retrain=True)


def test_edited_pipeline_is_not_trained_again(workspace):
    path = workspace.root / "pipelines" / "tiny.py"
    path.write_text(path.read_text().replace("Dropout(0.2)", "Dropout(0.4)"))
    with pytest.raises(UserError, match=r"tiny\.py is not the file that run 'tiny' was trained from"):
        verify(workspace, retrain=True)


@pytest.mark.parametrize("name", ["stranger", "../stranger", "{folder}/stranger.py"])
def test_files_of_a_run_do_not_decide_which_code_is_executed(name, workspace, tmp_path_factory):
    """The run's record has the path and the right hash of a pipeline file that would write a file if executed."""
    folder = tmp_path_factory.mktemp("elsewhere")
    code = folder / "stranger.py"
    code.write_text(f"from pathlib import Path; Path({str(folder / 'trace')!r}).touch()")
    run = RunFolder.of(workspace, "tiny")
    changed = {"pipeline": name.format(folder=folder), "pipeline_file": str(code), "pipeline_sha256": files.sha256_of(code)}
    files.write_record(run.record, replace(read_run_record(run), **changed))
    with pytest.raises(UserError, match=r"in none of your pipeline folders: .* name it with --pipeline=.*stranger\.py"):
        verify(workspace, retrain=True)
    assert not (folder / "trace").exists()


def test_training_again_with_a_pipeline_elsewhere_gives_the_same_probabilities(workspace, monkeypatch, tmp_path_factory):
    """Includes models on all rows; the second run is deleted."""
    retrain_here(monkeypatch)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "tiny.py"
    (workspace.root / "pipelines" / "tiny.py").rename(elsewhere)
    with pytest.raises(UserError, match="in none of your pipeline folders"):
        verify(workspace, retrain=True)
    assert verify(workspace, retrain=True, pipelines=[elsewhere]) == 40
    assert [path.name for path in workspace.runs.iterdir()] == ["tiny"]


def test_submission_does_not_name_runs_outside_the_workspace(workspace):
    path = workspace.submissions / "tiny.csv"
    files.write_record(path.with_suffix(".json"), replace(read_submission_record(path), runs=["../runs/tiny"]))
    with pytest.raises(UserError, match=r"'\.\./runs/tiny' is not a valid name of a run"):
        verify(workspace)
