"""Scores of predictions, each with an interval where one is known: pure functions of arrays.

`labels` are int (n,), `predictions` int (n,), `probabilities` float (n, classes) without NaN; see `predicted_rows`.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

Z_95 = NormalDist().inv_cdf(0.975)  # all intervals are two-sided, 95 %
SIGNIFICANT = 0.05  # p-values below this are significant
SUSPICIOUS_ACCURACY = 0.9985  # about the highest accuracy possible on MNIST with its wrong and ambiguous labels


class Estimate(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


class ClassScores(NamedTuple):
    """Scores of one class; `support` is the number of rows with its label."""

    precision: Estimate
    recall: Estimate
    f1: Estimate
    support: int


class Calibration(NamedTuple):
    """Rows binned by the probability of their prediction; float64 (bins,), NaN where a bin is empty."""

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray  # int64 (bins,)
    error: float  # expected calibration error, 0..1


def predicted_rows(probabilities: np.ndarray) -> np.ndarray:
    """Return which rows have a prediction, bool (n,); rows without one are NaN."""
    return ~np.isnan(probabilities).any(axis=1)


def proportion(successes: float, trials: float) -> Estimate:
    """Return the share of successes with its Wilson score interval (Wilson, 1927); NaN, from 0 to 1, if there are no trials."""
    if not trials:
        return Estimate(float("nan"), 0.0, 1.0)
    share, spread = successes / trials, Z_95**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = Z_95 * np.sqrt((share * (1 - share) + spread / 4) / trials) / (1 + spread)
    return Estimate(float(share), float(max(centre - half, 0.0)), float(min(centre + half, 1.0)))


def accuracy(labels: np.ndarray, probabilities: np.ndarray) -> Estimate:
    """Return the share of rows whose most probable class is the label."""
    return proportion(int((probabilities.argmax(axis=1) == labels).sum()), len(labels))


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the mean negative natural logarithm of the label's probability, clipped at 1e-7."""
    return float(-np.log(np.clip(probabilities[np.arange(len(labels)), labels].astype(np.float64), 1e-7, 1)).mean())


def best_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the temperature at which the log loss is lowest (Guo et al., 2017)."""
    from scipy.optimize import minimize_scalar

    def loss(logarithm: float) -> float:
        return log_loss(labels, apply_temperature(probabilities, math.exp(logarithm)))

    return math.exp(minimize_scalar(loss, bounds=(-2.0, 2.0), method="bounded").x)


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return the probabilities (..., classes) at a temperature: below 1 more confident, above 1 less."""
    return softmax(clipped_log(probabilities) / temperature)


def clipped_log(probabilities: np.ndarray) -> np.ndarray:
    """Return the natural logarithms of probabilities clipped at 1e-7."""
    return np.log(np.clip(probabilities, 1e-7, 1))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the softmax of logits (..., classes) over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def calibrated_log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the log loss at the best temperature, so that label smoothing doesn't increase it."""
    return log_loss(labels, apply_temperature(probabilities, best_temperature(labels, probabilities)))


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Return counts, int64 (classes, classes): rows are true labels, columns predictions."""
    pairs = np.asarray(labels, dtype=np.int64) * classes + predictions
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def class_scores(matrix: np.ndarray) -> list[ClassScores]:
    """Return precision, recall and F1 of each class of a confusion matrix.

    F1 is a rising function of TP / (TP + FP + FN) (Hand, Christen and Kirielle, 2021), so its Wilson interval gives that of F1.
    """
    scores = []
    for hits, true, predicted in zip(matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0), strict=True):
        overlap = proportion(hits, true + predicted - hits)
        f1 = Estimate(*(2 * share / (1 + share) for share in overlap))
        scores.append(ClassScores(proportion(hits, predicted), proportion(hits, true), f1, int(true)))
    return scores


def calibration(labels: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> Calibration:
    """Return how often predictions of a given probability are right, in bins of equal width (Guo et al., 2017)."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(place, confidence, bins) / count
        mean_right = np.bincount(place, right, bins) / count
    error = np.nansum(np.abs(mean_right - mean_confidence) * count) / max(len(labels), 1)
    return Calibration(mean_confidence, mean_right, count, float(error))


@dataclass(frozen=True)
class Comparison:
    """Two sets of predictions for the same rows, image by image."""

    rows: int
    only_first_right: int
    only_second_right: int
    both_wrong: int

    @property
    def both_right(self) -> int:
        return self.rows - self.only_first_right - self.only_second_right - self.both_wrong

    @property
    def images(self) -> int:
        """How many more images the first has right; negative where the second is better."""
        return self.only_first_right - self.only_second_right

    @property
    def p_value(self) -> float:
        """McNemar's two-sided mid-p (Fagerland, Lydersen and Laake, 2013); 1 if both are right on the same images."""
        from scipy.stats import binom

        fewer, discordant = min(self.only_first_right, self.only_second_right), self.only_first_right + self.only_second_right
        tail = binom.cdf(fewer, discordant, 0.5) - 0.5 * binom.pmf(fewer, discordant, 0.5)
        return float(min(2 * tail, 1.0))

    @property
    def accuracy_difference(self) -> Estimate:
        """Accuracy of the first minus the second, with Bonett and Price's interval (2012) for paired proportions."""
        first, second = ((wins + 1) / (self.rows + 2) for wins in (self.only_first_right, self.only_second_right))
        half = Z_95 * np.sqrt((first + second - (first - second) ** 2) / (self.rows + 2))
        value = self.images / self.rows if self.rows else float("nan")
        return Estimate(value, float(first - second - half), float(first - second + half))


def compare(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> Comparison:
    """Compare two arrays of predictions, int (n,), of the same rows."""
    first_right, second_right = first == labels, second == labels
    return Comparison(
        rows=len(labels),
        only_first_right=int((first_right & ~second_right).sum()),
        only_second_right=int((second_right & ~first_right).sum()),
        both_wrong=int((~first_right & ~second_right).sum()),
    )
