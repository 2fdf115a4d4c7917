"""Rehearsals: parts of train.csv as mock test sets, their results, and the expected score of a submission."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import tiny_run

from digit_recognizer.data.dataset import load_dataset, load_test_labels, read_record
from digit_recognizer.errors import UserError
from digit_recognizer.rehearsal import comparison, parts, rehearse, results
from digit_recognizer.rehearsal.results import PartResult
from digit_recognizer.workspace import Workspace

QUICK = {"folds": 2, "epochs": 1}
RESULT = PartResult("fast", "abc", part=0, right=6972, n=7000, oof=0.9955, seconds=100.0, commit="unknown")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    """A workspace with two rehearsed parts of a tiny pipeline."""
    made = tiny_run.make_workspace(tmp_path_factory.mktemp("rehearsal"), rows=400, test_rows=40)
    for part in (0, 4):
        tiny_run.rehearse_here([tiny_run.request(made, **QUICK)], "tiny", part, made)
    return made


def test_each_training_row_is_tested_in_one_part_and_trains_in_the_others(tmp_path):
    made = tiny_run.make_workspace(tmp_path, rows=400)
    whole = load_dataset(made)
    tested = []
    for part in range(parts.PARTS):
        data = load_dataset(parts.make_part(made, part))
        assert len(data.images) + len(data.test_images) == len(whole.images)
        labels = load_test_labels(parts.part_workspace(made, part))
        assert abs(np.bincount(labels, minlength=10) - np.bincount(whole.labels) / 6).max() < 1  # stratified
        tested += [image.tobytes() for image in data.test_images]
    assert sorted(tested) == sorted(image.tobytes() for image in whole.images)


def test_result_is_the_score_of_the_submission_on_the_held_out_part(workspace):
    inner = parts.part_workspace(workspace, 4)
    submitted = pd.read_csv(inner.submissions / "tiny.csv")["Label"].to_numpy()
    (row,) = [row for row in results.read_results(workspace) if row.part == 4]
    assert row.right == (submitted == load_test_labels(inner)).sum()
    assert row.n == len(submitted)
    assert 0 < row.oof < 1


def test_rehearsing_again_trains_nothing_and_keeps_one_row(workspace):
    before = results.read_results(workspace)
    trained = (parts.part_workspace(workspace, 0).run("tiny") / "seed_0/fold_0/model.keras").stat().st_mtime_ns
    tiny_run.rehearse_here([tiny_run.request(workspace, **QUICK)], "tiny", 0, workspace)
    after = results.read_results(workspace)
    assert (parts.part_workspace(workspace, 0).run("tiny") / "seed_0/fold_0/model.keras").stat().st_mtime_ns == trained
    assert sorted(after, key=lambda row: row.part) == sorted(before, key=lambda row: row.part)


def test_real_run_of_the_same_settings_gets_the_rehearsed_expectation(workspace):
    tiny_run.train_here(tiny_run.request(workspace, **QUICK), workspace)
    expected = rehearse.expectation(workspace, ["tiny"])
    rows = results.read_results(workspace)
    assert (expected.right, expected.n, expected.parts) == (sum(row.right for row in rows), sum(row.n for row in rows), 2)
    tiny_run.train_here(tiny_run.request(workspace, run="other", **QUICK | {"epochs": 2}, only=[0]), workspace)
    assert rehearse.expectation(workspace, ["other"]) is None


def test_partly_trained_run_gets_no_expectation(workspace):
    tiny_run.train_here(tiny_run.request(workspace, run="partial", **QUICK, only=[0]), workspace)
    assert rehearse.expectation(workspace, ["partial"]) is None


def test_comparison_counts_images_of_all_common_parts(workspace):
    for part in (0, 4):
        inner = parts.part_workspace(workspace, part)
        table = pd.read_csv(inner.submissions / "tiny.csv")
        table["Label"] = load_test_labels(inner)
        table.to_csv(inner.submissions / "perfect.csv", index=False)
    compared = comparison.compare_rehearsed("tiny", "perfect", workspace)
    assert compared.parts == [0, 4]
    assert compared.comparison.only_first_right == 0
    rows = results.read_results(workspace)
    assert compared.comparison.only_second_right == sum(row.n - row.right for row in rows)


def test_blends_of_the_same_runs_are_compared_without_training(workspace):
    compared = comparison.compare_rehearsed("tiny", "tiny@equal weights", workspace)
    assert compared.comparison.images == 0


@pytest.mark.parametrize("names", [("tiny", "unknown"), ("tiny", "tiny@unknown")])
def test_comparison_with_a_submission_that_was_not_rehearsed_is_refused(workspace, names):
    with pytest.raises(UserError, match="unknown"):
        comparison.compare_rehearsed(*names, workspace)


def test_rehearsal_is_not_marked_as_competition_data(workspace):
    assert not read_record(parts.part_workspace(workspace, 0)).competition


def test_parts_outside_the_six_are_refused():
    with pytest.raises(UserError, match="there is no part 6; a rehearsal has parts 0 to 5"):
        parts.check_parts([0, 6])


def test_too_few_rows_are_refused(tmp_path):
    made = tiny_run.make_workspace(tmp_path, rows=40)
    with pytest.raises(UserError, match="too few rows to rehearse"):
        parts.make_part(made, 0)
    assert not (made.root / "rehearsal/part_0/input/train.csv").exists()


def test_other_data_than_that_rehearsed_before_is_refused(tmp_path):
    made = tiny_run.make_workspace(tmp_path, rows=400)
    parts.make_part(made, 0)
    (tmp_path / "elsewhere").mkdir()
    other = tiny_run.make_workspace(tmp_path / "elsewhere", rows=380)
    (tmp_path / "rehearsal").rename(other.root / "rehearsal")
    with pytest.raises(UserError, match="has rehearsals of other data"):
        parts.make_part(other, 0)


def test_changed_pipeline_is_refused(workspace):
    with pytest.raises(UserError, match="epochs: 1 -> 3"):
        tiny_run.rehearse_here([tiny_run.request(workspace, **QUICK | {"epochs": 3})], "tiny", 0, workspace)


def test_table_keeps_one_row_for_each_part_and_settings(tmp_path):
    made = Workspace(tmp_path)
    for row in (RESULT, dataclasses.replace(RESULT, part=1), dataclasses.replace(RESULT, right=6900)):
        results.record_result(made, row)
    assert [(row.part, row.right) for row in results.read_results(made)] == [(1, 6972), (0, 6900)]


@pytest.mark.parametrize(
    "damage", ["pipeline,part\nfast,x\n", "", "pipeline,settings,part,right,n,oof,seconds,commit\nf,s,0,9,7,1,1,c\n"]
)
def test_damaged_table_is_a_one_line_error(tmp_path, damage):
    made = Workspace(tmp_path)
    results.record_result(made, RESULT)
    results.results_path(made).write_text(damage)
    with pytest.raises(UserError, match=r"results\.csv is damaged"):
        results.read_results(made)


def test_changed_cell_of_the_table_is_a_one_line_error(tmp_path):
    made = Workspace(tmp_path)
    results.record_result(made, RESULT)
    text = results.results_path(made).read_text()
    for old in (str(RESULT.right), str(RESULT.oof), "seconds", RESULT.pipeline, "\n"):
        results.results_path(made).write_text(text.replace(old, f"{old}1" if old.isalnum() else f"1{old}", 1))
        with pytest.raises(UserError, match=r"results\.csv is damaged"):
            results.read_results(made)


def test_table_of_an_earlier_version_has_no_checksums(tmp_path):
    made = Workspace(tmp_path)
    results.record_result(made, RESULT)
    lines = results.results_path(made).read_text().splitlines()
    results.results_path(made).write_text("".join(f"{line.rpartition(',')[0]}\n" for line in lines))
    assert results.read_results(made) == [RESULT]


def test_accuracy_of_all_parts_has_the_interval_of_all_images():
    rehearsed = results.together([RESULT, dataclasses.replace(RESULT, part=1, right=6980)])
    assert rehearsed.accuracy.value == pytest.approx(13_952 / 14_000)
    assert rehearsed.accuracy.low < 0.9966 < rehearsed.accuracy.high
