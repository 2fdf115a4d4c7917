"""Two or more runs side by side, image by image."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from digit_recognizer import figures, metrics
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.errors import UserError
from digit_recognizer.report.digits import DigitSheet, Picture, percent
from digit_recognizer.report.page import write_page
from digit_recognizer.runs.comparison import common_rows
from digit_recognizer.runs.run import Run, read_run

GALLERY = 60


class Pair(NamedTuple):
    """Two runs on the rows that both predicted, with the digits that only one of them has wrong."""

    first: Run
    second: Run
    comparison: metrics.Comparison
    only_first_wrong: list[Picture]
    only_second_wrong: list[Picture]
    both_wrong: list[Picture]


def write_comparison(run_directories: Sequence[Path], dataset: Dataset, path: Path) -> Path:
    """Compare two or more runs on the images that all of them predicted out of fold; write the page to `path` and return it.

    Raises:
        UserError: fewer than two runs, one of them can't be read, or they have predicted no image in common.
    """
    if len(run_directories) < 2:
        raise UserError('a comparison needs two runs: make report PIPELINE="a b"')
    runs = [read_run(directory, dataset) for directory in run_directories]
    rows = common_rows(runs)
    sheet = DigitSheet(dataset)
    return write_page(
        path,
        "comparison.html",
        dataset,
        sheet,
        runs=runs,
        rows=len(rows),
        accuracies=[metrics.accuracy(run.labels[rows], run.probabilities[rows]) for run in runs],
        pairs=[_pair(first, second, rows, dataset, sheet) for first, second in combinations(runs, 2)],
        boxes=figures.boxes_svg(
            {run.name: [fold.value for fold in run.fold_accuracies.values()] for run in runs}, "accuracy of a fold"
        ),
    )


def _pair(first: Run, second: Run, rows: np.ndarray, dataset: Dataset, sheet: DigitSheet) -> Pair:
    labels = dataset.labels[rows]
    first_wrong, second_wrong = first.predictions[rows] != labels, second.predictions[rows] != labels

    def gallery(chosen: np.ndarray, doubt: np.ndarray) -> list[Picture]:
        order = np.argsort(-doubt[chosen], kind="stable")[:GALLERY]
        return [_picture(row, (first, second), dataset, sheet) for row in chosen[order]]

    return Pair(
        first,
        second,
        metrics.compare(labels, first.predictions[rows], second.predictions[rows]),
        only_first_wrong=gallery(rows[first_wrong & ~second_wrong], first.confidence),
        only_second_wrong=gallery(rows[second_wrong & ~first_wrong], second.confidence),
        both_wrong=gallery(rows[first_wrong & second_wrong], first.confidence + second.confidence),
    )


def _picture(row: int, runs: Sequence[Run], dataset: Dataset, sheet: DigitSheet) -> Picture:
    lines = [f"{run.name}: {dataset.classes[run.predictions[row]]} ({percent(run.confidence[row])})" for run in runs]
    return Picture(sheet.train(row), f"label {dataset.classes[dataset.labels[row]]}", [*lines, f"row {row}"])
