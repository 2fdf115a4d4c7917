"""Learning-rate schedules."""

import numpy as np
import pytest

from digit_recognizer.experiment import Experiment, Schedule
from digit_recognizer.models.networks import mlp
from digit_recognizer.training.schedules import learning_rate

STEPS, EPOCHS = 10, 8


def rates(**schedule):
    """Return the learning rate of each step of a training with the highest rate 0.5."""
    experiment = Experiment(network=mlp, epochs=EPOCHS, learning_rate=0.5, schedule=Schedule(**schedule))
    schedule = learning_rate(experiment, STEPS)
    return np.array([float(schedule(step)) for step in range(STEPS * EPOCHS + 1)])


def test_constant_is_a_number():
    assert learning_rate(Experiment(network=mlp, learning_rate=0.5), STEPS) == 0.5


def test_exponential_falls_after_each_epoch():
    assert rates(kind="exponential", decay=0.9)[:-1] == pytest.approx(np.repeat(0.5 * 0.9 ** np.arange(EPOCHS), STEPS))


def test_one_cycle_rises_linearly_and_falls_along_a_cosine():
    found = rates(kind="one_cycle", warmup=0.25, final=0.1)
    assert found[0] == pytest.approx(0.5 / 25)
    assert found[20] == found.max() == pytest.approx(0.5)
    assert np.diff(found[:21]) == pytest.approx(np.full(20, (0.5 - 0.02) / 20), rel=1e-4)
    assert found[50] == pytest.approx((0.5 + 0.05) / 2)
    assert found[-1] == pytest.approx(0.05)
    assert (np.diff(found[20:]) < 0).all()


def test_one_cycle_without_warm_up_starts_at_the_highest_rate():
    found = rates(kind="one_cycle", warmup=0, final=0)
    assert found[0] == found.max() == pytest.approx(0.5)
    assert found[-1] == pytest.approx(0, abs=1e-7)
