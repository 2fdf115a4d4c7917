"""A run -> report.html."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from digit_recognizer import figures, metrics
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.report.confusion import cell_digits, matrices
from digit_recognizer.report.digit_sheet import Digit, DigitSheet, percent
from digit_recognizer.report.label_issues import find_label_issues
from digit_recognizer.report.rendering import write_page
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.member import Member
from digit_recognizer.runs.run import Run, read_run

GALLERY = 100  # worst errors, and label issues of each kind
SAMPLES = 50  # training digits, and test digits of each group


def write_report(folder: RunFolder, dataset: Dataset) -> Path:
    """Write the run's report.html and return its path; folds that are not trained yet are left out.

    Raises:
        UserError: no member of the run is finished, or it was trained on other data.
    """
    run = read_run(folder, dataset)
    sheet = DigitSheet(dataset)
    return write_page(
        folder.report,
        "run.html",
        dataset=dataset,
        sheet=sheet,
        run=run,
        **(_out_of_fold(run, dataset, sheet) if len(run.rows) else {}),
        curves=learning_curves(run),
        boxes=figures.boxes_svg(_fold_groups(run), "accuracy of a fold") if run.fold_accuracies else "",
        test_digits=_test_digits(run, dataset, sheet),
        samples=_samples(dataset, sheet),
        settings=dict(flat(dataclasses.asdict(run.record))),
    )


def _out_of_fold(run: Run, dataset: Dataset, sheet: DigitSheet) -> dict[str, Any]:
    """Return the template's values that need out-of-fold predictions."""

    def gallery(rows: np.ndarray) -> list[Digit]:
        return [_digit(row, run, dataset, sheet) for row in rows[:GALLERY]]

    counts = metrics.confusion_matrix(run.labels[run.rows], run.predictions[run.rows], len(dataset.classes))
    calibration = metrics.calibration(run.labels[run.rows], run.probabilities[run.rows])
    issues = find_label_issues(run.labels[run.rows], run.probabilities[run.rows])
    folds = [fold.value for fold in run.fold_accuracies.values()]
    return {
        "fold_mean": np.mean(folds),
        "fold_sd": np.std(folds, ddof=1) if len(folds) > 1 else 0.0,
        "matrices": matrices(run, len(dataset.classes)),
        "cells": cell_digits(run, sheet),
        "class_scores": metrics.class_scores(counts),
        "worst": gallery(run.wrong),
        "calibration": calibration,
        "calibration_svg": figures.calibration_svg(calibration),
        "label_issues": issues,
        "wrong_labels": gallery(run.rows[issues.wrong_labels]) if issues else [],
        "ambiguous": gallery(run.rows[issues.ambiguous]) if issues else [],
    }


def _digit(row: int, run: Run, dataset: Dataset, sheet: DigitSheet) -> Digit:
    label, prediction = dataset.classes[run.labels[row]], dataset.classes[run.predictions[row]]
    lines = [percent(run.confidence[row]), f"row {row}, fold {run.fold[row]}"]
    return Digit(sheet.train(row), f"{label} → {prediction}", lines)


def learning_curves(run: Run) -> dict[str, str]:
    """Return charts by title: loss, accuracy and learning rate of each member, and accuracy within epochs where measured."""
    charts = {
        "Loss": _chart(run, "loss", "log"),
        "Accuracy": _chart(run, "accuracy", "accuracy"),
        "Learning rate": _chart(run, "learning_rate", "linear"),
    }
    within = [
        figures.Line(result.steps["step"], result.steps["val_accuracy"], _colour(result.member), _name(run, result.member))
        for result in run.members
        if result.steps is not None
    ]
    if within:
        charts["Accuracy on 1,000 validation images"] = figures.lines_svg(within, "step", "accuracy", "accuracy")
    return charts


def _chart(run: Run, column: str, scale: figures.Scale) -> str:
    lines = []
    for result in run.members:
        history, colour = result.history, _colour(result.member)
        shown = history[column]
        validation = history.get(f"val_{column}")
        if validation is not None and validation.notna().any():
            lines.append(figures.Line(history["epoch"], shown, colour, dashed=True))
            shown = validation
        kept = result.metrics.kept_epoch
        lines.append(figures.Line(history["epoch"], shown, colour, _name(run, result.member), mark=kept))
    return figures.lines_svg(lines, "epoch", column.replace("_", " "), scale)


def _colour(member: Member) -> int:
    return member.seed if member.fold is None else member.fold


def _name(run: Run, member: Member) -> str:
    """Return the member's name in the legend, where each fold is named once."""
    if member.fold is None:
        return f"all of train, seed {member.seed}"
    return f"fold {member.fold}" if member.seed == run.members[0].member.seed else ""


def _fold_groups(run: Run) -> dict[str, list[float]]:
    """Return the accuracies of the folds by seed, and those of the mean of several seeds."""
    groups: dict[str, list[float]] = {}
    for result in run.members:
        if result.member.fold is not None:
            groups.setdefault(f"seed {result.member.seed}", []).append(result.metrics.accuracy)
    if len(groups) > 1:
        groups["mean of seeds"] = [fold.value for fold in run.fold_accuracies.values()]
    return groups


def _test_digits(run: Run, dataset: Dataset, sheet: DigitSheet) -> dict[str, list[Digit]]:
    """Return test digits with their predictions: some in regular intervals, and the least confident."""
    spread = np.unique(np.linspace(0, len(run.test) - 1, SAMPLES).astype(int))
    unsure = np.argsort(run.test.max(axis=1), kind="stable")[:SAMPLES]

    def digit(row: int) -> Digit:
        best, second = np.argsort(-run.test[row], kind="stable")[:2]
        runner_up = f"or {dataset.classes[second]} ({percent(run.test[row, second])})"
        return Digit(sheet.test(row), dataset.classes[best], [percent(run.test[row, best]), runner_up, f"ImageId {row + 1}"])

    return {"A sample": [digit(row) for row in spread], "Least confident": [digit(row) for row in unsure]}


def _samples(dataset: Dataset, sheet: DigitSheet) -> list[Digit]:
    """Return the first training images of each class, SAMPLES in all."""
    each = max(SAMPLES // len(dataset.classes), 1)
    rows = [row for label in range(len(dataset.classes)) for row in np.flatnonzero(dataset.labels == label)[:each]]
    return [Digit(sheet.train(row), dataset.classes[dataset.labels[row]], [f"row {row}"]) for row in rows]


def flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return nested settings as pairs of a dotted name and a value."""
    pairs: list[tuple[str, Any]] = []
    for name, value in settings.items():
        nested = isinstance(value, Mapping) and value
        pairs.extend(flat(value, f"{prefix}{name}.") if nested else [(f"{prefix}{name}", value)])
    return pairs
