"""An experiment -> the compiled Keras model of one member, with the weights that it begins with."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from digit_recognizer import backend
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.experiment import Experiment
from digit_recognizer.models.build_model import build_model
from digit_recognizer.training.members import Member, Split, steps_per_epoch, steps_per_execution
from digit_recognizer.training.schedules import learning_rate


def compiled_model(experiment: Experiment, dataset: Dataset, split: Split, member: Member) -> keras.Model:
    """Return the member's model with its initial weights, a function of (seed, fold), and a built optimizer."""
    keras.config.set_dtype_policy(backend.precision(experiment.precision))
    keras.utils.set_random_seed(int(np.random.SeedSequence(member.key).generate_state(1)[0]))
    pixels = dataset.images[split.train]
    model = build_model(experiment, dataset.image_shape, len(dataset.classes), float(pixels.mean()), float(pixels.std()))
    model.compile(
        optimizer=_optimizer(experiment, steps_per_epoch(experiment, len(split.train))),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=experiment.label_smoothing),
        metrics=_metrics(experiment),
        steps_per_execution=steps_per_execution(experiment),
    )
    model.optimizer.build(model.trainable_variables)
    return model


def _metrics(experiment: Experiment) -> list[keras.metrics.Metric]:
    """Accuracy, and where label smoothing makes the loss another figure, one by which studies can compare."""
    found: list[keras.metrics.Metric] = [keras.metrics.CategoricalAccuracy(name="accuracy")]
    return [*found, CalibratedLogLoss(name="log_loss")] if experiment.label_smoothing else found


class CalibratedLogLoss(keras.metrics.Metric):
    """The lowest log loss at any of some temperatures, about what `metrics.calibrated_log_loss` finds."""

    temperatures = 2.0 ** np.arange(-1.5, 1.75, 0.25)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.losses = self.add_variable((len(self.temperatures),), "zeros", name="losses")
        self.rows = self.add_variable((), "zeros", name="rows")

    def update_state(self, labels: Any, probabilities: Any, sample_weight: Any = None) -> None:
        """Add a batch: labels as probabilities (rows, classes), and those predicted."""
        logarithms = ops.log(ops.clip(ops.cast(ops.stop_gradient(probabilities), "float32"), 1e-7, 1.0))
        temperatures = ops.convert_to_tensor(self.temperatures[:, None], "float32")  # PyTorch divides by no NumPy array
        heated = ops.log_softmax(logarithms[:, None, :] / temperatures, axis=-1)
        heated = ops.maximum(heated, math.log(1e-7))
        self.losses.assign_add(-ops.sum(ops.cast(labels, "float32")[:, None, :] * heated, axis=(0, 2)))
        self.rows.assign_add(ops.cast(ops.shape(labels)[0], "float32"))

    def result(self) -> Any:
        return ops.min(self.losses) / ops.maximum(self.rows, 1.0)


def _optimizer(experiment: Experiment, steps: int) -> keras.optimizers.Optimizer:
    options: dict[str, Any] = {"learning_rate": learning_rate(experiment, steps)}
    if experiment.ema:
        options |= {"use_ema": True, "ema_momentum": experiment.ema}
    if experiment.weight_decay:
        options["weight_decay"] = experiment.weight_decay
    if experiment.optimizer == "sgd":
        options["momentum"] = experiment.momentum
    kinds = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD", "rmsprop": "RMSprop"}
    return getattr(keras.optimizers, kinds[experiment.optimizer])(**options)
