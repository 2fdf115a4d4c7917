"""The page that compares two or more runs image by image."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from digit_recognizer import experiment, figures, metrics
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.errors import UserError
from digit_recognizer.report.digit_details import digit_details
from digit_recognizer.report.digit_sheet import Digit, DigitSheet, percent
from digit_recognizer.report.model_predictions import ModelPredictions
from digit_recognizer.report.rendering import write_page
from digit_recognizer.runs.comparison import common_rows
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.run import Run, read_run

GALLERY = 60


class Pair(NamedTuple):
    """Two runs compared on the rows that both have predicted, with the digits that one or both predict wrongly."""

    first: Run
    second: Run
    comparison: metrics.Comparison
    differences: list[str]  # of the settings
    only_first_wrong: list[Digit]
    only_second_wrong: list[Digit]
    both_wrong: list[Digit]


def write_comparison(folders: Sequence[RunFolder], dataset: Dataset, path: Path) -> Path:
    """Write a comparison of runs, on the images that all of them have predicted out of fold, to `path`; return `path`.

    Raises:
        UserError: fewer than two runs, a run can't be read, or no image is predicted by all of them.
    """
    if len(folders) < 2:
        raise UserError('a comparison needs two runs: make report PIPELINE="a b"')
    runs = [read_run(folder, dataset) for folder in folders]
    rows = common_rows(runs)
    sheet = DigitSheet(dataset)
    pairs = [_pair(first, second, rows, dataset, sheet) for first, second in combinations(runs, 2)]
    return write_page(
        path,
        "comparison.html",
        dataset=dataset,
        sheet=sheet,
        runs=runs,
        rows=len(rows),
        accuracies=[metrics.accuracy(run.labels[rows], run.probabilities[rows]) for run in runs],
        pairs=pairs,
        details=digit_details(dataset, sheet, _run_predictions(runs), None),
        boxes=figures.boxes_svg(
            {run.name: [fold.value for fold in run.fold_accuracies.values()] for run in runs}, "accuracy of a fold"
        ),
    )


def _run_predictions(runs: Sequence[Run]) -> ModelPredictions:
    """Return the out-of-fold probabilities of each run, and their mean."""
    each = np.stack([run.probabilities for run in runs])
    return ModelPredictions("run", [run.name for run in runs], each.mean(axis=0), each)


def _pair(first: Run, second: Run, rows: np.ndarray, dataset: Dataset, sheet: DigitSheet) -> Pair:
    labels = dataset.labels[rows]
    first_wrong, second_wrong = first.predictions[rows] != labels, second.predictions[rows] != labels

    def gallery(chosen: np.ndarray, confidence: np.ndarray) -> list[Digit]:
        order = np.argsort(-confidence[chosen], kind="stable")[:GALLERY]
        return [_digit(row, (first, second), dataset, sheet) for row in chosen[order]]

    return Pair(
        first,
        second,
        metrics.compare(labels, first.predictions[rows], second.predictions[rows]),
        experiment.differences(first.record.settings, second.record.settings),
        only_first_wrong=gallery(rows[first_wrong & ~second_wrong], first.confidence),
        only_second_wrong=gallery(rows[second_wrong & ~first_wrong], second.confidence),
        both_wrong=gallery(rows[first_wrong & second_wrong], first.confidence + second.confidence),
    )


def _digit(row: int, runs: Sequence[Run], dataset: Dataset, sheet: DigitSheet) -> Digit:
    lines = [f"{run.name}: {dataset.classes[run.predictions[row]]} ({percent(run.confidence[row])})" for run in runs]
    return Digit(sheet.train(row), f"label {dataset.classes[dataset.labels[row]]}", [*lines, f"row {row}"])
