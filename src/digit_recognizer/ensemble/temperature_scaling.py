"""Temperature scaling of runs before they are blended (Guo et al., 2017)."""

from dataclasses import dataclass

import numpy as np

from digit_recognizer import metrics


@dataclass(frozen=True)
class TemperatureScaling:
    """The temperature of each run that minimises its log loss.

    Without it, overconfident runs have more influence than a run trained with label smoothing, which is underconfident.
    """

    temperatures: list[float]

    @classmethod
    def fit(cls, stack: np.ndarray, labels: np.ndarray) -> "TemperatureScaling":
        """Return the temperatures for a stack (runs, rows, classes) and labels int (rows,)."""
        return cls([metrics.best_temperature(labels, probabilities) for probabilities in stack])

    def apply(self, stack: np.ndarray) -> np.ndarray:
        """Return the stack with the temperatures applied."""
        return np.stack([metrics.apply_temperature(*pair) for pair in zip(stack, self.temperatures, strict=True)])
