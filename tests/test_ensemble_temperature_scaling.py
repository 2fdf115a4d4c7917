"""Temperature scaling before blending."""

import numpy as np
import pytest

from digit_recognizer import metrics
from digit_recognizer.ensemble.temperature_scaling import TemperatureScaling


def test_overconfidence_and_underconfidence_are_undone():
    random = np.random.default_rng(0)
    honest = random.dirichlet(np.full(10, 0.3), 5000)
    labels = np.array([random.choice(10, p=row) for row in honest])
    stack = np.stack([metrics.apply_temperature(honest, temperature) for temperature in (0.5, 1, 1.5)])
    scaling = TemperatureScaling.fit(stack, labels)
    assert scaling.temperatures == pytest.approx([2, 1, 2 / 3], rel=0.1)
    assert scaling.apply(stack) == pytest.approx(np.stack([honest] * 3), abs=0.05)


def test_stack_of_another_number_of_runs_is_refused():
    with pytest.raises(ValueError, match="shorter"):
        TemperatureScaling([1.0]).apply(np.full((2, 3, 10), 0.1))
