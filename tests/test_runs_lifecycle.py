"""Starting, resuming and locking a run, without training."""

import errno
from dataclasses import replace

import numpy as np
import pytest
from synthetic_run import make_dataset, network

from digit_recognizer import files
from digit_recognizer.data.folds import load_folds, stratified_folds
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Experiment, Pipeline
from digit_recognizer.runs import lifecycle
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.lifecycle import begin_or_resume
from digit_recognizer.runs.member import Member
from digit_recognizer.runs.records import read_run_record
from digit_recognizer.workspace import Workspace


@pytest.fixture(scope="module")
def dataset():
    return make_dataset(120)


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "run")


def pipeline(sha256="0" * 64, **settings):
    experiment = Experiment(network=network, **{"folds": 3, "seeds": (0, 1), **settings})
    return Pipeline("some", RunFolder.of(Workspace.default(), "x").path / "some.py", sha256, "Some pipeline.", experiment)


def test_new_run_has_its_folds_and_a_record(run, dataset):
    folds, warnings = begin_or_resume(run, pipeline(), dataset)
    assert warnings == []
    assert np.array_equal(folds, stratified_folds(dataset.labels, 3, 0))
    assert np.array_equal(load_folds(run.folds), folds)
    record = read_run_record(run)
    assert (record.pipeline, record.seeds, record.folds) == ("some", [0, 1], 3)
    assert record.dataset.image_shape == (28, 28, 1)
    assert record.dataset.sha256 == dataset.sha256


def test_same_run_is_resumed_without_warnings(run, dataset):
    begin_or_resume(run, pipeline(), dataset)
    before = run.record.read_bytes()
    folds, warnings = begin_or_resume(run, pipeline(), dataset)
    assert warnings == []
    assert np.array_equal(folds, load_folds(run.folds))
    assert run.record.read_bytes() == before


def test_other_settings_and_data_are_listed(run, dataset):
    begin_or_resume(run, pipeline(), dataset)
    with pytest.raises(UserError, match=r"was started with other settings: epochs: 10 -> 5; data: bundled -> mnist; .*RUN="):
        begin_or_resume(run, pipeline(epochs=5), replace(dataset, sha256="other", source="mnist"))


@pytest.mark.parametrize(("seeds", "known"), [((0, 2), [0, 1, 2]), ((1,), [0, 1])])
def test_seeds_are_added_and_none_is_removed(seeds, known, run, dataset):
    begin_or_resume(run, pipeline(), dataset)
    begin_or_resume(run, pipeline(seeds=seeds), dataset)
    assert read_run_record(run).seeds == known


def test_changed_environment_and_an_edited_pipeline_give_warnings(run, dataset):
    begin_or_resume(run, pipeline(), dataset)
    files.write_record(run.record, replace(read_run_record(run), git_commit="abc"))
    _, warnings = begin_or_resume(run, pipeline(sha256="1" * 64), dataset)
    assert any("some.py was edited since the run was started" in warning for warning in warnings)
    assert any(
        warning.startswith("git_commit changed since the run was started: git_commit: 'abc' -> ") for warning in warnings
    )
    assert len(warnings) == 2


def test_other_folds_are_refused_and_missing_ones_written_again(run, dataset):
    folds, _ = begin_or_resume(run, pipeline(), dataset)
    content = run.folds.read_text()
    run.folds.write_text(content.replace(f"\n0,{folds[0]}\n", f"\n0,{(folds[0] + 1) % 3}\n"))
    with pytest.raises(UserError, match=r"folds\.csv has other folds than the run was started with"):
        begin_or_resume(run, pipeline(), dataset)
    run.folds.unlink()
    begin_or_resume(run, pipeline(), dataset)
    assert run.folds.read_text() == content


@pytest.mark.parametrize("name", ["metrics.json", "state.npz"])
@pytest.mark.parametrize("member", [Member(0, 1), Member(0, None)])
def test_members_without_a_record_are_not_resumed(name, member, run, dataset):
    files.write_text(run.member(member).path / name, "")
    with pytest.raises(UserError, match=r"holds models but no experiment\.json .*FORCE=1"):
        begin_or_resume(run, pipeline(), dataset)


def test_finished_members_come_by_seed_and_fold_and_then_those_on_all_rows(run):
    wanted = [Member(2, 0), Member(2, 1), Member(10, 0), Member(10, 1), Member(0, None)]
    for member in reversed(wanted):
        files.write_text(run.member(member).metrics, "")
    files.write_text(run.path / "somebody/else/metrics.json", "")
    assert run.finished() == wanted


@pytest.mark.parametrize("name", ["", "../x", "a/b", "/tmp", ".hidden"])
def test_runs_name_is_not_a_path_outside_the_workspace(name, tmp_path):
    with pytest.raises(UserError, match="is not a valid name of a run"):
        RunFolder.of(Workspace(tmp_path), name)


def test_locked_run_is_refused_until_it_is_released(run):
    refused = pytest.raises(UserError, match=r"is being written by process \d+")
    with lifecycle.locked(run.path), refused, lifecycle.locked(run.path):
        pass
    with lifecycle.locked(run.path):
        pass


def test_full_disk_is_named_and_other_errors_are_not_hidden(run):
    with pytest.raises(UserError, match="the disk is full: free some space"), lifecycle.locked(run.path):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="Input/output error"), lifecycle.locked(run.path):
        raise OSError(errno.EIO, "Input/output error")


def test_renaming_a_run_keeps_all_files(run, dataset):
    begin_or_resume(run, pipeline(), dataset)
    aside = lifecycle.move_aside(run)
    assert not run.path.exists()
    assert aside.name.startswith("run.before-")
    assert read_run_record(RunFolder(aside)).pipeline == "some"
