"""The page of a blend: weights, accuracy by ensemble size, disagreement between models."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from digit_recognizer import figures, metrics
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.formatting import winner
from digit_recognizer.report.digit_details import digit_details
from digit_recognizer.report.digit_sheet import Digit, DigitSheet, percent
from digit_recognizer.report.model_predictions import ModelPredictions, predictions_by_member, predictions_by_seed
from digit_recognizer.report.rendering import write_page
from digit_recognizer.runs.comparison import common_rows
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.run import Run, read_run

GALLERY = 100
ORDERS = 8  # random orders of adding models, over which the curve of ensemble sizes is averaged


class SeedPredictions(NamedTuple):
    """The out-of-fold probabilities of one seed of a run, float32 (rows, classes): each row is predicted by one model."""

    name: str
    probabilities: np.ndarray


def write_blend(
    folders: Sequence[RunFolder],
    dataset: Dataset,
    path: Path,
    *,
    weights: Mapping[str, float] | None,
    oof: np.ndarray,
    test: np.ndarray,
) -> Path:
    """Write the page of a blend to `path` and return `path`.

    Args:
        weights: by run name; None for stacking, which has no weights.
        oof: the blend's out-of-fold probabilities, float (n, classes), NaN in rows that a run has not predicted.
        test: the blend's probabilities for the test images, float (m, classes).

    Raises:
        UserError: a run can't be read, or no image is predicted by all runs.
    """
    runs = [read_run(folder, dataset) for folder in folders]
    rows = common_rows(runs)
    columns = [column for run in runs for column in _seeds(run, rows)]
    labels = dataset.labels[rows]
    sheet = DigitSheet(dataset)
    blend = metrics.accuracy(labels, oof[rows])
    members = _member_predictions(runs, test)
    disputed = _disputed(members, dataset, sheet)
    return write_page(
        path,
        "blend.html",
        dataset=dataset,
        sheet=sheet,
        runs=runs,
        rows=len(rows),
        weights=weights,
        blend=blend,
        log_loss=metrics.log_loss(labels, oof[rows]),
        comparisons=[_compared(path.stem, run, oof, rows) for run in runs],
        columns=[column.name for column in columns],
        disagreement=_disagreement(columns),
        size_curve=_size_curve(labels, columns, blend.value) if len(columns) > 1 else "",
        disputed=disputed,
        details=digit_details(dataset, sheet, None, members),
    )


def _compared(name: str, run: Run, oof: np.ndarray, rows: np.ndarray) -> str:
    return winner(name, run.name, metrics.compare(run.labels[rows], oof[rows].argmax(axis=1), run.predictions[rows]))


def _member_predictions(runs: Sequence[Run], test: np.ndarray) -> ModelPredictions:
    """Return the blend's probabilities for the test images, and those of each member of the runs."""
    each = {run.name: predictions_by_member(run) for run in runs}
    names = [f"{run} {name}" for run, members in each.items() for name in members.names]
    return ModelPredictions("member", names, test, np.concatenate([members.each for members in each.values()]), "blend")


def _seeds(run: Run, rows: np.ndarray) -> list[SeedPredictions]:
    """Return the predictions of each seed that has predicted all `rows`."""
    seeds = predictions_by_seed(run)
    complete = [(name, one[rows]) for name, one in zip(seeds.names, seeds.each, strict=True)]
    return [SeedPredictions(f"{run.name} {name}", found) for name, found in complete if metrics.predicted_rows(found).all()]


def _disagreement(columns: Sequence[SeedPredictions]) -> np.ndarray:
    """Return the share of images that two seeds predict differently, float64 (seeds, seeds)."""
    votes = np.array([column.probabilities.argmax(axis=1) for column in columns])
    return np.array([[(one != other).mean() for other in votes] for one in votes])


def _size_curve(labels: np.ndarray, columns: Sequence[SeedPredictions], blend: float) -> str:
    """Draw the accuracy of the mean of 1, 2, ... seeds, averaged over random orders of adding them."""
    generator = np.random.default_rng(0)
    accuracies = np.empty((ORDERS, len(columns)))
    for order in range(ORDERS):
        total = np.zeros_like(columns[0].probabilities)
        for size, column in enumerate(generator.permutation(len(columns))):
            total += columns[column].probabilities
            accuracies[order, size] = (total.argmax(axis=1) == labels).mean()
    sizes = np.arange(1, len(columns) + 1)
    bounds = [figures.Line(sizes, bound, dashed=True) for bound in (accuracies.min(axis=0), accuracies.max(axis=0))]
    lines = [
        figures.Line(sizes, accuracies.mean(axis=0), name="equal weights"),
        *bounds,
        figures.Line(sizes, np.full(len(sizes), blend), colour=1, name="submitted"),
    ]
    return figures.lines_svg(lines, "models per image", "out-of-fold accuracy")


def _disputed(members: ModelPredictions, dataset: Dataset, sheet: DigitSheet) -> list[Digit]:
    """Return the test digits on which the most members disagree with the majority."""
    predictions = members.each.argmax(axis=2)
    votes = (predictions[..., None] == np.arange(len(dataset.classes))).sum(axis=0)
    agreed = votes.max(axis=1)
    rows = np.lexsort((members.probabilities.max(axis=1), agreed))[:GALLERY]

    def digit(row: int) -> Digit:
        voted = [label for label in np.argsort(-votes[row], kind="stable") if votes[row, label]]
        tally = ", ".join(f"{dataset.classes[label]} ({votes[row, label]})" for label in voted)
        best = members.probabilities[row].argmax()
        title = f"{dataset.classes[best]} ({percent(members.probabilities[row, best])})"
        return Digit(sheet.test(row), title, [tally, f"ImageId {row + 1}"])

    return [digit(row) for row in rows if agreed[row] < len(predictions)]
