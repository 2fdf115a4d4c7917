"""Learning-rate schedules as functions of the step, so that they have no state to restore."""

from typing import Any

import keras
import numpy as np

from digit_recognizer.experiment import Experiment


def learning_rate(experiment: Experiment, steps_per_epoch: int) -> Any:
    """Return the `learning_rate` argument of a Keras optimizer: a number or a schedule."""
    schedule, peak = experiment.schedule, experiment.learning_rate
    if schedule.kind == "exponential":
        return keras.optimizers.schedules.ExponentialDecay(peak, steps_per_epoch, schedule.decay, staircase=True)
    if schedule.kind == "one_cycle":
        return OneCycle(peak, experiment.epochs * steps_per_epoch, schedule.warmup, schedule.final)
    return peak


class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up from `peak / 25`, then a cosine decay to `final * peak` (Smith and Topin, 2018).

    Keras's `CosineDecay` with a warm-up rounds differently, so that results would not be byte-equal.
    """

    def __init__(self, peak: float, steps: int, warmup: float, final: float) -> None:
        super().__init__()
        self.peak, self.steps, self.warmup, self.final = peak, steps, warmup, final

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of a step, counted from 0."""
        ops = keras.ops
        done = ops.cast(step, "float32") / self.steps
        decayed = ops.clip((done - self.warmup) / (1 - self.warmup), 0.0, 1.0)
        falling = self.final + (1 - self.final) * 0.5 * (1 + ops.cos(np.pi * decayed))
        if not self.warmup:
            return self.peak * falling
        rising = 0.04 + 0.96 * done / self.warmup
        return self.peak * ops.where(done < self.warmup, rising, falling)
