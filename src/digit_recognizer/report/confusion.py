"""Confusion matrices as a page shows them, and the digits of their cells."""

from typing import Any, NamedTuple

import numpy as np

from digit_recognizer import metrics
from digit_recognizer.report.digit_sheet import DigitSheet
from digit_recognizer.runs.run import Run

ON_DIAGONAL = 30  # correct digits that a cell on the diagonal shows, the least confident
MOST_DIGITS = 8000  # in all cells together: a limit to the page's size


class Cell(NamedTuple):
    """One cell: `share` of the images with its label, `heat` 0..1 for its colour."""

    count: int
    share: float
    heat: float
    diagonal: bool


class Matrix(NamedTuple):
    """A confusion matrix of some rows; `fold` is None for all of them."""

    fold: int | None
    accuracy: metrics.Estimate
    wrong: int
    total: int
    cells: list[list[Cell]]


def matrices(run: Run, classes: int) -> list[Matrix]:
    """Return the matrix of all predicted rows, then that of each fold."""
    folds = [int(fold) for fold in np.unique(run.fold[run.rows])]
    return [_matrix(run, classes, fold) for fold in [None, *folds]]


def _matrix(run: Run, classes: int, fold: int | None) -> Matrix:
    rows = run.rows if fold is None else run.rows[run.fold[run.rows] == fold]
    counts = metrics.confusion_matrix(run.labels[rows], run.predictions[rows], classes)
    total, correct = int(counts.sum()), int(counts.trace())
    cells = _cells(counts)
    return Matrix(fold, metrics.proportion(correct, total), total - correct, total, cells)


def _cells(counts: np.ndarray) -> list[list[Cell]]:
    """Colour errors by the square root of their share relative to the largest, so that single errors are visible."""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    diagonal = np.eye(len(counts), dtype=bool)
    worst = share[~diagonal].max(initial=0) or 1.0
    heat = np.where(diagonal, share, np.sqrt(share / worst))
    return [
        [Cell(int(counts[i, j]), float(share[i, j]), float(heat[i, j]), i == j) for j in range(len(counts))]
        for i in range(len(counts))
    ]


def cell_digits(run: Run, sheet: DigitSheet) -> dict[str, list[Any]]:
    """Return the digits of the cells as columns: all errors, and the least confident correct ones of each fold and class.

    Above MOST_DIGITS, the last ones of each cell are left out.
    """
    correct = run.rows[run.predictions[run.rows] == run.labels[run.rows]]
    correct = correct[np.argsort(run.confidence[correct], kind="stable")]
    correct_ranks = _ranks(run.fold[correct] * 1000 + run.labels[correct])
    error_ranks = _ranks(run.labels[run.wrong] * 1000 + run.predictions[run.wrong])
    rows = np.concatenate([run.wrong, correct[correct_ranks < ON_DIAGONAL]])
    ranks = np.concatenate([error_ranks, correct_ranks[correct_ranks < ON_DIAGONAL]])
    rows = rows[np.sort(np.argsort(ranks, kind="stable")[:MOST_DIGITS])]
    return {
        "row": rows.tolist(),
        "fold": run.fold[rows].tolist(),
        "label": run.labels[rows].tolist(),
        "prediction": run.predictions[rows].tolist(),
        "probability": [round(float(value), 4) for value in run.confidence[rows]],
        "place": [sheet.train(row) for row in rows],
    }


def _ranks(groups: np.ndarray) -> np.ndarray:
    """Return the rank of each item within its group, in the order given, int64 (n,)."""
    order = np.argsort(groups, kind="stable")
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - np.repeat(starts, sizes)
    return ranks
