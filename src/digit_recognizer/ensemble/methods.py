"""Blending methods, fitted on out-of-fold probabilities of some rows and applied to others."""

from typing import Protocol

import numpy as np

from digit_recognizer import metrics
from digit_recognizer.errors import UserError


class Method(Protocol):
    """A blending method; `fit` and `apply` take a float64 stack (runs, rows, classes)."""

    name: str

    def fit(self, stack: np.ndarray, labels: np.ndarray) -> "Method":
        """Fit to labels int (rows,) and return itself."""

    def apply(self, stack: np.ndarray) -> np.ndarray:
        """Return float64 (rows, classes)."""


class ArithmeticMean:
    """Equal weights."""

    name = "equal weights"

    def fit(self, stack: np.ndarray, labels: np.ndarray) -> "ArithmeticMean":
        self.weights = np.full(len(stack), 1 / len(stack))
        return self

    def apply(self, stack: np.ndarray) -> np.ndarray:
        return np.tensordot(self.weights, stack, axes=1)


class GeometricMean(ArithmeticMean):
    """The normalised mean of the logarithms of probabilities."""

    name = "geometric mean"

    def apply(self, stack: np.ndarray) -> np.ndarray:
        return metrics.softmax(super().apply(metrics.clipped_log(stack)))


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
        return np.concatenate(metrics.clipped_log(stack), axis=1)


METHODS: tuple[type[Method], ...] = (ArithmeticMean, GeometricMean, HillClimbing, Stacking)  # the simplest first


def method_named(name: str) -> type[Method]:
    """Return the method of that name.

    Raises:
        UserError: there is no method of that name; the message lists all names.
    """
    for method in METHODS:
        if method.name == name:
            return method
    raise UserError(f"there is no blending method '{name}'; there are: {', '.join(method.name for method in METHODS)}")
