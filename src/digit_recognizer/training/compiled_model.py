"""The compiled Keras model of a member; members that are trained in one process share it, so that it is traced once."""

import math
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import ops

from digit_recognizer import backend
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Experiment
from digit_recognizer.models.build_model import build_model
from digit_recognizer.models.layers import plain, update_plain
from digit_recognizer.runs.member import Member
from digit_recognizer.training.callbacks import assign, values
from digit_recognizer.training.members import Split, steps_per_execution
from digit_recognizer.training.schedules import learning_rate


class ModelCache:
    """The compiled model of the last member, reused for the next one if only seed and fold differ."""

    def __init__(self) -> None:
        self.depends_on: tuple[Any, ...] | None = None

    def compiled(
        self, experiment: Experiment, dataset: Dataset, split: Split, member: Member, steps_per_epoch: int
    ) -> keras.Model:
        """Return the member's model with its initial weights and optimizer state, as `build_compiled_model` does.

        Raises:
            UserError: the network's outputs are not probabilities of the dataset's classes.
        """
        depends_on = (
            replace(experiment, seeds=(0,)),
            _scaling_of(experiment, dataset.images[split.train]),
            dataset.image_shape,
            len(dataset.classes),
            steps_per_epoch,
        )
        if depends_on != self.depends_on:
            keras.backend.clear_session()
            self.model = build_compiled_model(experiment, dataset, split, member, steps_per_epoch)
            self.optimizer_start = values(self.model.optimizer.variables)
            self.plain_models: dict[int, keras.Model] = {}
            self.depends_on = depends_on
        else:
            assign(self.model.variables, values(_build(experiment, dataset, split, member).variables))
            assign(self.model.optimizer.variables, self.optimizer_start)
        return self.model

    def plain(self, digit_width: int) -> keras.Model:
        """Return the model with its present weights, uncompiled and of Keras's own layers; see `layers.plain`."""
        if digit_width not in self.plain_models:
            self.plain_models[digit_width] = plain(self.model, digit_width)
        else:
            update_plain(self.plain_models[digit_width], self.model)
        return self.plain_models[digit_width]


def _scaling_of(experiment: Experiment, pixels: np.ndarray) -> tuple[float, float]:
    """Return the mean and standard deviation of the training pixels where the model's first layer uses them."""
    return (0.0, 1.0) if experiment.scaling == "unit" else (float(pixels.mean()), float(pixels.std()))


def _build(experiment: Experiment, dataset: Dataset, split: Split, member: Member) -> keras.Model:
    """Return the uncompiled model; the initial weights are a function of (seed, fold)."""
    keras.config.set_dtype_policy(backend.precision(experiment.precision))
    keras.utils.set_random_seed(int(np.random.SeedSequence(member.key).generate_state(1)[0]))
    mean, sd = _scaling_of(experiment, dataset.images[split.train])
    return build_model(experiment, dataset.image_shape, len(dataset.classes), mean, sd)


def build_compiled_model(
    experiment: Experiment, dataset: Dataset, split: Split, member: Member, steps_per_epoch: int
) -> keras.Model:
    """Return the member's model with its optimizer; the initial weights are a function of (seed, fold).

    Raises:
        UserError: the network's outputs are not probabilities of the dataset's classes.
    """
    model = _build(experiment, dataset, split, member)
    _check_probabilities(model, dataset.images[split.train[:8]])
    model.compile(
        optimizer=_optimizer(experiment, steps_per_epoch),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=experiment.label_smoothing),
        metrics=_metrics(experiment),
        steps_per_execution=steps_per_execution(experiment),
    )
    model.optimizer.build(model.trainable_variables)
    return model


def _check_probabilities(model: keras.Model, images: np.ndarray) -> None:
    outputs = ops.convert_to_numpy(model(images.astype(np.float32)))
    sums = outputs.sum(axis=1)
    if outputs.min() < 0 or not np.allclose(sums, 1, atol=0.01):  # half precision has three digits
        raise UserError(
            f"network: its outputs must be probabilities, but those of one image are {outputs.min():.3g} or more and their sum "
            f"is {sums[np.abs(sums - 1).argmax()]:.3g}: end it with layers.Dense(classes, activation='softmax')"
        )


def _metrics(experiment: Experiment) -> list[keras.metrics.Metric]:
    """Return the accuracy and, because label smoothing changes the loss, a log loss that is comparable between trials."""
    found: list[keras.metrics.Metric] = [keras.metrics.CategoricalAccuracy(name="accuracy")]
    return [*found, CalibratedLogLoss(name="log_loss")] if experiment.label_smoothing else found


class CalibratedLogLoss(keras.metrics.Metric):
    """The lowest log loss at any of 13 temperatures, which approximates `metrics.calibrated_log_loss`."""

    temperatures = 2.0 ** np.arange(-1.5, 1.75, 0.25)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.losses = self.add_variable((len(self.temperatures),), "zeros", name="losses")
        self.rows = self.add_variable((), "zeros", name="rows")

    def update_state(self, labels: Any, probabilities: Any, sample_weight: Any = None) -> None:
        """Add a batch: one-hot labels (rows, classes) and predicted probabilities (rows, classes)."""
        clipped_log = ops.log(ops.clip(ops.cast(ops.stop_gradient(probabilities), "float32"), 1e-7, 1.0))
        temperatures = ops.convert_to_tensor(self.temperatures[:, None], "float32")  # PyTorch can't divide by a NumPy array
        scaled = ops.log_softmax(clipped_log[:, None, :] / temperatures, axis=-1)
        scaled = ops.maximum(scaled, math.log(1e-7))
        self.losses.assign_add(-ops.sum(ops.cast(labels, "float32")[:, None, :] * scaled, axis=(0, 2)))
        self.rows.assign_add(ops.cast(ops.shape(labels)[0], "float32"))

    def result(self) -> Any:
        return ops.min(self.losses) / ops.maximum(self.rows, 1.0)


def _optimizer(experiment: Experiment, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    options: dict[str, Any] = {"learning_rate": learning_rate(experiment, steps_per_epoch)}
    if experiment.ema:
        options |= {"use_ema": True, "ema_momentum": experiment.ema}
    if experiment.weight_decay:
        options["weight_decay"] = experiment.weight_decay
    if experiment.optimizer == "sgd":
        options["momentum"] = experiment.momentum
    classes = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD", "rmsprop": "RMSprop"}
    return getattr(keras.optimizers, classes[experiment.optimizer])(**options)
