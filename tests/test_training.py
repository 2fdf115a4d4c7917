"""Training a run: the files it leaves, what each part of a training does, and what happens when something is wrong."""

import dataclasses
import io
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny_run import environment, history, make_workspace, probabilities, request, train_here

from digit_recognizer import backend, files, metrics
from digit_recognizer.data.dataset import load_dataset
from digit_recognizer.data.folds import load_folds
from digit_recognizer.errors import UserError
from digit_recognizer.models import prediction
from digit_recognizer.runs import lifecycle, results
from digit_recognizer.runs.evaluation import load_models
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.member import Member
from digit_recognizer.runs.records import read_run_record
from digit_recognizer.training.cross_validation import train
from digit_recognizer.training.events import EpochEnded, MemberFinished, SpeedMeasured, StepEnded, Warned
from digit_recognizer.workspace import Workspace

MEMBERS = [f"seed_{seed}/fold_{fold}" for seed in (0, 1) for fold in (0, 1)]
MEMBER_FILES = ("model.keras", "history.csv", "predictions.npz", "metrics.json", "confusion.csv", "confusion.png")
UNSTEERED = {"early_stopping": None, "reduce_lr_on_plateau": None, "checkpoint": None}
RUN_FILES = ("experiment.json", "folds.csv", "oof.npz", "test.npz", "errors.csv", "metrics.json")

pytestmark = pytest.mark.filterwarnings("ignore:`shuffle=True`", "ignore:__array__ implementation")  # Keras's own


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return make_workspace(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def trained(workspace):
    """A run of two folds and two seeds, with EMA, early stopping, plateau schedule and checkpoint."""
    train_here(request(workspace, "trained", folds=2, seeds=(0, 1)), workspace)
    return workspace.run("trained")


@pytest.fixture
def copied(trained, workspace, tmp_path):
    """A copy of the workspace with that run, to do harm to."""
    for name in ("input", "pipelines", "runs/trained"):
        shutil.copytree(workspace.root / name, tmp_path / name)
    return Workspace(tmp_path)


def trained_again(workspace, **options):
    """Train that run again; return the events."""
    events = []
    train_here(request(workspace, "trained", **{"folds": 2, "seeds": (0, 1)} | options), workspace, events.append)
    return events


def warnings_in(events):
    return [event.message for event in events if isinstance(event, Warned)]


def trained_in(events):
    return {str(event.member) for event in events if isinstance(event, MemberFinished)}


def scores(run, member="seed_0/fold_0"):
    return files.read_json(run / member / "metrics.json")


# --- the files of the contract


def test_all_files_of_the_contract_are_there(trained):
    for name in RUN_FILES:
        assert (trained / name).stat().st_size, name
    for member in MEMBERS:
        for name in MEMBER_FILES:
            assert (trained / member / name).stat().st_size, f"{member}/{name}"
        assert not (trained / member / "state.npz").exists()
        assert any((trained / member / "tensorboard").rglob("events*"))


def test_no_out_of_fold_row_is_predicted_by_a_model_that_saw_it(trained):
    """From the files alone."""
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


def test_the_saved_model_predicts_as_predictions_npz_says(trained, workspace):
    data = load_dataset(workspace)
    for member, model in zip(MEMBERS, load_models(RunFolder(trained)), strict=True):
        predictions = files.read_npz(trained / member / "predictions.npz")
        assert prediction.predict(model, data.images[predictions["rows"]]) == pytest.approx(predictions["valid"], abs=1e-6)
        assert prediction.predict(model, data.test_images) == pytest.approx(predictions["test"], abs=1e-6)


def test_validation_is_that_of_the_averaged_weights_that_predict(trained):
    """The last epoch's figures in the history, taken during training, are those of the saved EMA weights."""
    for member in MEMBERS:
        last, own = history(trained / member).iloc[-1], scores(trained, member)
        assert own["accuracy"] == pytest.approx(last["val_accuracy"], abs=1e-6)
        assert own["loss"] == pytest.approx(last["val_loss"], abs=1e-4)
        assert own["kept_epoch"] == last["epoch"]


def test_history_has_a_line_an_epoch(trained):
    table = pd.read_csv(trained / MEMBERS[0] / "history.csv")
    columns = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"]
    assert list(table.columns) == columns
    assert list(table["epoch"]) == [1, 2, 3, 4]
    assert not table.isna().any(axis=None)


def test_metrics_of_the_run(trained, workspace):
    found, oof = files.read_json(trained / "metrics.json"), files.read_npz(trained / "oof.npz")
    estimate = metrics.accuracy(oof["label"], oof["probabilities"])
    assert (found["oof_accuracy"], found["oof_accuracy_low"], found["oof_accuracy_high"]) == pytest.approx(estimate)
    assert found["oof_log_loss"] == pytest.approx(metrics.log_loss(oof["label"], oof["probabilities"]))
    assert (found["folds_done"], found["members"], found["members_planned"]) == ([0, 1], 4, 4)
    assert found["epoch_selected_on_fold"] is False
    assert found["copies_across_folds"] == 0
    assert len(found["fold_accuracy"]) == 2
    assert found["seconds"] > 0 and found["images_per_second"] > 0
    assert 2e8 < found["peak_memory"] < 1e10  # bytes; TensorFlow alone is more than the former
    assert np.array_equal(oof["label"], load_dataset(workspace).labels)


def test_errors_are_the_wrong_rows_most_confident_first(trained):
    table, oof = pd.read_csv(trained / "errors.csv"), files.read_npz(trained / "oof.npz")
    wrong = np.flatnonzero(oof["probabilities"].argmax(axis=1) != oof["label"])
    assert sorted(table["row"]) == list(wrong)
    assert table["probability"].is_monotonic_decreasing
    assert np.array_equal(table["label"], oof["label"][table["row"]])


def test_experiment_says_what_the_run_is(trained, workspace):
    record = files.read_json(trained / "experiment.json")
    assert record["dataset"]["sha256"] == load_dataset(workspace).sha256
    assert (record["settings"]["ema"], record["settings"]["folds"], record["settings"]["threads"]) == (0.8, 2, 1)
    assert record["backend"] == "tensorflow"
    assert {"keras", "tensorflow", "numpy"} <= set(record["versions"])


# --- what the parts of a training do


def train_one(workspace, run, **changes):
    events = []
    train_here(request(workspace, run, only=[0], **changes), workspace, events.append)
    return workspace.run(run), events


@pytest.fixture(scope="module")
def best(workspace):
    """A fold of six epochs of which the best was kept."""
    return train_one(workspace, "best", keep="best_val_loss", learning_rate=0.05, epochs=6)[0]


def test_early_stopping_ends_when_nothing_improves(workspace):
    run, _ = train_one(workspace, "stopped", early_stopping__patience=2, early_stopping__min_delta=100.0, epochs=9)
    assert len(history(run / "seed_0/fold_0")) == 3
    assert scores(run)["epochs"] == 3


def test_plateau_lowers_the_rate_when_nothing_improves(workspace):
    run, _ = train_one(workspace, "plateau", learning_rate=0.5, reduce_lr_on_plateau__factor=0.1, epochs=8)
    table = history(run / "seed_0/fold_0")
    best, rate, wait = np.inf, 0.5, 0
    for _, row in table.iterrows():  # as Keras documents it: patience 1, min_delta 1e-4
        assert row["learning_rate"] == pytest.approx(rate, rel=1e-5)
        wait = 0 if row["val_loss"] < best - 1e-4 else wait + 1
        best = min(best, row["val_loss"]) if wait == 0 else best
        if wait >= 1:
            rate, wait = max(rate * 0.1, 1e-6), 0
    assert rate < 0.5, "the rate was to fall"


def test_keep_best_predicts_with_the_best_epoch(best):
    table, own = history(best / "seed_0/fold_0"), scores(best)
    assert own["kept_epoch"] == table["epoch"][table["val_loss"].idxmin()] < 6
    assert own["loss"] == pytest.approx(table["val_loss"].min(), abs=1e-4)
    assert files.read_json(best / "metrics.json")["epoch_selected_on_fold"] is True


def board(folder):
    """Return what TensorBoard shows of a folder, by tag: arrays by step, which counts epochs from 0."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
    return {tag: {e.step: make_ndarray(e.tensor_proto) for e in events.Tensors(tag)} for tag in events.Tags()["tensors"]}


@pytest.mark.parametrize("member", MEMBERS)
def test_tensorboard_has_loss_accuracy_and_learning_rate_of_each_epoch(trained, member):
    table = history(trained / member)
    for part, prefix, names in (
        ("train", "", ("loss", "accuracy", "learning_rate")),
        ("validation", "val_", ("loss", "accuracy")),
    ):
        shown = board(trained / member / "tensorboard" / part)
        for name in names:
            assert list(shown[f"epoch_{name}"]) == [0, 1, 2, 3]
            assert list(shown[f"epoch_{name}"].values()) == pytest.approx(table[f"{prefix}{name}"].tolist(), rel=1e-5)


def test_tensorboard_has_the_confusion_matrix_four_times_a_run(trained, best):
    assert list(board(best / "seed_0/fold_0/tensorboard/validation")["confusion"]) == [1, 2, 4, 5]
    for member in MEMBERS:
        *_, (width, height, last) = board(trained / member / "tensorboard/validation")["confusion"].values()
        pixels = np.asarray(Image.open(io.BytesIO(last)).convert("RGB"))
        assert pixels.shape == (int(height), int(width), 3)
        assert np.array_equal(pixels, np.asarray(Image.open(trained / member / "confusion.png").convert("RGB")))


def test_tensorboard_has_no_confusion_matrix_of_an_epoch_without_validation(workspace):
    run, _ = train_one(workspace, "seldom", **UNSTEERED, validate_every=2, epochs=4)
    assert list(board(run / "seed_0/fold_0/tensorboard/validation")["confusion"]) == [1, 3]


@pytest.mark.parametrize("every", [False, True])
def test_checkpoint_holds_the_best_epochs_validated_weights(workspace, every):
    import keras

    run, _ = train_one(workspace, f"checkpoint-{every}", checkpoint__every_improvement=every, learning_rate=0.05, epochs=5)
    folder, table = run / "seed_0/fold_0", history(run / "seed_0/fold_0")
    best = table["val_loss"].idxmin()
    name = f"best_val_loss_epoch_{best + 1:03d}.keras" if every else "best_val_loss.keras"
    rows = files.read_npz(folder / "predictions.npz")["rows"]
    data = load_dataset(workspace)
    valid = prediction.predict(keras.saving.load_model(folder / name), data.images[rows])
    assert metrics.log_loss(data.labels[rows], valid) == pytest.approx(table["val_loss"][best], abs=1e-4)
    improvements = (table["val_loss"].cummin().diff().fillna(-1) < 0).sum()
    assert len(list(folder.glob("best*.keras"))) == (improvements if every else 1)


def test_a_loss_that_is_not_a_number_ends_with_a_clear_line(workspace):
    with pytest.raises(UserError, match=r"the loss became (nan|inf) in epoch \d: lower learning_rate"):
        train_one(workspace, "nan", optimizer="sgd", ema=0.0, learning_rate=100)


def test_full_trains_on_all_rows_without_validation(workspace):
    events = []
    train_here(request(workspace, "full", full=True), workspace, events.append)
    folder = workspace.run("full") / "full/seed_0"
    predictions = files.read_npz(folder / "predictions.npz")
    assert len(predictions["rows"]) == 0
    assert len(predictions["trained_rows"]) == len(load_dataset(workspace).labels)
    assert np.array_equal(files.read_npz(workspace.run("full") / "test.npz")["probabilities"], predictions["test"])
    assert np.isnan(files.read_npz(workspace.run("full") / "oof.npz")["probabilities"]).all()
    assert len(history(folder)) == 4
    assert "accuracy" not in scores(workspace.run("full"), "full/seed_0")


def test_a_model_of_all_rows_stands_for_no_missing_fold(workspace):
    train_here(request(workspace, "mixed", folds=2, only=[0], epochs=1, checkpoint=None), workspace)
    train_here(request(workspace, "mixed", folds=2, full=True, epochs=1, checkpoint=None), workspace)
    summary = files.read_json(workspace.run("mixed") / "metrics.json")
    assert (summary["members"], summary["members_planned"]) == (2, 3)


def test_folds_are_trained_in_the_order_asked_for_and_the_rest_later(workspace):
    events = []
    wanted = {"epochs": 1, "checkpoint": None}
    train_here(request(workspace, "order", only=[3, 1], **wanted), workspace, events.append)
    assert [event.member.fold for event in events if isinstance(event, MemberFinished)] == [3, 1]
    oof = files.read_npz(workspace.run("order") / "oof.npz")
    assert np.array_equal(metrics.predicted_rows(oof["probabilities"]), np.isin(oof["fold"], (1, 3)))
    train_here(request(workspace, "order", only=[0], **wanted), workspace, events.append)
    assert [event.member.fold for event in events if isinstance(event, MemberFinished)] == [3, 1, 0]
    assert files.read_json(workspace.run("order") / "metrics.json")["folds_done"] == [0, 1, 3]


def test_a_fold_that_does_not_exist_is_refused_with_the_way_out(workspace):
    with pytest.raises(UserError, match=r"FOLDS=4: folds are 0\.\.3; a fold 4 needs 5 folds: SET=folds=5"):
        train_here(request(workspace, "none", only=[4]), workspace)


# --- finished, changed and damaged runs


def test_what_is_finished_is_not_touched(copied):
    before = {path: path.stat().st_mtime_ns for path in copied.run("trained").glob("seed_*/**/*")}
    events = trained_again(copied)
    assert not trained_in(events)
    assert {path: path.stat().st_mtime_ns for path in copied.run("trained").glob("seed_*/**/*")} == before


def test_lost_results_of_the_run_are_made_again_from_its_members(copied):
    run = copied.run("trained")
    before = probabilities(run)
    (run / "oof.npz").write_bytes(b"damaged")
    (run / "test.npz").unlink()
    assert not trained_in(trained_again(copied))
    assert probabilities(run) == before


def test_changed_settings_are_refused_with_a_list_and_the_ways_on(copied):
    with pytest.raises(UserError) as refused:
        trained_again(copied, epochs=5, augmentation__rotation=3)
    for part in ("epochs: 4 -> 5", "augmentation.rotation: 10.0 -> 3.0", "RUN=", "FORCE=1"):
        assert part in str(refused.value)
    assert "\n" not in str(refused.value)


def test_changed_data_are_refused(copied, tmp_path):
    other = make_workspace(tmp_path / "other", rows=150)
    shutil.rmtree(copied.input)
    shutil.copytree(other.input, copied.input)
    with pytest.raises(UserError, match=r"was begun with other settings: data: .*FORCE=1"):
        trained_again(copied)


@pytest.mark.parametrize("finished", [True, False])
def test_changed_folds_are_refused(copied, finished):
    if not finished:
        shutil.rmtree(copied.run("trained") / "seed_1/fold_1")
    path = copied.run("trained") / "folds.csv"
    lines = path.read_text().splitlines()
    lines[1] = f"0,{1 - load_folds(path)[0]}"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match=r"folds\.csv holds other folds than the run was begun with: .*RUN=\.\.\. or FORCE=1"):
        trained_again(copied)


def test_lost_folds_are_written_again(copied):
    path = copied.run("trained") / "folds.csv"
    before = path.read_bytes()
    path.unlink()
    assert not trained_in(trained_again(copied))
    assert path.read_bytes() == before


def test_members_without_the_runs_record_are_not_resumed(copied):
    """A run that is moved while it trains leaves a folder with members but no experiment.json."""
    (copied.run("trained") / "experiment.json").unlink()
    with pytest.raises(UserError, match=r"trained holds models but no experiment\.json .*RUN=.*FORCE=1"):
        trained_again(copied)


def test_changed_versions_only_warn(copied):
    run = RunFolder(copied.run("trained"))
    record = read_run_record(run)
    older = {"versions": {**record.versions, "keras": "2.0"}, "git_commit": "abc", "precision": "mixed_float16"}
    files.write_record(run.record, dataclasses.replace(record, **older))
    warnings = " ".join(warnings_in(trained_again(copied)))
    assert "keras: '2.0' -> " in warnings and "git_commit: 'abc' -> " in warnings
    assert "precision: 'mixed_float16' -> " in warnings


def test_a_damaged_record_of_the_run_is_named(copied):
    path = copied.run("trained") / "experiment.json"
    path.write_text("{}")
    with pytest.raises(UserError, match=r"experiment\.json is damaged .*RUN=.*FORCE=1"):
        trained_again(copied)


def edit_pipeline(workspace):
    path = workspace.root / "pipelines" / "tiny.py"
    path.write_text(path.read_text().replace("Dropout(0.2)", "Dropout(0.4)"))


def test_an_edited_pipeline_with_the_same_settings_only_warns(copied):
    edit_pipeline(copied)
    assert "tiny.py was edited since the run was begun" in " ".join(warnings_in(trained_again(copied)))


def test_a_pipeline_edited_before_its_workers_read_it_is_not_trained(copied):
    wanted = request(copied, "edited")
    edit_pipeline(copied)
    with pytest.raises(UserError, match=r"tiny\.py was edited during the training: run the same command again"):
        train(wanted, copied)


def test_more_seeds_add_members(copied):
    events = trained_again(copied, seeds=(0, 2), only=[1])
    assert trained_in(events) == {"seed 2 fold 1"}
    assert files.read_json(copied.run("trained") / "experiment.json")["settings"]["seeds"] == [0, 1, 2]
    assert files.read_json(copied.run("trained") / "metrics.json")["members_planned"] == 6


def test_force_moves_the_old_run_aside(copied):
    events = []
    train_here(request(copied, "trained", force=True, only=[0], epochs=1), copied, events.append)
    (aside,) = copied.runs.glob("trained.before-*")
    assert str(aside) in warnings_in(events)[0]
    assert (aside / "seed_1/fold_1/model.keras").exists()
    assert len(list(copied.run("trained").glob("seed_*/fold_*"))) == 1


@pytest.mark.parametrize("name", ["model.keras", "predictions.npz", "metrics.json", "history.csv"])
def test_a_damaged_file_is_reported_and_only_its_member_trained_again(copied, name):
    run = copied.run("trained")
    before, path = probabilities(run), run / "seed_1/fold_0" / name
    path.write_bytes(path.read_bytes()[:-20])
    events = trained_again(copied)
    assert trained_in(events) == {"seed 1 fold 0"}
    (warning,) = warnings_in(events)
    assert str(path) in warning and "trained again" in warning
    assert probabilities(run) == before


class StoppedError(Exception):
    """Ends a training from outside."""


def stop_after(epoch):
    def hear(event):
        if isinstance(event, EpochEnded) and event.epoch == epoch:
            raise StoppedError

    return hear


@pytest.mark.parametrize(
    "harm",
    [lambda content: content[:-100], lambda content: b"", lambda content: content.replace(b"progress", b"regress!")],
    ids=["cut", "empty", "other names"],
)
def test_a_damaged_checkpoint_is_reported_and_its_member_begun_anew(trained, copied, harm):
    run = copied.run("trained")
    before = probabilities(run)
    shutil.rmtree(run / "seed_0/fold_1")
    with pytest.raises(StoppedError):
        train_here(request(copied, "trained", folds=2, seeds=(0, 1)), copied, stop_after(2))
    state = run / "seed_0/fold_1/state.npz"
    state.write_bytes(harm(state.read_bytes()))
    events = trained_again(copied)
    (warning,) = warnings_in(events)
    assert str(state) in warning and "trained again" in warning
    assert [event.epoch for event in events if isinstance(event, EpochEnded)] == [1, 2, 3, 4]
    assert probabilities(run) == before


def test_interrupted_member_resumes_after_its_last_epoch(trained, copied):
    run = copied.run("trained")
    before, straight = probabilities(run), history(run / "seed_0/fold_1")
    shutil.rmtree(run / "seed_0/fold_1")
    with pytest.raises(StoppedError):
        train_here(request(copied, "trained", folds=2, seeds=(0, 1)), copied, stop_after(2))
    events = trained_again(copied)
    assert [event.epoch for event in events if isinstance(event, EpochEnded)] == [3, 4]
    speeds = [event for event in events if isinstance(event, SpeedMeasured)]
    assert [event.member for event in speeds] == [Member(0, 1)] and speeds[0].seconds_per_step > 0
    assert probabilities(run) == before
    assert history(run / "seed_0/fold_1").equals(straight)


def test_several_steps_at_once_make_whole_epochs_and_go_on_as_if_nothing_had_happened(workspace, monkeypatch):
    """As on a GPU, where Keras runs the last of them in full: four at a time make 8 steps of 5."""
    monkeypatch.setattr(backend, "steps_per_execution", lambda: 4)
    wanted = {"folds": 2, "only": [0], "steps_per_epoch": 5}
    events = []
    train_here(request(workspace, "at once", **wanted), workspace, events.append)
    steps = [event for event in events if isinstance(event, StepEnded)]
    assert {event.steps for event in steps} == {8} and max(event.step for event in steps) == 8
    assert scores(workspace.run("at once"))["images"] == 4 * 8 * 32
    with pytest.raises(StoppedError):
        train_here(request(workspace, "at once, stopped", **wanted), workspace, stop_after(2))
    train_here(request(workspace, "at once, stopped", **wanted), workspace)
    assert probabilities(workspace.run("at once, stopped")) == probabilities(workspace.run("at once"))


def test_a_member_that_the_clock_gave_its_length_keeps_it_when_it_goes_on(workspace):
    """A training in MINUTES goes on with planned lengths, but for the members that were begun."""
    straight, stopped = request(workspace, "three", only=[0, 1]), request(workspace, "three, stopped", only=[0, 1])
    lengths = {0: 3, 1: None}  # the second has all of its rows
    train_here(dataclasses.replace(straight, length=lambda member: lengths[member.fold]), workspace)
    with pytest.raises(StoppedError):
        train_here(dataclasses.replace(stopped, length=lambda member: 3), workspace, stop_after(2))
    train_here(stopped, workspace)
    for fold, steps in ((0, 3), (1, 4)):
        own = scores(workspace.run("three, stopped"), f"seed_0/fold_{fold}")
        assert (own["steps_per_epoch"], own["images"]) == (steps, 4 * steps * 32)
    assert probabilities(workspace.run("three, stopped")) == probabilities(workspace.run("three"))


def test_predictions_of_rows_that_were_trained_on_are_refused(copied):
    run = copied.run("trained")
    path = run / "seed_0/fold_0/predictions.npz"
    predictions = files.read_npz(path)
    files.write_npz(path, **predictions | {"trained_rows": np.append(predictions["trained_rows"], predictions["rows"][0])})
    with pytest.raises(UserError, match="trained on rows that it predicts"):
        results.write_results(
            RunFolder(run), request(copied, folds=2).pipeline.experiment, load_dataset(copied), load_folds(run / "folds.csv")
        )


def test_what_a_killed_process_left_half_written_is_removed(copied):
    run = copied.run("trained")
    stale = [run / ".oof.999999999.npz", run / "seed_0/fold_0/.model.999999999.keras"]
    living = run / f".report.{os.getpid()}.html"
    for path in (*stale, living):
        path.write_text("half")
    trained_again(copied)
    assert not any(path.exists() for path in stale)
    assert living.exists()


# --- guards against fooling oneself


def test_copies_across_folds_and_a_score_too_good_are_reported(tmp_path):
    """A third of the rows are copies of others, and the score is said to be perfect."""
    workspace = make_workspace(tmp_path)
    path = tmp_path / "some" / "train.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], *lines[1:81], *lines[1:81]]))
    from digit_recognizer.data import sources

    sources.fetch(str(tmp_path / "some"), workspace, force=True)
    events = []
    found = train_here(request(workspace, only=[0], epochs=1), workspace, events.append)
    assert 80 < found.copies_across_folds < 160
    assert any(f"{found.copies_across_folds} training images have an exact copy" in line for line in warnings_in(events))
    assert results.score_warnings(dataclasses.replace(found, copies_across_folds=0, oof_accuracy=0.9985)) == []
    (warning,) = results.score_warnings(dataclasses.replace(found, copies_across_folds=0, oof_accuracy=0.9987))
    assert "0.9987" in warning and "leak" in warning


# --- processes


def test_side_by_side_or_one_after_another_gives_the_same_bytes(workspace):
    found = []
    for run, jobs, only in (("one", 1, [0, 2]), ("two", 2, [2, 0])):
        train(request(workspace, run, only=only, jobs=jobs), workspace)
        found.append(probabilities(workspace.run(run)))
    assert found[0] == found[1]


def test_a_killed_worker_gives_a_clear_line(workspace):
    def kill_worker(event):
        if isinstance(event, EpochEnded):
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    with pytest.raises(UserError, match=r"seed 0 fold 0: its process ended \(killed.*goes on from its last epoch"):
        train(request(workspace, "killed", only=[0], epochs=1000, early_stopping__patience=999), workspace, kill_worker)
    assert not multiprocessing.active_children()


def test_a_pipeline_deleted_meanwhile_gives_a_clear_line(copied):
    def delete(event):
        (copied.root / "pipelines" / "tiny.py").unlink(missing_ok=True)

    with pytest.raises(UserError, match=r"seed 0 fold 0: PIPELINE=.*tiny\.py: there is no such file"):
        train(request(copied, "deleted", only=[0]), copied, delete)


def test_a_worker_that_cannot_start_gives_a_clear_line(workspace, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    multiprocessing.set_executable("/bin/false")
    try:
        with pytest.raises(UserError, match=r"seed 0 fold 0: its process ended \(exit status 1\)"):
            train(request(workspace, "unstarted", only=[0]), workspace)
    finally:
        monkeypatch.undo()
        multiprocessing.set_executable(sys.executable)


def test_ctrl_c_ends_all_processes_with_one_line(workspace):
    command = [sys.executable, "-m", "digit_recognizer", "--workspace", str(workspace.root)]
    command += [
        "train",
        "--pipeline=tiny",
        "--run=stopped-by-hand",
        "--folds=0",
        "--set=epochs=5000 early_stopping.patience=5000",
    ]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=environment(), start_new_session=True, **pipes)
    while "epoch 1/" not in process.stdout.readline():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == "digit-recognizer: stopped: what is finished is kept, and the same command goes on from there"
    assert "Traceback" not in output + (workspace.run("stopped-by-hand") / "log.txt").read_text()
    with pytest.raises(ProcessLookupError):  # the last one, Python's own, takes a moment
        for _ in range(1000):
            os.killpg(process.pid, 0)
            time.sleep(0.01)
    assert (workspace.run("stopped-by-hand") / "seed_0/fold_0/state.npz").exists()


def test_a_second_process_on_the_same_run_is_refused_until_the_first_is_dead(tmp_path):
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


def test_a_folder_of_runs_that_cannot_be_written_is_named(copied):
    shutil.rmtree(copied.runs)
    copied.runs.write_text("no folder")
    with pytest.raises(UserError, match=r"runs/tiny can't be written: "):
        train_here(request(copied), copied)
