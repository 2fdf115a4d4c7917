"""Blending runs, scored on rows that the weights were not fitted on, and writing the blend's submission."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from digit_recognizer import metrics
from digit_recognizer.data.dataset import load_dataset
from digit_recognizer.ensemble.methods import METHODS, ArithmeticMean, Method, method_named
from digit_recognizer.ensemble.temperature_scaling import TemperatureScaling
from digit_recognizer.errors import UserError
from digit_recognizer.metrics import Comparison
from digit_recognizer.runs.comparison import common_rows
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.run import Run, read_run
from digit_recognizer.submission.record import BestRun, BlendRecord, MethodScore
from digit_recognizer.submission.submission_file import write_submission
from digit_recognizer.workspace import Workspace


@dataclass(frozen=True)
class Blend:
    """Runs blended by one method."""

    name: str
    csv: Path  # the submission
    runs: list[Run]
    methods: list[MethodScore]  # all methods, the simplest first
    weights: dict[str, float] | None  # by run name; None for stacking
    temperatures: dict[str, float]  # by run name
    accuracy: metrics.Estimate  # of `oof`
    log_loss: float  # of `oof`, nats
    best_run: str
    against_best_run: Comparison | None  # the blend (first) and the best of its runs; None for a single run
    oof: np.ndarray  # float64 (n, classes): each row by a blend fitted on the other folds; NaN if a run has no prediction
    test: np.ndarray  # float64 (m, classes)

    @property
    def method(self) -> str:
        """The name of the chosen method."""
        return next(score.method for score in self.methods if score.chosen)

    @property
    def partial(self) -> list[str]:
        """Names of the runs with members still to train."""
        return [run.name for run in self.runs if run.metrics.partial]

    @property
    def to_submit(self) -> str:
        """The name of the submission to prefer: the blend, or its best run if the blend has no more images right."""
        return self.name if self.against_best_run is None or self.against_best_run.images > 0 else self.best_run


@dataclass(frozen=True)
class FittedBlend:
    """A fitted method with its temperature scaling."""

    scaling: TemperatureScaling
    method: Method

    @classmethod
    def fit(cls, method: type[Method], stack: np.ndarray, labels: np.ndarray) -> "FittedBlend":
        """Fit both on a stack (runs, rows, classes) and labels int (rows,)."""
        scaling = TemperatureScaling.fit(stack, labels)
        return cls(scaling, method().fit(scaling.apply(stack), labels))

    def apply(self, stack: np.ndarray) -> np.ndarray:
        """Return float64 (rows, classes) of a stack (runs, rows, classes)."""
        return self.method.apply(self.scaling.apply(stack))


def compute_blend(workspace: Workspace, names: Sequence[str], name: str, method: str = "") -> Blend:
    """Return the blend of the runs `names`.

    Each run is scaled by its own temperature. Each method is scored on predictions with weights fitted on the other
    folds; the simplest is chosen unless another is better with p < 0.05.

    Args:
        method: use the method of this name instead.

    Raises:
        UserError: a run is missing, the runs have different data or folds, or there is no such method.
    """
    dataset = load_dataset(workspace)
    runs = [read_run(RunFolder.of(workspace, run), dataset) for run in names]
    _check_same_folds(runs)
    rows = common_rows(runs)
    labels, folds = runs[0].labels[rows], runs[0].fold[rows]
    stack = np.stack([run.probabilities[rows] for run in runs]).astype(np.float64)
    candidates = [method_named(method)] if method else METHODS if len(runs) > 1 else METHODS[:1]
    nested = nested_predictions(candidates, stack, labels, folds)
    scores = choose_method(nested, labels)
    chosen = next(score.method for score in scores if score.chosen)
    fitted = FittedBlend.fit(method_named(chosen), stack, labels)
    weights = getattr(fitted.method, "weights", None)
    oof = np.full(runs[0].probabilities.shape, np.nan)
    oof[rows] = nested[chosen]
    best = max(runs, key=lambda run: (run.predictions[rows] == labels).sum())
    predicted = nested[chosen].argmax(axis=1)
    return Blend(
        name=name,
        csv=workspace.submissions / f"{name}.csv",
        runs=runs,
        methods=scores,
        weights=None if weights is None else dict(zip(names, map(float, weights), strict=True)),
        temperatures=dict(zip(names, fitted.scaling.temperatures, strict=True)),
        accuracy=metrics.accuracy(labels, oof[rows]),
        log_loss=metrics.log_loss(labels, oof[rows]),
        best_run=best.name,
        against_best_run=metrics.compare(labels, predicted, best.predictions[rows]) if len(runs) > 1 else None,
        oof=oof,
        test=fitted.apply(np.stack([run.test for run in runs]).astype(np.float64)),
    )


def write_blend(blend: Blend, workspace: Workspace) -> None:
    """Write the blend's submission, `submissions/<name>.csv`, with its record.

    Raises:
        UserError: a file can't be written.
    """
    write_submission(blend.csv, blend.test, workspace, _record(blend))


def nested_predictions(
    methods: Sequence[type[Method]], stack: np.ndarray, labels: np.ndarray, folds: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the predictions of each method by name, float64 (rows, classes), each row by a blend fitted on the other folds.

    Args:
        stack: float64 (runs, rows, classes).
        labels: int (rows,).
        folds: int (rows,). For a single fold only equal weights are returned, with temperatures fitted on its rows.
    """
    blended = {method.name: np.empty(stack.shape[1:]) for method in methods}
    for fold in np.unique(folds):
        inside, outside = folds == fold, folds != fold
        if not outside.any():  # fit only the temperatures, one number per run, on the rows that are scored
            return {ArithmeticMean.name: FittedBlend.fit(ArithmeticMean, stack, labels).apply(stack)}
        scaling = TemperatureScaling.fit(stack[:, outside], labels[outside])
        seen, unseen = scaling.apply(stack[:, outside]), scaling.apply(stack[:, inside])
        for method in methods:
            blended[method.name][inside] = method().fit(seen, labels[outside]).apply(unseen)
    return blended


def choose_method(nested: dict[str, np.ndarray], labels: np.ndarray) -> list[MethodScore]:
    """Return the scores of the methods; the first is chosen unless another is better with p < 0.05.

    Args:
        nested: probabilities (rows, classes) by method, the simplest first.
        labels: int (rows,).
    """
    simplest = next(iter(nested.values())).argmax(axis=1)
    comparisons = {name: metrics.compare(labels, blended.argmax(axis=1), simplest) for name, blended in nested.items()}
    better = [name for name, pair in comparisons.items() if pair.images > 0 and pair.p_value < metrics.SIGNIFICANT]
    chosen = max(better, key=lambda name: comparisons[name].images, default=next(iter(nested)))
    return [
        MethodScore(
            method=name,
            accuracy=metrics.accuracy(labels, blended).value,
            log_loss=metrics.log_loss(labels, blended),
            images=comparisons[name].images,
            p_value=comparisons[name].p_value,
            chosen=name == chosen,
        )
        for name, blended in nested.items()
    ]


def _check_same_folds(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs[1:]:
        if not np.array_equal(run.fold, first.fold):
            raise UserError(
                f"runs '{first.name}' and '{run.name}' have different folds: train both with the same folds and fold_seed"
            )


def _record(blend: Blend) -> BlendRecord:
    pair = blend.against_best_run
    return BlendRecord(
        runs=[run.name for run in blend.runs],
        members={run.name: run.metrics.members for run in blend.runs},
        partial=blend.partial,
        method=blend.method,
        methods=blend.methods,
        weights=blend.weights,
        temperatures=blend.temperatures,
        oof_accuracy=blend.accuracy.value,
        oof_accuracy_low=blend.accuracy.low,
        oof_accuracy_high=blend.accuracy.high,
        oof_log_loss=blend.log_loss,
        run_oof_accuracy={run.name: run.metrics.oof_accuracy for run in blend.runs},
        best_run=BestRun(blend.best_run, pair.images, pair.p_value) if pair else None,
    )
