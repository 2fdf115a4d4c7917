"""Learning-rate schedules as functions of the step, so that a resumed training finds its rate without any state."""

from typing import Any

import keras
import numpy as np

from digit_recognizer.experiment import Experiment


def learning_rate(experiment: Experiment, steps_per_epoch: int) -> Any:
    """Return what a Keras optimizer takes as its learning rate: a number or a schedule."""
    if experiment.schedule.kind == "constant":
        return experiment.learning_rate
    return Scheduled(
        experiment.schedule.kind,
        experiment.learning_rate,
        steps_per_epoch,
        experiment.epochs,
        decay=experiment.schedule.decay,
        warmup=experiment.schedule.warmup,
        final=experiment.schedule.final,
    )


@keras.saving.register_keras_serializable("digit_recognizer")
class Scheduled(keras.optimizers.schedules.LearningRateSchedule):
    """`experiment.Schedule` as a Keras schedule."""

    def __init__(self, kind: str, peak: float, steps_per_epoch: int, epochs: int, *, decay: float, warmup: float, final: float):
        super().__init__()
        self.kind, self.peak, self.steps_per_epoch, self.epochs = kind, peak, steps_per_epoch, epochs
        self.decay, self.warmup, self.final = decay, warmup, final

    def __call__(self, step: Any) -> Any:
        ops = keras.ops
        step = ops.cast(step, "float32")
        if self.kind == "exponential":
            return self.peak * self.decay ** ops.floor(step / self.steps_per_epoch)
        done = step / (self.steps_per_epoch * self.epochs)
        warmup = self.warmup if self.kind == "one_cycle" else 0.0
        fallen = ops.clip((done - warmup) / (1 - warmup), 0.0, 1.0)
        falling = self.final + (1 - self.final) * 0.5 * (1 + ops.cos(np.pi * fallen))
        if not warmup:
            return self.peak * falling
        rising = 0.04 + 0.96 * done / warmup
        return self.peak * ops.where(done < warmup, rising, falling)

    def get_config(self) -> dict[str, Any]:
        names = ("kind", "peak", "steps_per_epoch", "epochs", "decay", "warmup", "final")
        return {name: getattr(self, name) for name in names}
