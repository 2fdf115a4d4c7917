"""Confusion matrices of folds and seeds: cells with significantly more images than expected from the others."""

import numpy as np
import pytest
from scipy.stats import fisher_exact
from synthetic_run import make_dataset, make_run

from digit_recognizer.data.folds import stratified_folds
from digit_recognizer.report import confusion
from digit_recognizer.report.digit_sheet import DigitSheet
from digit_recognizer.report.model_predictions import predictions_by_seed
from digit_recognizer.runs.run import read_run


def counts(errors: int) -> np.ndarray:
    matrix = np.diag([700, 700, 700])
    matrix[1] = [2, 698 - errors, errors]
    return matrix


def test_p_values_are_those_of_fishers_exact_test_times_the_number_of_cells():
    matrices = [counts(3), counts(4), counts(25)]
    found = confusion.excesses(matrices)
    assert found[0] == found[1] == []
    (excess,) = found[2]
    table = [[25, 700 - 25], [7, 1400 - 7]]
    assert excess.p_value == pytest.approx(fisher_exact(table, alternative="greater").pvalue * 3 * 6)
    assert (excess.label, excess.prediction, excess.count, excess.expected) == (1, 2, 25, 3.5)


def test_folds_that_differ_by_chance_are_rarely_marked():
    generator = np.random.default_rng(0)
    marked = 0
    for _ in range(200):
        matrices = [np.stack([generator.multinomial(700, [0.96, 0.02, 0.01, 0.01])] * 4) for _ in range(5)]
        marked += any(confusion.excesses(matrices))
    assert marked / 200 < 0.05


def test_correct_predictions_and_single_matrices_are_not_marked():
    few, many = np.diag([10, 700]), np.diag([700, 10])
    assert confusion.excesses([few, many]) == [[], []]
    assert confusion.excesses([counts(25)]) == [[]]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    dataset = make_dataset(600)
    return read_run(make_run(tmp_path_factory.mktemp("runs") / "two", dataset, seeds=(0, 3)), dataset), dataset


def test_matrices_are_of_all_folds_each_fold_and_each_seed(run):
    run, _ = run
    found = confusion.matrices(run, predictions_by_seed(run), 10)
    assert [matrix.name for matrix in found] == ["all folds", *(f"fold {k}" for k in range(5)), "seed 0", "seed 3"]
    assert sum(matrix.wrong for matrix in found[1:6]) == found[0].wrong == len(run.wrong)
    assert all(cell.marked is False for row in found[0].cells for cell in row)


def test_cells_hold_the_errors_of_the_mean_and_of_each_seed(run):
    run, dataset = run
    seeds, sheet = predictions_by_seed(run), DigitSheet(dataset)
    rows = {sheet.digits()[place][1] for place in confusion.cell_digits(run, seeds, sheet)}
    assert rows >= set(run.wrong.tolist())
    for each in seeds.each:
        assert rows >= set(np.flatnonzero(each.argmax(axis=1) != run.labels).tolist())


def test_cell_with_more_errors_than_in_other_folds_is_marked(tmp_path):
    dataset = make_dataset(600)
    fold = stratified_folds(dataset.labels, 5, 0)
    wrong = (fold == 2) & (dataset.labels == 1)
    oof = np.eye(10, dtype=np.float32)[np.where(wrong, 2, dataset.labels)]
    run = read_run(make_run(tmp_path / "run", dataset, oof=oof), dataset)
    matrix = confusion.matrices(run, predictions_by_seed(run), 10)[3]
    assert matrix.name == "fold 2"
    assert matrix.cells[1][2].kind == "error marked"
    assert matrix.cells[0][0].kind == "hit"
