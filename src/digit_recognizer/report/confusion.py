"""Confusion matrices of all folds, each fold and each seed, and the digits in their cells."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from digit_recognizer import metrics
from digit_recognizer.report.digit_sheet import DigitSheet
from digit_recognizer.report.model_predictions import ModelPredictions
from digit_recognizer.runs.run import Run

ON_DIAGONAL = 30  # least confident correct digits that a cell on the diagonal shows
MOST_DIGITS = 8000  # in all cells together, to limit the page's size


class Cell(NamedTuple):
    """One cell: `share` of the images with its label, `heat` 0..1 for its colour."""

    column: int
    count: int
    share: float
    heat: float
    diagonal: bool
    marked: bool  # significantly more errors than in the other matrices

    @property
    def kind(self) -> str:
        """The cell's CSS classes."""
        return "hit" if self.diagonal else "error marked" if self.marked else "error"


class Excess(NamedTuple):
    """A cell with significantly more images than expected from the other folds (or seeds)."""

    label: int
    prediction: int
    count: int
    expected: float
    p_value: float  # corrected for the number of cells


class Matrix(NamedTuple):
    """A confusion matrix; `kind` is "all", "fold" or "seed", `index` the fold's number or the seed's position."""

    kind: str
    index: int
    name: str
    accuracy: metrics.Estimate
    wrong: int
    total: int
    cells: list[list[Cell]]
    excesses: list[Excess]


def matrices(run: Run, seeds: ModelPredictions, classes: int) -> list[Matrix]:
    """Return the matrix of all predicted rows, that of each fold, and that of each seed if there are several."""

    def counts(rows: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        return metrics.confusion_matrix(run.labels[rows], predictions, classes)

    every = counts(run.rows, run.predictions[run.rows])
    by_fold = {}
    for fold in np.unique(run.fold[run.rows]):
        rows = run.rows[run.fold[run.rows] == fold]
        by_fold[int(fold), f"fold {fold}"] = counts(rows, run.predictions[rows])
    by_seed = {}
    for index, name in enumerate(seeds.names if len(seeds.names) > 1 else ()):
        rows = np.flatnonzero(metrics.predicted_rows(seeds.each[index]))
        by_seed[index, name] = counts(rows, seeds.each[index, rows].argmax(axis=1))
    return [_matrix("all", 0, "all folds", every, []), *_compared("fold", by_fold), *_compared("seed", by_seed)]


def _compared(kind: str, counts: dict[tuple[int, str], np.ndarray]) -> list[Matrix]:
    found = excesses(list(counts.values()))
    return [_matrix(kind, *key, *pair) for key, pair in zip(counts, zip(counts.values(), found, strict=True), strict=True)]


def excesses(matrices: Sequence[np.ndarray]) -> list[list[Excess]]:
    """Return for each confusion matrix, int (classes, classes), the error cells with more images than expected from the others.

    Fisher's exact test, one-sided: images with the cell's label in this matrix and in all others, predicted as the cell's
    class or not; Bonferroni-corrected for the number of error cells in all matrices. Seeds predict the same images, which
    makes the test conservative for them.
    """
    from scipy.stats import hypergeom

    if len(matrices) < 2:
        return [[] for _ in matrices]
    counts = np.stack(matrices)
    images = counts.sum(axis=2, keepdims=True)
    count_in_all, images_in_all = counts.sum(axis=0), images.sum(axis=0)
    classes = counts.shape[-1]
    p_values = hypergeom.sf(counts - 1, images_in_all, count_in_all, images) * len(counts) * classes * (classes - 1)
    p_values[:, np.eye(classes, dtype=bool)] = 1
    expected = (count_in_all - counts) / np.maximum(images_in_all - images, 1) * images
    return [
        [
            Excess(int(i), int(j), int(counts[k, i, j]), float(expected[k, i, j]), float(p_values[k, i, j]))
            for i, j in np.argwhere(p_values[k] < metrics.SIGNIFICANT)
        ]
        for k in range(len(counts))
    ]


def _matrix(kind: str, index: int, name: str, counts: np.ndarray, excesses: list[Excess]) -> Matrix:
    """Return the matrix with errors coloured by the square root of their relative share, so that single errors are visible."""
    total, correct = int(counts.sum()), int(counts.trace())
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    diagonal = np.eye(len(counts), dtype=bool)
    worst = share[~diagonal].max(initial=0) or 1.0
    heat = np.where(diagonal, share, np.sqrt(share / worst))
    marked = {(excess.label, excess.prediction) for excess in excesses}
    cells = [
        [
            Cell(j, int(counts[i, j]), float(share[i, j]), float(heat[i, j]), i == j, (i, j) in marked)
            for j in range(len(counts))
        ]
        for i in range(len(counts))
    ]
    return Matrix(kind, index, name, metrics.proportion(correct, total), total - correct, total, cells, excesses)


def cell_digits(run: Run, seeds: ModelPredictions, sheet: DigitSheet) -> list[int]:
    """Return the places in the sheet of the digits of the cells, in the order in which a cell shows them.

    These are all errors, the most confident first, then all errors of single seeds, then the least confident correct digits
    of each fold and class. If there are more than MOST_DIGITS, the last ones of each cell are omitted.
    """
    correct = run.rows[run.predictions[run.rows] == run.labels[run.rows]]
    correct = correct[np.argsort(run.confidence[correct], kind="stable")]
    each = np.where(np.isnan(seeds.each[..., 0]), run.labels, seeds.each.argmax(axis=2))
    by_seed = correct[(each[:, correct] != run.labels[correct]).any(axis=0)]
    groups = [
        (run.wrong, run.labels[run.wrong] * 1000 + run.predictions[run.wrong], MOST_DIGITS),
        (by_seed, run.labels[by_seed], MOST_DIGITS),
        (correct, run.labels[correct] * 1000 + run.fold[correct], ON_DIAGONAL),
    ]
    ranked = [(rows[ranks < most], ranks[ranks < most]) for rows, group, most in groups for ranks in [_ranks(group)]]
    rows, ranks = (np.concatenate(arrays) for arrays in zip(*ranked, strict=True))
    rows = rows[np.sort(np.argsort(ranks, kind="stable")[:MOST_DIGITS])]
    return [sheet.train(row) for row in dict.fromkeys(rows.tolist())]


def _ranks(groups: np.ndarray) -> np.ndarray:
    """Return the rank of each item within its group, in the order given, int64 (n,)."""
    return pd.Series(groups).groupby(groups).cumcount().to_numpy()
