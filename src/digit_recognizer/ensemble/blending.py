"""runs -> a blend: how to weigh them, judged on rows that the weights were not fitted on, and the submission from it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from digit_recognizer import metrics
from digit_recognizer.data.dataset import load_dataset
from digit_recognizer.ensemble import neighbours
from digit_recognizer.errors import UserError
from digit_recognizer.runs.comparison import common_rows
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.run import Run, read_run
from digit_recognizer.submission import submitting
from digit_recognizer.workspace import Workspace


@dataclass(frozen=True)
class Score:
    """A way of blending and its accuracy on OOF rows: `nested` where its weights were fitted on the other folds."""

    method: str
    accuracy: float
    log_loss: float
    comparison: str  # against the simplest, image by image
    p_value: float
    chosen: bool


@dataclass(frozen=True)
class Blend:
    """Runs blended, and what a second look at the doubtful images made of that."""

    name: str
    csv: Path
    runs: list[Run]
    table: list[Score]
    weights: dict[str, float] | None  # None: the method has none, it is a model
    second_look: neighbours.SecondLook | None  # None: too little to learn from
    accuracy: metrics.Estimate
    log_loss: float
    against_best: str  # the blend and the best of its runs, both before the second look; empty for one run
    temperatures: dict[str, float]  # of each run, by which its probabilities were brought to a common scale
    oof: np.ndarray  # nested, float64 (n, classes), NaN in rows that a run has not predicted
    test: np.ndarray  # float64 (m, classes)

    @property
    def partial(self) -> list[str]:
        """Names of the runs with members still to train."""
        return [run.name for run in self.runs if run.partial]


class Method(Protocol):
    """A way of blending: fitted on the OOF probabilities of some rows, applied to others.

    Both take a float64 stack (runs, rows, classes); `apply` returns float64 (rows, classes).
    """

    name: str

    def fit(self, stack: np.ndarray, labels: np.ndarray) -> "Method": ...

    def apply(self, stack: np.ndarray) -> np.ndarray: ...


class ArithmeticMean:
    """Equal weights."""

    name = "equal weights"

    def fit(self, stack: np.ndarray, labels: np.ndarray) -> "ArithmeticMean":
        self.weights = np.full(len(stack), 1 / len(stack))
        return self

    def apply(self, stack: np.ndarray) -> np.ndarray:
        return np.tensordot(self.weights, stack, axes=1)


class GeometricMean(ArithmeticMean):
    """Equal weights of the logarithms."""

    name = "geometric mean"

    def apply(self, stack: np.ndarray) -> np.ndarray:
        return metrics.softmax(super().apply(metrics.logarithms(stack)))


class HillClimbing(ArithmeticMean):
    """Greedy selection with replacement by log loss (Caruana et al., 2004)."""

    name = "hill climbing"
    steps = 50

    def fit(self, stack: np.ndarray, labels: np.ndarray) -> "HillClimbing":
        true_class = stack[:, np.arange(len(labels)), labels]
        counts, total = np.zeros(len(stack)), np.zeros(len(labels))
        for step in range(1, self.steps + 1):
            losses = -np.log(np.clip((total + true_class) / step, 1e-7, 1)).mean(axis=1)
            best = int(losses.argmin())
            counts[best] += 1
            total += true_class[best]
        self.weights = counts / counts.sum()
        return self


class Stacking:
    """Multinomial logistic regression on the logarithms of all runs' probabilities (Wolpert, 1992)."""

    name = "stacking"

    def fit(self, stack: np.ndarray, labels: np.ndarray) -> "Stacking":
        from sklearn.linear_model import LogisticRegression

        self.model = LogisticRegression(C=0.01, solver="newton-cg").fit(self._features(stack), labels)
        return self

    def apply(self, stack: np.ndarray) -> np.ndarray:
        probabilities = np.zeros(stack.shape[1:])
        probabilities[:, self.model.classes_] = self.model.predict_proba(self._features(stack))
        return probabilities

    @staticmethod
    def _features(stack: np.ndarray) -> np.ndarray:
        return np.concatenate(metrics.logarithms(stack), axis=1)


@dataclass(frozen=True)
class Calibration:
    """A temperature for each run, with which its log loss is lowest (Guo et al., 2017).

    Without it a run that was trained with label smoothing, and so is never sure, is outvoted by overconfident ones.
    """

    temperatures: list[float]

    @classmethod
    def fit(cls, stack: np.ndarray, labels: np.ndarray) -> "Calibration":
        """Return the calibration of a stack (runs, rows, classes)."""
        return cls([metrics.temperature(labels, probabilities) for probabilities in stack])

    def apply(self, stack: np.ndarray) -> np.ndarray:
        """Return the stack at these temperatures."""
        return np.stack([metrics.heated(*pair) for pair in zip(stack, self.temperatures, strict=True)])


@dataclass(frozen=True)
class FittedBlend:
    """A fitted method and the calibration of the runs before it."""

    calibration: Calibration
    method: Method

    def apply(self, stack: np.ndarray) -> np.ndarray:
        """Return float64 (rows, classes) of a stack (runs, rows, classes)."""
        return self.method.apply(self.calibration.apply(stack))


METHODS = (ArithmeticMean, GeometricMean, HillClimbing, Stacking)  # the simplest first


def blend(workspace: Workspace, names: Sequence[str], name: str) -> Blend:
    """Blend the runs `names` and write `submissions/<name>.csv` with its record.

    Raises:
        UserError: a run is missing, or the runs have different data or folds.
    """
    result = blended(workspace, names, name)
    submitting.write_submission(result.csv, result.test, workspace, _record(result))
    return result


def blended(workspace: Workspace, names: Sequence[str], name: str, method: str | None = None) -> Blend:
    """Return the blend of the runs `names`, nothing written.

    Each method is judged by predictions whose weights were fitted on the other folds; the simplest is chosen unless another
    is better with p < 0.05. Before any of them, each run is calibrated by its own temperature. What the chosen one is least
    sure of is looked at again, if that is better.

    Raises:
        UserError: a run is missing, or the runs have different data or folds.
    """
    dataset = load_dataset(workspace)
    runs = [read_run(RunFolder.of(workspace, name), dataset) for name in names]
    _check_together(runs)
    rows = common_rows(runs)
    labels, folds = runs[0].labels[rows], runs[0].fold[rows]
    stack = np.stack([run.probabilities[rows] for run in runs]).astype(np.float64)
    candidates = _candidates(method) if method else METHODS if len(runs) > 1 else METHODS[:1]
    nested = _nested(candidates, stack, labels, folds)
    table = _judge(nested, labels)
    chosen = next(score.method for score in table if score.chosen)
    fitted = fitted_blend(chosen, stack, labels)
    weights = getattr(fitted.method, "weights", None)
    test = fitted.apply(np.stack([run.test for run in runs]).astype(np.float64))
    oof = np.full(runs[0].probabilities.shape, np.nan)
    oof[rows] = nested[chosen]
    look = neighbours.second_look(dataset, runs[0].fold, oof, test)
    if look and look.better:
        oof, test = look.oof, look.test
    return Blend(
        name=name,
        csv=workspace.submissions / f"{name}.csv",
        runs=runs,
        table=table,
        weights=None if weights is None else dict(zip(names, map(float, weights), strict=True)),
        second_look=look,
        accuracy=metrics.accuracy(labels, oof[rows]),
        log_loss=metrics.log_loss(labels, oof[rows]),
        against_best=_against_best(runs, rows, nested[chosen]) if len(runs) > 1 else "",
        temperatures=dict(zip(names, fitted.calibration.temperatures, strict=True)),
        oof=oof,
        test=test,
    )


def _candidates(method: str) -> tuple[type, ...]:
    """Return the method of that name alone."""
    if found := tuple(kind for kind in METHODS if kind.name == method):
        return found
    raise UserError(f"there is no blending method '{method}'; there are: {', '.join(kind.name for kind in METHODS)}")


def _against_best(runs: Sequence[Run], rows: np.ndarray, blended: np.ndarray) -> str:
    labels = runs[0].labels[rows]
    predictions = {run.name: run.probabilities[rows].argmax(axis=1) for run in runs}
    best = max(predictions, key=lambda name: (predictions[name] == labels).sum())
    return f"against {best} alone: {metrics.compare(labels, blended.argmax(axis=1), predictions[best])}"


def fitted_blend(name: str, stack: np.ndarray, labels: np.ndarray) -> FittedBlend:
    """Return the method of that name, fitted on all rows of `stack`."""
    kind = next(kind for kind in METHODS if kind.name == name)
    calibration = Calibration.fit(stack, labels)
    return FittedBlend(calibration, kind().fit(calibration.apply(stack), labels))


def _check_together(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs[1:]:
        if not np.array_equal(run.fold, first.fold):
            raise UserError(
                f"runs '{first.name}' and '{run.name}' have different folds: train both with the same folds and fold_seed"
            )


def _nested(kinds: Sequence[type], stack: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> dict[str, np.ndarray]:
    """Return by each method probabilities (rows, classes), those of a row by what was fitted on the rows of the other folds."""
    blended = {kind.name: np.empty(stack.shape[1:]) for kind in kinds}
    for fold in np.unique(folds):
        inside, outside = folds == fold, folds != fold
        if not outside.any():  # a single fold: fit no more on it than the temperatures, a number a run
            return {ArithmeticMean.name: fitted_blend(ArithmeticMean.name, stack, labels).apply(stack)}
        calibration = Calibration.fit(stack[:, outside], labels[outside])
        seen, unseen = calibration.apply(stack[:, outside]), calibration.apply(stack[:, inside])
        for kind in kinds:
            blended[kind.name][inside] = kind().fit(seen, labels[outside]).apply(unseen)
    return blended


def _judge(nested: dict[str, np.ndarray], labels: np.ndarray) -> list[Score]:
    """Return the table of methods, the chosen one marked."""
    simplest = next(iter(nested.values())).argmax(axis=1)
    comparisons = {name: metrics.compare(labels, blended.argmax(axis=1), simplest) for name, blended in nested.items()}
    better = [name for name, pair in comparisons.items() if pair.images > 0 and pair.p_value < metrics.SIGNIFICANT]
    chosen = max(better, key=lambda name: comparisons[name].images, default=next(iter(nested)))
    return [
        Score(
            method=name,
            accuracy=metrics.accuracy(labels, blended).value,
            log_loss=metrics.log_loss(labels, blended),
            comparison=str(comparisons[name]),
            p_value=comparisons[name].p_value,
            chosen=name == chosen,
        )
        for name, blended in nested.items()
    ]


def _record(result: Blend) -> dict[str, Any]:
    look = result.second_look
    return {
        "runs": [run.name for run in result.runs],
        "members": {run.name: run.metrics.members for run in result.runs},
        "partial": result.partial,
        "method": next(score.method for score in result.table if score.chosen),
        "weights": result.weights,
        "methods": [asdict(score) for score in result.table],
        "second_look": look
        and {"used": look.better, "doubtful": look.doubtful, "gain": str(look), "weights": look.weights._asdict()},
        "oof_accuracy": result.accuracy.value,
        "oof_accuracy_low": result.accuracy.low,
        "oof_accuracy_high": result.accuracy.high,
        "oof_log_loss": result.log_loss,
        "temperatures": result.temperatures,
        "against_best": result.against_best,
        "run_oof_accuracy": {run.name: run.metrics.oof_accuracy for run in result.runs},
    }
