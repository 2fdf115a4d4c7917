"""Blending: which runs go together, which method is chosen, and figures from rows that the weights were not fitted on."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import synthetic_run
from tiny_run import make_workspace

from digit_recognizer import files, metrics
from digit_recognizer.cli import console
from digit_recognizer.data.dataset import load_dataset
from digit_recognizer.ensemble import blending, neighbours
from digit_recognizer.errors import UserError
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.records import read_run_record


@pytest.fixture
def workspace(tmp_path):
    return make_workspace(tmp_path, rows=1437, test_rows=40)


def guesses(labels, accuracy, seed):
    """Probabilities of a model that is right about so often."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(len(labels), 10))
    right = random.random(len(labels)) < accuracy
    logits[np.arange(len(labels)), np.where(right, labels, random.integers(0, 10, len(labels)))] += 6
    return (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)


def make_run(workspace, name, accuracy=0.9, seed=0, trained=None, **options):
    """Write a run with invented predictions and `trained` folds (default: all); return its out-of-fold probabilities."""
    data = load_dataset(workspace)
    oof = guesses(data.labels, accuracy, seed)
    run = synthetic_run.make_run(workspace.run(name), data, oof=oof, finished=trained, **options)
    return files.read_npz(run.oof)["probabilities"]


def test_one_run_is_averaged_and_written(workspace):
    oof = make_run(workspace, "one")
    blend = blending.blend(workspace, ["one"], "one")
    assert blend.weights == {"one": 1.0}
    assert blend.accuracy == metrics.accuracy(load_dataset(workspace).labels, oof)
    table = pd.read_csv(workspace.submissions / "one.csv")
    assert list(table["ImageId"]) == list(range(1, 41))
    stored = files.read_npz(workspace.run("one") / "test.npz")["probabilities"]
    assert np.array_equal(table["Label"], stored.argmax(axis=1))
    assert blend.partial == []


def test_the_same_runs_give_the_same_file(workspace):
    make_run(workspace, "a", seed=1)
    make_run(workspace, "b", seed=2)
    first = blending.blend(workspace, ["a", "b"], "a+b").csv.read_bytes()
    assert blending.blend(workspace, ["a", "b"], "a+b").csv.read_bytes() == first


def test_equal_weights_stay_unless_another_method_is_better_beyond_chance(workspace):
    for name, seed in (("a", 1), ("b", 2)):
        make_run(workspace, name, accuracy=0.9, seed=seed)
    alike = blending.blend(workspace, ["a", "b"], "a+b")
    assert next(score.method for score in alike.table if score.chosen) == "equal weights"
    for name in "bcd":  # three times the same mistakes
        make_run(workspace, name, accuracy=0.7, seed=3)
    uneven = blending.blend(workspace, ["a", "b", "c", "d"], "a+b+c+d")
    chosen = next(score for score in uneven.table if score.chosen)
    assert chosen.method != "equal weights"
    assert chosen.p_value < 0.05


def test_a_blend_is_compared_with_the_best_of_its_runs(workspace):
    make_run(workspace, "good", accuracy=0.95, seed=1)
    make_run(workspace, "bad", accuracy=0.5, seed=2)
    assert blending.blend(workspace, ["good"], "good").against_best == ""
    together = blending.blend(workspace, ["bad", "good"], "both")
    assert together.against_best.startswith("against good alone: ")
    assert json.loads(together.csv.with_suffix(".json").read_text())["against_best"] == together.against_best


def test_the_record_says_how_it_was_blended(workspace):
    make_run(workspace, "a", seed=1)
    make_run(workspace, "b", seed=2, trained=[0, 1])
    blend = blending.blend(workspace, ["a", "b"], "a+b")
    record = json.loads(blend.csv.with_suffix(".json").read_text())
    assert record["runs"] == ["a", "b"]
    assert record["members"] == {"a": 5, "b": 2}
    assert record["partial"] == ["b"] == blend.partial
    assert {score["method"] for score in record["methods"]} == {kind.name for kind in blending.METHODS}
    assert record["oof_accuracy"] == blend.accuracy.value


@pytest.fixture
def torn(workspace, monkeypatch):
    """A run that is torn between two digits in a tenth of the images, mostly for the wrong one."""
    monkeypatch.setattr(neighbours, "DOUBTFUL", 0.1)
    monkeypatch.setattr(neighbours, "CANDIDATES", 10)
    oof, labels = make_run(workspace, "torn", accuracy=1.0), load_dataset(workspace).labels
    rows = np.arange(0, len(labels), 10)
    oof[rows] = 0.01
    oof[rows, labels[rows]] = np.where(np.arange(len(rows)) % 3, 0.45, 0.47)
    oof[rows, (labels[rows] + 1) % 10] = 0.92 - oof[rows, labels[rows]]
    stored = workspace.run("torn") / "oof.npz"
    files.write_npz(stored, **files.read_npz(stored) | {"probabilities": oof})
    return oof


def test_what_a_blend_is_least_sure_of_is_looked_at_again(workspace, torn):
    blend = blending.blend(workspace, ["torn"], "torn")
    labels = load_dataset(workspace).labels
    assert blend.accuracy.value > metrics.accuracy(labels, torn).value + 0.05
    assert blend.accuracy == metrics.accuracy(labels, blend.oof)
    record = json.loads(blend.csv.with_suffix(".json").read_text())
    assert record["second_look"]["used"]
    assert record["second_look"]["gain"] == str(blend.second_look)
    assert record["oof_accuracy"] == blend.accuracy.value
    assert np.array_equal(pd.read_csv(blend.csv)["Label"], blend.second_look.test.argmax(axis=1))
    assert "second look at 144 doubtful images, used: +" in list(console.blend_lines(blend))[-2]


def test_a_second_look_that_is_no_better_beyond_chance_is_not_used(workspace, torn, monkeypatch):
    monkeypatch.setattr(metrics, "SIGNIFICANT", 0)
    blend = blending.blend(workspace, ["torn"], "torn")
    assert not json.loads(blend.csv.with_suffix(".json").read_text())["second_look"]["used"]
    assert blend.accuracy == metrics.accuracy(load_dataset(workspace).labels, torn)
    stored = files.read_npz(workspace.run("torn") / "test.npz")["probabilities"].argmax(axis=1)
    assert np.array_equal(pd.read_csv(blend.csv)["Label"], stored)
    assert not np.array_equal(blend.second_look.test.argmax(axis=1), stored)


def test_a_few_images_are_not_looked_at_again(workspace):
    make_run(workspace, "one")
    blend = blending.blend(workspace, ["one"], "one")
    assert blend.second_look is None
    assert json.loads(blend.csv.with_suffix(".json").read_text())["second_look"] is None


@pytest.mark.parametrize("kind", blending.METHODS)
def test_a_nested_estimate_is_blind_to_the_labels_it_is_scored_on(kind):
    random = np.random.default_rng(0)
    labels, folds = random.integers(0, 10, 500), np.arange(500) % 5
    stack = np.stack([guesses(labels, 0.8, seed) for seed in range(3)]).astype(np.float64)
    before = blending._nested([kind], stack, labels, folds)[kind.name]
    changed = np.where(folds == 2, 9 - labels, labels)
    assert np.array_equal(blending._nested([kind], stack, changed, folds)[kind.name][folds == 2], before[folds == 2])


def test_hill_climbing_finds_the_run_that_is_better():
    labels = np.random.default_rng(0).integers(0, 10, 2000)
    stack = np.stack([guesses(labels, accuracy, 1) for accuracy in (0.3, 0.95)]).astype(np.float64)
    weights = blending.HillClimbing().fit(stack, labels).weights
    assert weights.sum() == pytest.approx(1)
    assert weights[1] > 0.9


@pytest.mark.parametrize("kind", blending.METHODS)
def test_every_method_gives_probabilities(kind):
    labels = np.random.default_rng(0).integers(0, 10, 300)
    stack = np.stack([guesses(labels, 0.8, seed) for seed in range(2)]).astype(np.float64)
    blended = kind().fit(stack, labels).apply(stack)
    assert blended.shape == (300, 10)
    assert blended.min() >= 0
    assert blended.sum(axis=1) == pytest.approx(1)


def test_calibration_undoes_overconfidence():
    random = np.random.default_rng(0)
    honest = random.dirichlet(np.full(10, 0.3), 5000)
    labels = np.array([random.choice(10, p=row) for row in honest])
    stack = np.stack([metrics.heated(honest, temperature) for temperature in (0.5, 1, 1.5)])
    calibration = blending.Calibration.fit(stack, labels)
    assert calibration.temperatures == pytest.approx([2, 1, 2 / 3], rel=0.1)
    assert calibration.apply(stack) == pytest.approx(np.stack([honest] * 3), abs=0.05)


@pytest.mark.parametrize("kind", blending.METHODS)
def test_a_run_that_is_never_sure_is_not_outvoted_by_a_worse_one_that_always_is(kind):
    labels, folds = np.random.default_rng(0).integers(0, 10, 5000), np.arange(5000) % 5
    unsure, sure = guesses(labels, 0.98, 1).astype(np.float64), guesses(labels, 0.8, 2).astype(np.float64)
    stack = np.stack([metrics.heated(unsure, 3), metrics.heated(sure, 0.3)])
    blended = blending._nested([kind], stack, labels, folds)[kind.name]
    assert (blended.argmax(axis=1) == labels).mean() > 0.97


def test_the_figure_of_a_single_fold_is_that_of_the_blend_that_is_sent():
    labels = np.random.default_rng(0).integers(0, 10, 500)
    unsure, sure = guesses(labels, 0.98, 1).astype(np.float64), guesses(labels, 0.8, 2).astype(np.float64)
    stack = np.stack([metrics.heated(unsure, 3), metrics.heated(sure, 0.3)])
    nested = blending._nested(blending.METHODS, stack, labels, np.zeros(500, int))
    assert list(nested) == ["equal weights"]
    assert np.array_equal(nested["equal weights"], blending.fitted_blend("equal weights", stack, labels).apply(stack))
    assert (nested["equal weights"].argmax(axis=1) == labels).mean() > 0.95


def test_runs_of_other_folds_are_not_mixed(workspace):
    make_run(workspace, "a")
    make_run(workspace, "b", fold_seed=1)
    with pytest.raises(UserError, match="runs 'a' and 'b' have different folds"):
        blending.blend(workspace, ["a", "b"], "a+b")
    assert not (workspace.submissions / "a+b.csv").exists()


def test_a_run_of_other_data_is_refused(workspace):
    make_run(workspace, "a")
    make_run(workspace, "b")
    run = RunFolder.of(workspace, "b")
    record = read_run_record(run)
    files.write_record(run.record, replace(record, dataset=replace(record.dataset, sha256="other", source="mnist")))
    with pytest.raises(UserError, match="run 'b' was trained on mnist, but input/ holds "):
        blending.blend(workspace, ["a", "b"], "a+b")


def test_runs_without_a_common_row_cannot_be_blended(workspace):
    make_run(workspace, "a", trained=[0])
    make_run(workspace, "b", trained=[1])
    with pytest.raises(UserError, match="no training image is predicted by all of them"):
        blending.blend(workspace, ["a", "b"], "a+b")


def test_a_missing_run_lists_those_that_there_are(workspace):
    make_run(workspace, "a")
    with pytest.raises(UserError, match=r"there is no run 'x' in .*; there are: a\. "):
        blending.blend(workspace, ["x"], "x")


def test_a_damaged_run_is_named(workspace):
    make_run(workspace, "a")
    (workspace.run("a") / "oof.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"oof\.npz is damaged"):
        blending.blend(workspace, ["a"], "a")
