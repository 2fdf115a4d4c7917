"""The report of a run, report.html."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from digit_recognizer import figures, files, metrics
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import flat
from digit_recognizer.report import confusion, explanation_tasks, run_charts
from digit_recognizer.report.digit_details import digit_details
from digit_recognizer.report.digit_map import digit_map
from digit_recognizer.report.digit_sheet import Digit, DigitSheet, percent
from digit_recognizer.report.explanation import Background
from digit_recognizer.report.label_issues import LabelIssues, find_label_issues, labels_to_check
from digit_recognizer.report.model_predictions import ModelPredictions, predictions_by_member, predictions_by_seed
from digit_recognizer.report.rendering import write_page
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.run import Run, read_run

GALLERY = 100  # worst errors, and label issues of each kind
SAMPLES = 50  # training digits, and test digits of each group


def write_report(folder: RunFolder, dataset: Dataset) -> Path:
    """Write the run's report.html and labels.csv; return the path of the report. Unfinished folds are omitted.

    Raises:
        UserError: no member of the run is finished, or it was trained on other data.
    """
    run = read_run(folder, dataset)
    sheet, seeds = DigitSheet(dataset), predictions_by_seed(run)
    issues = find_label_issues(run.labels[run.rows], run.probabilities[run.rows]) if len(run.rows) else None
    plan = explanation_tasks.plan(run, dataset, issues)
    with Background(plan.tasks, dataset.images) as background:
        values = {
            **(_out_of_fold(run, seeds, issues, dataset, sheet) if len(run.rows) else {}),
            "curves": run_charts.learning_curves(run),
            "boxes": run_charts.fold_boxes(run) if len(run.rows) else "",
            "test_digits": _test_digits(run, dataset, sheet),
            "samples": _samples(dataset, sheet),
            "settings": flat(dataclasses.asdict(run.record)),
            "explanations_missing": "",
        }
        explanations = {}
        try:
            explanations = plan.collect(background)
        except UserError as error:
            values["explanations_missing"] = str(error)
    details = digit_details(
        dataset, sheet, seeds, predictions_by_member(run), run.fold if len(run.rows) else None, explanations
    )
    if issues:
        files.write_text(folder.labels, values["labels"].to_csv(index=False, lineterminator="\n"))
    return write_page(folder.report, "run.html", dataset=dataset, sheet=sheet, details=details, run=run, **values)


def _out_of_fold(
    run: Run, seeds: ModelPredictions, issues: LabelIssues | None, dataset: Dataset, sheet: DigitSheet
) -> dict[str, Any]:
    """Return the template's values that need out-of-fold predictions; `issues` is None if cleanlab is not installed."""

    def gallery(rows: np.ndarray) -> list[Digit]:
        return [_digit(row, run, dataset, sheet) for row in rows[:GALLERY]]

    counts = metrics.confusion_matrix(run.labels[run.rows], run.predictions[run.rows], len(dataset.classes))
    calibration = metrics.calibration(run.labels[run.rows], run.probabilities[run.rows])
    folds = [fold.value for fold in run.fold_accuracies.values()]
    values = {
        "fold_mean": np.mean(folds),
        "fold_sd": np.std(folds, ddof=1) if len(folds) > 1 else 0.0,
        "matrices": confusion.matrices(run, seeds, len(dataset.classes)),
        "cells": confusion.cell_digits(run, seeds, sheet),
        "map": digit_map(run, sheet),
        "class_scores": metrics.class_scores(counts),
        "worst": gallery(run.wrong),
        "calibration": calibration,
        "calibration_svg": figures.calibration_svg(calibration),
        "label_issues": issues,
    }
    if issues:
        values |= {
            "labels": labels_to_check(run.rows[issues.wrong_labels], run.labels, run.probabilities, dataset.classes),
            "wrong_labels": gallery(run.rows[issues.wrong_labels]),
            "ambiguous": gallery(run.rows[issues.ambiguous]),
        }
    return values


def _digit(row: int, run: Run, dataset: Dataset, sheet: DigitSheet) -> Digit:
    label, prediction = dataset.classes[run.labels[row]], dataset.classes[run.predictions[row]]
    lines = [percent(run.confidence[row]), f"row {row}, fold {run.fold[row]}"]
    return Digit(sheet.train(row), f"{label} → {prediction}", lines)


def _test_digits(run: Run, dataset: Dataset, sheet: DigitSheet) -> dict[str, list[Digit]]:
    """Return test digits with their predictions: a regular sample, and the least confident."""
    spread = np.unique(np.linspace(0, len(run.test) - 1, SAMPLES).astype(int))
    unsure = explanation_tasks.least_confident(run)[: explanation_tasks.TEST_DIGITS]

    def digit(row: int) -> Digit:
        best, second = np.argsort(-run.test[row], kind="stable")[:2]
        runner_up = f"or {dataset.classes[second]} ({percent(run.test[row, second])})"
        return Digit(sheet.test(row), dataset.classes[best], [percent(run.test[row, best]), runner_up, f"ImageId {row + 1}"])

    return {"Least confident": [digit(row) for row in unsure], "A sample": [digit(row) for row in spread]}


def _samples(dataset: Dataset, sheet: DigitSheet) -> list[Digit]:
    """Return the first training images of each class, SAMPLES in all."""
    each = max(SAMPLES // len(dataset.classes), 1)
    rows = [row for label in range(len(dataset.classes)) for row in np.flatnonzero(dataset.labels == label)[:each]]
    return [Digit(sheet.train(row), dataset.classes[dataset.labels[row]], [f"row {row}"]) for row in rows]
