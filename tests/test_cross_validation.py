"""Cross-validation: the files of a run, and resuming it, unchanged, changed or damaged."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from tiny_run import (
    history,
    make_workspace,
    probabilities,
    request,
    scores,
    train_here,
    trained_again,
    trained_in,
    warnings_in,
)

from digit_recognizer import files, metrics
from digit_recognizer.data import sources
from digit_recognizer.data.dataset import load_dataset
from digit_recognizer.data.folds import load_folds
from digit_recognizer.errors import UserError
from digit_recognizer.models import prediction
from digit_recognizer.runs import lifecycle, results
from digit_recognizer.runs.evaluation import load_models
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.records import read_run_record
from digit_recognizer.training.events import MemberFinished

MEMBERS = [f"seed_{seed}/fold_{fold}" for seed in (0, 1) for fold in (0, 1)]
MEMBER_FILES = ("model.keras", "history.csv", "predictions.npz", "metrics.json", "confusion.csv", "confusion.png")
RUN_FILES = ("experiment.json", "folds.csv", "oof.npz", "test.npz", "errors.csv", "metrics.json")

pytestmark = pytest.mark.filterwarnings("ignore:`shuffle=True`", "ignore:__array__ implementation")  # Keras's own


def test_trained_run_has_all_files(trained):
    for name in RUN_FILES:
        assert (trained / name).stat().st_size, name
    for member in MEMBERS:
        for name in MEMBER_FILES:
            assert (trained / member / name).stat().st_size, f"{member}/{name}"
        assert not (trained / member / "checkpoint.npz").exists()
        assert any((trained / member / "tensorboard").rglob("events*"))


def test_no_model_predicts_out_of_fold_rows_that_it_was_trained_on(trained):
    """Checked with the run's files only."""
    folds = load_folds(trained / "folds.csv")
    total = {}
    for member in MEMBERS:
        predictions = files.read_npz(trained / member / "predictions.npz")
        rows = predictions["rows"]
        assert not set(rows) & set(predictions["trained_rows"])
        assert len(rows) + len(predictions["trained_rows"]) == len(folds)
        assert np.array_equal(rows, np.flatnonzero(folds == int(member[-1])))
        for row, valid in zip(rows, predictions["valid"], strict=True):
            total.setdefault(row, []).append(valid)
    oof = files.read_npz(trained / "oof.npz")
    assert sorted(total) == list(range(len(folds)))
    expected = np.array([np.mean(total[row], axis=0) for row in sorted(total)])
    assert oof["probabilities"] == pytest.approx(expected, abs=1e-6)
    assert np.array_equal(oof["fold"], folds)


def test_test_probabilities_are_the_mean_over_members(trained):
    tests = [files.read_npz(trained / member / "predictions.npz")["test"] for member in MEMBERS]
    stored = files.read_npz(trained / "test.npz")["probabilities"]
    assert stored.dtype == np.float32
    assert stored == pytest.approx(np.mean(tests, axis=0), abs=1e-6)


def test_saved_models_give_the_stored_predictions(trained, tiny):
    data = load_dataset(tiny)
    for member, model in zip(MEMBERS, load_models(RunFolder(trained)), strict=True):
        predictions = files.read_npz(trained / member / "predictions.npz")
        assert prediction.predict(model, data.images[predictions["rows"]]) == pytest.approx(predictions["valid"], abs=1e-6)
        assert prediction.predict(model, data.test_images) == pytest.approx(predictions["test"], abs=1e-6)


def test_metrics_of_the_run_are_those_of_its_predictions(trained, tiny):
    found, oof = json.loads((trained / "metrics.json").read_text("utf-8")), files.read_npz(trained / "oof.npz")
    estimate = metrics.accuracy(oof["label"], oof["probabilities"])
    assert (found["oof_accuracy"], found["oof_accuracy_low"], found["oof_accuracy_high"]) == pytest.approx(estimate)
    assert found["oof_log_loss"] == pytest.approx(metrics.log_loss(oof["label"], oof["probabilities"]))
    assert (found["folds_done"], found["members"], found["members_planned"]) == ([0, 1], 4, 4)
    assert found["epoch_selected_on_fold"] is False
    assert found["copies_across_folds"] == 0
    assert len(found["fold_accuracy"]) == 2
    assert found["seconds"] > 0 and found["images_per_second"] > 0
    assert 2e8 < found["peak_memory"] < 1e10  # bytes; TensorFlow alone uses more than 200 MB
    assert np.array_equal(oof["label"], load_dataset(tiny).labels)


def test_errors_are_listed_most_confident_first(trained):
    table, oof = pd.read_csv(trained / "errors.csv"), files.read_npz(trained / "oof.npz")
    wrong = np.flatnonzero(oof["probabilities"].argmax(axis=1) != oof["label"])
    assert sorted(table["row"]) == list(wrong)
    assert table["probability"].is_monotonic_decreasing
    assert np.array_equal(table["label"], oof["label"][table["row"]])


def test_record_has_settings_data_and_versions(trained, tiny):
    record = json.loads((trained / "experiment.json").read_text("utf-8"))
    assert record["dataset"]["sha256"] == load_dataset(tiny).sha256
    assert (record["settings"]["ema"], record["settings"]["folds"], record["settings"]["threads"]) == (0.8, 2, 1)
    assert record["backend"] == "tensorflow"
    assert {"keras", "tensorflow", "numpy"} <= set(record["versions"])


def test_full_trains_on_all_rows_without_validation_and_does_not_count_as_a_fold(tiny):
    wanted = {"folds": 2, "checkpoint": None}
    train_here(request(tiny, "full", full=True, **wanted), tiny)
    folder = tiny.run("full") / "full/seed_0"
    predictions = files.read_npz(folder / "predictions.npz")
    assert len(predictions["rows"]) == 0
    assert len(predictions["trained_rows"]) == len(load_dataset(tiny).labels)
    assert np.array_equal(files.read_npz(tiny.run("full") / "test.npz")["probabilities"], predictions["test"])
    assert np.isnan(files.read_npz(tiny.run("full") / "oof.npz")["probabilities"]).all()
    assert len(history(folder)) == 4
    assert "accuracy" not in scores(tiny.run("full"), "full/seed_0")
    train_here(request(tiny, "full", only=[0], **wanted), tiny)
    summary = json.loads((tiny.run("full") / "metrics.json").read_text("utf-8"))
    assert (summary["members"], summary["members_planned"]) == (2, 3)


def test_folds_are_trained_in_the_given_order_and_others_can_be_added(tiny):
    events = []
    wanted = {"epochs": 1, "checkpoint": None}
    train_here(request(tiny, "order", only=[3, 1], **wanted), tiny, events.append)
    assert [event.member.fold for event in events if isinstance(event, MemberFinished)] == [3, 1]
    oof = files.read_npz(tiny.run("order") / "oof.npz")
    assert np.array_equal(metrics.predicted_rows(oof["probabilities"]), np.isin(oof["fold"], (1, 3)))
    train_here(request(tiny, "order", only=[0], **wanted), tiny, events.append)
    assert [event.member.fold for event in events if isinstance(event, MemberFinished)] == [3, 1, 0]
    assert json.loads((tiny.run("order") / "metrics.json").read_text("utf-8"))["folds_done"] == [0, 1, 3]


def test_unknown_fold_is_refused(tiny):
    with pytest.raises(UserError, match=r"^FOLDS=4: there is no fold 4: this pipeline has folds 0 to 3$"):
        train_here(request(tiny, "none", only=[4]), tiny)


def test_finished_members_are_not_written_again(copied):
    before = {path: path.stat().st_mtime_ns for path in copied.run("trained").glob("seed_*/**/*")}
    events = trained_again(copied)
    assert not trained_in(events)
    assert {path: path.stat().st_mtime_ns for path in copied.run("trained").glob("seed_*/**/*")} == before


def test_missing_results_are_written_again_from_the_members(copied):
    run = copied.run("trained")
    before = probabilities(run)
    (run / "oof.npz").write_bytes(b"damaged")
    (run / "test.npz").unlink()
    assert not trained_in(trained_again(copied))
    assert probabilities(run) == before


def test_changed_settings_are_refused_and_listed(copied):
    with pytest.raises(UserError) as refused:
        trained_again(copied, epochs=5, augmentation__rotation=3)
    for part in ("epochs: 4 -> 5", "augmentation.rotation: 10.0 -> 3.0", "RUN=", "FORCE=1"):
        assert part in str(refused.value)
    assert "\n" not in str(refused.value)


def test_changed_data_are_refused(copied, tmp_path):
    other = make_workspace(tmp_path / "other", rows=150)
    shutil.rmtree(copied.input)
    shutil.copytree(other.input, copied.input)
    with pytest.raises(UserError, match=r"was started with other settings: data: .*FORCE=1"):
        trained_again(copied)


@pytest.mark.parametrize("finished", [True, False])
def test_changed_folds_are_refused(copied, finished):
    if not finished:
        shutil.rmtree(copied.run("trained") / "seed_1/fold_1")
    path = copied.run("trained") / "folds.csv"
    lines = path.read_text().splitlines()
    lines[1] = f"0,{1 - load_folds(path)[0]}"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match=r"folds\.csv has other folds than the run was started with: .*RUN=\.\.\. or FORCE=1"):
        trained_again(copied)


def test_missing_folds_file_is_written_again(copied):
    path = copied.run("trained") / "folds.csv"
    before = path.read_bytes()
    path.unlink()
    assert not trained_in(trained_again(copied))
    assert path.read_bytes() == before


def test_members_without_a_record_are_not_resumed(copied):
    """A run that is moved while it trains leaves a folder with members but no experiment.json."""
    (copied.run("trained") / "experiment.json").unlink()
    with pytest.raises(UserError, match=r"trained holds models but no experiment\.json .*RUN=.*FORCE=1"):
        trained_again(copied)


def test_changed_versions_give_a_warning(copied):
    run = RunFolder(copied.run("trained"))
    record = read_run_record(run)
    older = {"versions": {**record.versions, "keras": "2.0"}, "git_commit": "abc", "precision": "mixed_float16"}
    files.write_record(run.record, dataclasses.replace(record, **older))
    warnings = " ".join(warnings_in(trained_again(copied)))
    assert "keras: '2.0' -> " in warnings and "git_commit: 'abc' -> " in warnings
    assert "precision: 'mixed_float16' -> " in warnings


def test_changed_environment_variables_give_a_warning(copied, monkeypatch):
    monkeypatch.setenv("NPY_PROMOTION_STATE", "weak")
    assert "variables.NPY_PROMOTION_STATE: None -> 'weak'" in " ".join(warnings_in(trained_again(copied)))


def test_damaged_record_is_named(copied):
    path = copied.run("trained") / "experiment.json"
    path.write_text("{}")
    with pytest.raises(UserError, match=r"experiment\.json is damaged .*RUN=.*FORCE=1"):
        trained_again(copied)


def edit_pipeline(workspace):
    path = workspace.root / "pipelines" / "tiny.py"
    path.write_text(path.read_text().replace("Dropout(0.2)", "Dropout(0.4)"))


def test_edited_pipeline_with_the_same_settings_gives_a_warning(copied):
    edit_pipeline(copied)
    assert "tiny.py was edited since the run was started" in " ".join(warnings_in(trained_again(copied)))


def test_more_seeds_add_members(copied):
    events = trained_again(copied, seeds=(0, 2), only=[1])
    assert trained_in(events) == {"seed 2 fold 1"}
    assert json.loads((copied.run("trained") / "experiment.json").read_text("utf-8"))["settings"]["seeds"] == [0, 1, 2]
    assert json.loads((copied.run("trained") / "metrics.json").read_text("utf-8"))["members_planned"] == 6


def test_force_renames_the_old_run(copied):
    events = []
    train_here(request(copied, "trained", force=True, only=[0], epochs=1), copied, events.append)
    (aside,) = copied.runs.glob("trained.before-*")
    assert str(aside) in warnings_in(events)[0]
    assert (aside / "seed_1/fold_1/model.keras").exists()
    assert len(list(copied.run("trained").glob("seed_*/fold_*"))) == 1


def test_only_members_with_a_damaged_file_are_trained_again(copied):
    run = copied.run("trained")
    before, damaged = probabilities(run), [run / "seed_0/fold_1/metrics.json", run / "seed_1/fold_0/predictions.npz"]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-20])
    events = trained_again(copied)
    assert trained_in(events) == {"seed 0 fold 1", "seed 1 fold 0"}
    warnings = [warning for warning in warnings_in(events) if "trained again" in warning]
    assert [str(path) in warning for path, warning in zip(damaged, warnings, strict=True)] == [True, True]
    assert probabilities(run) == before


def test_predictions_of_training_rows_are_refused(copied):
    run = copied.run("trained")
    path = run / "seed_0/fold_0/predictions.npz"
    predictions = files.read_npz(path)
    files.write_npz(path, **predictions | {"trained_rows": np.append(predictions["trained_rows"], predictions["rows"][0])})
    with pytest.raises(UserError, match="trained on rows that it predicts"):
        results.write_results(
            RunFolder(run), request(copied, folds=2).pipeline.experiment, load_dataset(copied), load_folds(run / "folds.csv")
        )


def test_temporary_files_of_a_killed_process_are_removed(copied):
    run = copied.run("trained")
    stale = [run / ".oof.999999999.npz", run / "seed_0/fold_0/.model.999999999.keras"]
    living = run / f".report.{os.getpid()}.html"
    for path in (*stale, living):
        path.write_text("half")
    trained_again(copied)
    assert not any(path.exists() for path in stale)
    assert living.exists()


def test_copies_across_folds_and_a_suspicious_score_are_reported(tmp_path):
    """Half of the rows are copies of the others."""
    workspace = make_workspace(tmp_path)
    path = tmp_path / "some" / "train.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], *lines[1:81], *lines[1:81]]))
    sources.fetch(str(tmp_path / "some"), workspace, force=True)
    events = []
    found = train_here(request(workspace, only=[0], epochs=1), workspace, events.append)
    assert 80 < found.copies_across_folds < 160
    assert any(f"{found.copies_across_folds} training images have an exact copy" in line for line in warnings_in(events))
    assert results.score_warnings(dataclasses.replace(found, copies_across_folds=0, oof_accuracy=0.9985)) == []
    (warning,) = results.score_warnings(dataclasses.replace(found, copies_across_folds=0, oof_accuracy=0.9987))
    assert "0.9987" in warning and "leak" in warning


def test_unwritable_folder_is_named(copied):
    shutil.rmtree(copied.runs)
    copied.runs.write_text("no folder")
    with pytest.raises(UserError, match=r"runs/tiny can't be written: "):
        train_here(request(copied), copied)


def test_run_is_locked_until_its_process_ends(tmp_path):
    hold = (
        "import sys, time; from pathlib import Path; from digit_recognizer.runs.lifecycle import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    )
    run = tmp_path / "run"
    holder = subprocess.Popen([sys.executable, "-c", hold, str(run)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(UserError, match=f"{run} is being written by process {holder.pid}: wait for it"), lifecycle.locked(run):
        pass
    holder.kill()
    holder.wait()
    with lifecycle.locked(run):
        assert (run / ".lock").read_text() == str(os.getpid())
