"""Blending runs: checks of the runs, the choice of the method, and scores on rows that the weights were not fitted on."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import synthetic_run
from synthetic_run import guesses
from tiny_run import make_workspace

from digit_recognizer import files, metrics
from digit_recognizer.cli import main
from digit_recognizer.data.dataset import load_dataset
from digit_recognizer.ensemble.blending import FittedBlend, choose_method, compute_blend, nested_predictions, write_blend
from digit_recognizer.ensemble.methods import METHODS, ArithmeticMean
from digit_recognizer.errors import UserError
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.records import read_run_record
from digit_recognizer.submission.record import read_submission_record


@pytest.fixture
def workspace(tmp_path):
    return make_workspace(tmp_path, rows=1437, test_rows=40)


def make_run(workspace, name, accuracy=0.9, seed=0, trained=None, **options):
    """Write a run with invented predictions and `trained` folds (default: all); return its out-of-fold probabilities."""
    data = load_dataset(workspace)
    oof = guesses(data.labels, accuracy, seed)
    run = synthetic_run.make_run(workspace.run(name), data, oof=oof, finished=trained, **options)
    return files.read_npz(run.oof)["probabilities"]


def written(workspace, runs, name):
    """Blend runs, write the submission and return the blend."""
    blend = compute_blend(workspace, runs, name)
    write_blend(blend, workspace)
    return blend


def test_one_run_is_averaged_and_written(workspace):
    oof = make_run(workspace, "one")
    blend = written(workspace, ["one"], "one")
    assert blend.weights == {"one": 1.0}
    assert blend.accuracy == metrics.accuracy(load_dataset(workspace).labels, oof)
    table = pd.read_csv(workspace.submissions / "one.csv")
    assert list(table["ImageId"]) == list(range(1, 41))
    stored = files.read_npz(RunFolder.of(workspace, "one").test)["probabilities"]
    assert np.array_equal(table["Label"], stored.argmax(axis=1))
    assert [score.method for score in blend.methods] == ["equal weights"]
    assert blend.partial == []
    assert (blend.to_submit, blend.best_run, blend.against_best_run) == ("one", "one", None)


def test_same_runs_give_the_same_file(workspace):
    make_run(workspace, "a", seed=1)
    make_run(workspace, "b", seed=2)
    first = written(workspace, ["a", "b"], "a+b").csv.read_bytes()
    assert written(workspace, ["a", "b"], "a+b").csv.read_bytes() == first


def test_computing_a_blend_writes_nothing(workspace):
    make_run(workspace, "a")
    compute_blend(workspace, ["a"], "a")
    assert not workspace.submissions.exists()


def test_blend_that_cannot_be_saved_is_printed(workspace, capsys):
    make_run(workspace, "one")
    workspace.submissions.write_text("a file in place of the folder")
    assert main(["--workspace", str(workspace.root), "ensemble", "--run=one"]) == 1
    printed = capsys.readouterr()
    assert f"{compute_blend(workspace, ['one'], 'one').accuracy.value:.5f}" in printed.out
    assert re.fullmatch(r"digit-recognizer: .*submissions/one\.csv can't be written: .*\n", printed.err)


def test_method_can_be_named(workspace):
    for name, seed in (("a", 1), ("b", 2)):
        make_run(workspace, name, seed=seed)
    assert compute_blend(workspace, ["a", "b"], "a+b", method="stacking").method == "stacking"


def probabilities_with(right: np.ndarray) -> np.ndarray:
    """Return probabilities of two classes that are right where `right` says so; every label is 0."""
    return np.where(right[:, None], [0.9, 0.1], [0.1, 0.9])


@pytest.mark.parametrize(
    ("wins", "losses", "chosen"),
    [(5, 0, "second"), (4, 0, "first"), (15, 5, "second"), (14, 6, "first"), (0, 0, "first"), (0, 20, "first")],
)
def test_simplest_method_is_chosen_unless_another_is_better_with_p_below_5_percent(wins, losses, chosen):
    """McNemar's mid-p of 5 against 0 images is 0.031, of 4 against 0 0.063; of 15 against 5 0.027, of 14 against 6 0.078."""
    rows = np.arange(100)
    first, second = rows >= wins, (rows < wins) | (rows >= wins + losses)
    nested = {"first": probabilities_with(first), "second": probabilities_with(second)}
    scores = choose_method(nested, np.zeros(100, int))
    assert [score.method for score in scores if score.chosen] == [chosen]
    assert [score.images for score in scores] == [0, wins - losses]


def test_of_several_better_methods_that_with_most_images_right_is_chosen():
    rows = np.arange(100)
    nested = {name: probabilities_with(rows >= missed) for name, missed in (("a", 40), ("b", 10), ("c", 20))}
    assert [score.method for score in choose_method(nested, np.zeros(100, int)) if score.chosen] == ["b"]


def test_unequal_runs_are_not_weighted_equally(workspace):
    make_run(workspace, "a", accuracy=0.9, seed=1)
    for name in "bcd":  # the same mistakes three times
        make_run(workspace, name, accuracy=0.7, seed=3)
    blend = written(workspace, ["a", "b", "c", "d"], "a+b+c+d")
    assert blend.method != "equal weights"
    assert next(score for score in blend.methods if score.chosen).p_value < 0.05


def test_blend_no_better_than_its_best_run_recommends_that_run(workspace):
    make_run(workspace, "good", accuracy=0.95, seed=1)
    make_run(workspace, "bad", accuracy=0.1, seed=2)
    blend = compute_blend(workspace, ["bad", "good"], "both")
    assert blend.best_run == "good"
    assert blend.against_best_run.images <= 0
    assert blend.to_submit == "good"


def test_blend_better_than_its_best_run_is_recommended(workspace):
    for name, seed in (("a", 1), ("b", 2), ("c", 3)):
        make_run(workspace, name, accuracy=0.8, seed=seed)
    blend = compute_blend(workspace, ["a", "b", "c"], "abc")
    assert blend.against_best_run.images > 0
    assert blend.to_submit == "abc"


def test_record_describes_the_blend(workspace):
    make_run(workspace, "a", seed=1)
    make_run(workspace, "b", seed=2, trained=[0, 1])
    blend = written(workspace, ["a", "b"], "a+b")
    record = read_submission_record(blend.csv)
    assert record.runs == ["a", "b"]
    assert record.members == {"a": 5, "b": 2}
    assert record.partial == ["b"] == blend.partial
    assert [score.method for score in record.methods] == [method.name for method in METHODS]
    assert record.oof_accuracy == blend.accuracy.value
    assert record.best_run.images == blend.against_best_run.images
    assert json.loads(blend.csv.with_suffix(".json").read_text())["sha256"] == files.sha256_of(blend.csv)


@pytest.mark.parametrize("method", METHODS)
def test_nested_estimate_does_not_depend_on_the_labels_it_is_scored_on(method):
    random = np.random.default_rng(0)
    labels, folds = random.integers(0, 10, 500), np.arange(500) % 5
    stack = np.stack([guesses(labels, 0.8, seed) for seed in range(3)]).astype(np.float64)
    before = nested_predictions([method], stack, labels, folds)[method.name]
    changed = np.where(folds == 2, 9 - labels, labels)
    after = nested_predictions([method], stack, changed, folds)[method.name]
    assert np.array_equal(after[folds == 2], before[folds == 2])
    assert not np.array_equal(after[folds != 2], before[folds != 2])


def unsure_and_sure(labels):
    """Return a stack of a good underconfident run and a worse overconfident one."""
    unsure, sure = guesses(labels, 0.98, 1).astype(np.float64), guesses(labels, 0.8, 2).astype(np.float64)
    return np.stack([metrics.apply_temperature(unsure, 3), metrics.apply_temperature(sure, 0.3)])


@pytest.mark.parametrize("method", METHODS)
def test_good_underconfident_run_has_more_influence_than_a_worse_overconfident_one(method):
    labels, folds = np.random.default_rng(0).integers(0, 10, 5000), np.arange(5000) % 5
    blended = nested_predictions([method], unsure_and_sure(labels), labels, folds)[method.name]
    assert (blended.argmax(axis=1) == labels).mean() > 0.97


def test_figure_of_a_single_fold_is_that_of_the_submitted_blend():
    labels = np.random.default_rng(0).integers(0, 10, 500)
    stack = unsure_and_sure(labels)
    nested = nested_predictions(METHODS, stack, labels, np.zeros(500, int))
    assert list(nested) == ["equal weights"]
    assert np.array_equal(nested["equal weights"], FittedBlend.fit(ArithmeticMean, stack, labels).apply(stack))
    assert (nested["equal weights"].argmax(axis=1) == labels).mean() > 0.95


def test_runs_of_other_folds_are_not_mixed(workspace):
    make_run(workspace, "a")
    make_run(workspace, "b", fold_seed=1)
    with pytest.raises(UserError, match="runs 'a' and 'b' have different folds"):
        written(workspace, ["a", "b"], "a+b")
    assert not (workspace.submissions / "a+b.csv").exists()


def test_run_of_other_data_is_refused(workspace):
    make_run(workspace, "a")
    make_run(workspace, "b")
    run = RunFolder.of(workspace, "b")
    record = read_run_record(run)
    files.write_record(run.record, replace(record, dataset=replace(record.dataset, sha256="other", source="mnist")))
    with pytest.raises(UserError, match="run 'b' was trained on mnist, but input/ holds "):
        written(workspace, ["a", "b"], "a+b")


def test_runs_without_a_common_row_cannot_be_blended(workspace):
    make_run(workspace, "a", trained=[0])
    make_run(workspace, "b", trained=[1])
    with pytest.raises(UserError, match="no training image is predicted by all of them"):
        written(workspace, ["a", "b"], "a+b")


def test_missing_run_is_an_error_that_lists_all_runs(workspace):
    make_run(workspace, "a")
    with pytest.raises(UserError, match=r"there is no run 'x' in .*; there are: a\. "):
        written(workspace, ["x"], "x")


def test_damaged_run_is_named(workspace):
    make_run(workspace, "a")
    RunFolder.of(workspace, "a").oof.write_bytes(b"PK")
    with pytest.raises(UserError, match=r"oof\.npz is damaged"):
        written(workspace, ["a"], "a")
