"""Writing a run's results from its members' files, and checks of all files on reading."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from synthetic_run import make_dataset, make_run

from digit_recognizer import files, metrics
from digit_recognizer.data.folds import load_folds
from digit_recognizer.errors import DamagedError, UserError
from digit_recognizer.experiment import Experiment
from digit_recognizer.models.networks import mlp
from digit_recognizer.runs import results
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.member import Member
from digit_recognizer.runs.records import read_member_metrics, read_run_metrics, read_run_record
from digit_recognizer.runs.results import Predictions, is_finished, score_warnings, write_results
from digit_recognizer.runs.run import read_run

EXPERIMENT = Experiment(network=mlp, folds=3)


@pytest.fixture(scope="module")
def dataset():
    return make_dataset(120)


@pytest.fixture
def run(tmp_path, dataset):
    """A run of three folds and two seeds."""
    return make_run(tmp_path / "run", dataset, accuracy=0.8, seeds=(0, 1), folds=3)


def rewrite(run, member, **changes):
    """Change a member's predictions, and its checksums with them."""
    folder = run.member(member)
    replace(Predictions.read(folder.predictions), **changes).write(folder.predictions)
    files.write_record(folder.metrics, replace(read_member_metrics(folder), sha256=results.checksums(folder)))


def write_again(run, dataset):
    return write_results(run, EXPERIMENT, dataset, load_folds(run.folds))


def test_oof_is_the_mean_over_seeds_and_test_the_mean_over_members(run, dataset):
    found = read_run(run, dataset)
    by_fold = {}
    for result in found.members:
        by_fold.setdefault(result.member.fold, []).append(result.predictions)
    for both in by_fold.values():
        mean = np.mean([predictions.valid for predictions in both], axis=0)
        assert found.probabilities[both[0].rows] == pytest.approx(mean, abs=1e-7)
    every = [result.predictions.test for result in found.members]
    assert len(every) == 6
    assert found.test == pytest.approx(np.mean(every, axis=0), abs=1e-7)


def test_rows_of_folds_that_are_not_trained_have_no_prediction(tmp_path, dataset):
    found = read_run(make_run(tmp_path / "partial", dataset, folds=3, finished=[0, 2]), dataset)
    assert np.array_equal(metrics.predicted_rows(found.probabilities), found.fold != 1)
    assert found.metrics.partial
    assert (found.metrics.members, found.metrics.members_planned, found.metrics.folds_done) == (2, 3, [0, 2])
    assert set(found.fold_accuracies) == {0, 2}


def test_run_on_all_rows_has_no_out_of_fold_figures(tmp_path, dataset):
    found = read_run(make_run(tmp_path / "full", dataset, full=True), dataset)
    assert found.metrics.accuracy is None
    assert not len(found.rows)
    assert np.isnan(found.log_loss)


def test_metrics_are_those_of_the_probabilities(run, dataset):
    found, scores = read_run(run, dataset), read_run_metrics(run)
    assert scores.accuracy == found.accuracy == metrics.accuracy(dataset.labels, found.probabilities)
    assert scores.oof_log_loss == pytest.approx(found.log_loss)
    assert scores.fold_accuracy == pytest.approx([fold.value for fold in found.fold_accuracies.values()])
    assert (scores.seconds, scores.images_per_second) == (6 * 61.5, round(50_000 / 61.5))
    assert (scores.oof_rows, scores.folds, scores.epoch_selected_on_fold) == (120, 5 - 2, False)


def test_errors_are_the_wrong_rows_most_confident_first(run, dataset):
    table, found = pd.read_csv(run.errors), read_run(run, dataset)
    assert list(table.columns) == ["row", "fold", "label", "prediction", "probability"]
    assert table["row"].tolist() == found.wrong.tolist()
    assert len(table) > 5
    assert table["probability"].is_monotonic_decreasing
    assert np.array_equal(table["prediction"], found.predictions[found.wrong])


def test_member_that_predicts_its_training_rows_is_refused(run, dataset):
    member = Member(1, 2)
    rows = Predictions.read(run.member(member).predictions)
    rewrite(run, member, trained_rows=np.append(rows.trained_rows, rows.rows[0]))
    with pytest.raises(UserError, match=r"fold_2: it was trained on rows that it predicts"):
        write_again(run, dataset)


def test_member_of_other_rows_than_its_folds_is_refused(run, dataset):
    rows = Predictions.read(run.member(Member(0, 1)).predictions).rows
    rewrite(run, Member(0, 1), rows=rows[::-1])
    with pytest.raises(UserError, match=r"fold_1: its rows are not those of its fold in folds\.csv"):
        write_again(run, dataset)


@pytest.mark.parametrize("name", ["model.keras", "summary.txt", "history.csv", "predictions.npz"])
def test_changed_or_missing_file_of_a_member_is_named(name, run, dataset):
    path = run.member(Member(0, 1)).path / name
    content = path.read_bytes()
    for harm in (lambda: path.write_bytes(content + b" "), path.unlink):
        harm()
        with pytest.raises(DamagedError, match=rf"fold_1/{name} is damaged or missing: `make train`"):
            is_finished(run, Member(0, 1))
        with pytest.raises(DamagedError, match=name):
            read_run(run, dataset)
    path.write_bytes(content)
    assert is_finished(run, Member(0, 1))


def test_member_in_the_folder_of_another_is_found(run):
    for path in run.member(Member(1, 0)).path.iterdir():
        path.replace(run.member(Member(0, 0)).path / path.name)
    with pytest.raises(DamagedError, match=r"metrics\.json is of another model \(seed 1, fold 0\)"):
        is_finished(run, Member(0, 0))


@pytest.mark.parametrize("name", ["oof.npz", "test.npz", "seed_0/fold_1"])
def test_files_of_another_run_are_found(name, run, dataset):
    other = make_run(run.path.with_name("other"), dataset, accuracy=0.5)
    shutil.rmtree(run.path / name) if (run.path / name).is_dir() else (run.path / name).unlink()
    (other.path / name).rename(run.path / name)
    with pytest.raises(DamagedError, match=rf"{name}.* is damaged, missing or of another run: `make train`"):
        read_run(run, dataset)


def test_record_of_another_run_is_found(run, dataset):
    other = make_run(run.path.with_name("other"), dataset, folds=3, epochs=2)
    other.record.replace(run.record)
    with pytest.raises(DamagedError, match=r"experiment\.json is of another run than metrics\.json: train under another name"):
        read_run(run, dataset)


def test_added_seeds_do_not_change_whose_record_it_is(run, dataset):
    record = read_run_record(run)
    files.write_record(run.record, replace(record, settings={**record.settings, "seeds": [0, 1, 7]}))
    assert read_run(run, dataset).record.seeds == [0, 1, 7]


def test_member_of_another_run_is_not_finished(run, dataset):
    other, member = make_run(run.path.with_name("other"), dataset, accuracy=0.5), Member(0, 1)
    shutil.rmtree(run.member(member).path)
    other.member(member).path.rename(run.member(member).path)
    with pytest.raises(DamagedError, match=r"fold_1/metrics\.json is of another run: `make train` trains this model again"):
        is_finished(run, member)


def test_two_members_in_each_others_folders_are_found(run, dataset):
    first, second = (run.member(Member(0, fold)).path for fold in (0, 1))
    first.rename(run.path / "first")
    second.rename(first)
    (run.path / "first").rename(second)
    with pytest.raises(DamagedError, match=r"fold_0/metrics\.json is damaged, missing or of another run"):
        read_run(run, dataset)


@pytest.mark.parametrize(
    "settings", [{}, {"seeds": "0", "folds": 5, "fold_seed": 0}, {"seeds": [0], "folds": None, "fold_seed": 0}]
)
def test_record_without_the_settings_that_are_read_is_damaged(settings, run):
    record = read_run_record(run)
    files.write_record(run.record, replace(record, settings=settings))
    with pytest.raises(DamagedError, match=r"experiment\.json is damaged \(its settings have no valid (seeds|folds)\)"):
        read_run_record(run)


def test_the_message_about_a_run_without_results_has_the_command_that_resumes_it(run, dataset):
    run.metrics.unlink()
    renamed = RunFolder(run.path.rename(run.path.with_name("other")))
    with pytest.raises(UserError, match=r"other has no results yet: `make train PIPELINE=run RUN=other` resumes it"):
        read_run(renamed, dataset)


def test_member_without_metrics_is_not_finished(run):
    run.member(Member(0, 0)).metrics.unlink()
    assert not is_finished(run, Member(0, 0))
    assert Member(0, 0) not in run.finished()


@pytest.mark.parametrize("column", ["epoch", "val_accuracy"])
def test_history_without_a_column_is_named_with_it(column, run):
    path = run.member(Member(0, 0)).history
    pd.read_csv(path).drop(columns=column).to_csv(path, index=False)
    with pytest.raises(DamagedError, match=rf"history\.csv is damaged \(column {column} is missing"):
        results.read_table(path, results.HISTORY)


def test_steps_are_read_where_they_were_measured(tmp_path, dataset):
    (result,) = read_run(make_run(tmp_path / "steps", dataset, folds=3, finished=[0], steps=True), dataset).members
    assert list(result.steps.columns) == ["step", "loss", "val_accuracy"]


def test_probabilities_that_are_not_the_mean_of_the_members_are_detected(run, dataset):
    found = read_run(run, dataset)
    results.check_averages(run, found.fold, found.probabilities, found.test)
    for changed in ((found.probabilities[::-1], found.test), (found.probabilities, found.test[::-1])):
        with pytest.raises(UserError, match="is not the average of the members"):
            results.check_averages(run, found.fold, *changed)


def test_copies_across_folds_and_a_suspicious_accuracy_give_warnings(run):
    scores = replace(read_run_metrics(run), copies_across_folds=0, oof_accuracy=0.9985)
    assert score_warnings(scores) == []
    assert score_warnings(replace(scores, oof_accuracy=None)) == []
    (warning,) = score_warnings(replace(scores, oof_accuracy=0.99851))
    assert "0.9985" in warning and "leak" in warning
    (warning,) = score_warnings(replace(scores, copies_across_folds=1))
    assert warning.startswith("1 training images have an exact copy in another fold")
