"""Temperature scaling of runs before they are blended (Guo et al., 2017)."""

from dataclasses import dataclass

import numpy as np

from digit_recognizer import metrics


@dataclass(frozen=True)
class TemperatureScaling:
    """A temperature for each run, at which its log loss is lowest.

    Without it a run that was trained with label smoothing, and so is never confident, is outvoted by overconfident ones.
    """

    temperatures: list[float]

    @classmethod
    def fit(cls, stack: np.ndarray, labels: np.ndarray) -> "TemperatureScaling":
        """Return the temperatures for a stack (runs, rows, classes) and labels int (rows,)."""
        return cls([metrics.best_temperature(labels, probabilities) for probabilities in stack])

    def apply(self, stack: np.ndarray) -> np.ndarray:
        """Return the stack at these temperatures."""
        return np.stack([metrics.apply_temperature(*pair) for pair in zip(stack, self.temperatures, strict=True)])
