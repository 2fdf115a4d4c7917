"""Keras callbacks of a member's training. Imported only where Keras is."""

import contextlib
import math
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from digit_recognizer import backend, figures, files, metrics
from digit_recognizer.errors import UserError
from digit_recognizer.models import layers, prediction
from digit_recognizer.training import checkpoint
from digit_recognizer.training.checkpoint import Progress, State
from digit_recognizer.training.events import EpochEnded, OnEvent, StepEnded
from digit_recognizer.training.members import Member
from digit_recognizer.training.sampler import Order

# What Keras's own callbacks reset when training begins, and so must be put back on a resume.
COUNTERS = ("wait", "best", "best_epoch", "stopped_epoch", "cooldown_counter")


class SeedEpochs(keras.callbacks.Callback):
    """Makes the draws of dropout a function of (seed, fold, epoch)."""

    def __init__(self, key: tuple[int, int]) -> None:
        super().__init__()
        self.key = key

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        backend.reseed(self.model, [*self.key, epoch])


class StopOnNaN(keras.callbacks.Callback):
    """Ends training with a clear error at the first epoch whose loss is not a number."""

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise UserError(f"the loss became {loss} in epoch {epoch + 1}: lower learning_rate (SET=learning_rate=...)")


class AtomicCheckpoint(keras.callbacks.ModelCheckpoint):
    """Keras's ModelCheckpoint that leaves no half-written file, and saves the weights that were validated."""

    def _save_model(self, epoch: int, batch: int | None, logs: dict) -> None:
        path = Path(self._get_file_path(epoch, batch, logs))
        if not self._should_save_model(epoch, batch, logs, str(path)):
            return
        with predicting(self.model), files.atomic(path) as temporary:
            layers.plain(self.model).save(temporary)


class Board(keras.callbacks.TensorBoard):
    """TensorBoard's scalars and learning rate, and the confusion matrix of the validation images.

    The matrix is drawn at the end of each quarter of the epochs that is among the `validated` ones, since it takes a second.
    """

    def __init__(
        self, folder: Path, images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], validated: Collection[int]
    ) -> None:
        super().__init__(folder, write_graph=False)
        self.images, self.labels, self.classes = images, labels, classes
        self.shown = {math.ceil(max(validated) * quarter / 4) for quarter in range(1, 5)}.intersection(validated)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        super().on_epoch_end(epoch, logs)
        if epoch + 1 not in self.shown or not len(self.images):
            return
        with predicting(self.model):
            predictions = prediction.predict(self.model, self.images).argmax(axis=1)
        picture = figures.confusion_png(metrics.confusion_matrix(self.labels, predictions, len(self.classes)), self.classes)
        with self._val_writer.as_default():
            self.summary.image("confusion", backend.decoded_png(picture), step=epoch)


class Reporter(keras.callbacks.Callback):
    """Sends a `StepEnded` about twice a second, and after an epoch's last step."""

    async_safe = True  # it only reads `logs`, so that JAX need not wait for them after each step

    def __init__(self, on_event: OnEvent, member: Member, batch_size: int) -> None:
        super().__init__()
        self.on_event, self.member, self.batch_size = on_event, member, batch_size
        self.last = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch, self.began = epoch, time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        now = time.perf_counter()
        if now - self.last < 0.5 and batch + 1 < self.params["steps"]:
            return
        self.last = now
        self.on_event(
            StepEnded(
                self.member,
                epoch=self.epoch,
                step=batch + 1,
                steps=self.params["steps"],
                images_per_second=(batch + 1) * self.batch_size / (now - self.began),
                loss=float(logs["loss"]),
                accuracy=float(logs["accuracy"]),
            )
        )


class StepTimer(keras.callbacks.Callback):
    """Takes the median time of a training call, its first (which traces and compiles) left out, as `seconds`."""

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.ends.append(time.perf_counter())
        self.seconds = float(np.median(np.diff(self.ends))) if len(self.ends) > 1 else 0.0


class StepAccuracy(keras.callbacks.Callback):
    """Measures accuracy on the first 1,000 validation images every few steps, into `progress.steps`."""

    def __init__(self, every: int, images: np.ndarray, labels: np.ndarray, progress: Progress) -> None:
        super().__init__()
        self.every, self.images, self.labels, self.progress = every, images[:1000], labels[:1000], progress

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        step = self.epoch * self.params["steps"] + batch + 1
        if step % self.every:
            return
        backend.synchronize(self.model)
        accuracy = float((self.model.predict_on_batch(self.images).argmax(axis=1) == self.labels).mean())
        self.progress.steps.append({"step": step, "loss": logs["loss"], "val_accuracy": accuracy})


class HardExamples(keras.callbacks.Callback):
    """Ranks the training rows by the loss of their plain images, so that `order` can draw the hard ones more often."""

    def __init__(self, order: Order, images: np.ndarray, targets: np.ndarray) -> None:
        super().__init__()
        self.order, self.images, self.targets = order, images, targets

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if not self.order.ranked_after(epoch):
            return
        with predicting(self.model):
            probabilities = prediction.predict(self.model, self.images)
        self.order.rank(epoch, -(self.targets * np.log(np.maximum(probabilities, 1e-7))).sum(axis=1))


class Recorder(keras.callbacks.Callback):
    """Keeps history, the weights that predict and the resumable state; puts the state back when training begins.

    It must be the last callback: at an epoch's end it saves the others as they then stand, and at the beginning it restores
    what Keras's own have just reset.
    """

    def __init__(
        self,
        path: Path,
        member: Member,
        progress: Progress,
        order: Order,
        restored: State | None,
        keep: str,
        on_event: OnEvent,
    ) -> None:
        super().__init__()
        self.path, self.member, self.progress, self.order = path, member, progress, order
        self.restored, self.on_event = restored, on_event
        self.monitor = keep.removeprefix("best_") if keep.startswith("best_") else None
        self.kept: list[np.ndarray] = restored.kept if restored else []
        self.stateful: list[keras.callbacks.Callback] = []

    def on_train_begin(self, logs: dict | None = None) -> None:
        if self.restored:
            assign(self.model.variables, self.restored.weights)
            assign(self.model.optimizer.variables, self.restored.optimizer)
        for callback in self.stateful:
            vars(callback).update(self.progress.callbacks.get(type(callback).__name__, {}))

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.began = time.perf_counter()
        self.learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        seconds = time.perf_counter() - self.began
        row = {name: float(logs[name]) for name in ("loss", "accuracy", "val_loss", "val_accuracy") if name in logs}
        row = {"epoch": epoch + 1, **row, "learning_rate": self.learning_rate, "seconds": round(seconds, 3)}
        self.progress.history.append(row)
        self.progress.epochs_done = epoch + 1
        self.progress.seconds += seconds
        self.progress.finished = self.model.stop_training or epoch + 1 == self.params["epochs"]
        for callback in self.stateful:
            counters = {name: vars(callback)[name] for name in COUNTERS if name in vars(callback)}
            self.progress.callbacks[type(callback).__name__] = counters
        if self._improved(row):
            self.progress.kept_epoch = epoch + 1
            self.kept = predicting_weights(self.model)
        weights, optimizer = values(self.model.variables), values(self.model.optimizer.variables)
        checkpoint.save(self.path, State(self.progress, weights, optimizer, self.kept, self.order.hard))
        if "val_loss" in row:
            row = {**row, "val_log_loss": float(logs.get("val_log_loss", logs["val_loss"]))}
        self.on_event(EpochEnded(self.member, **row))

    def _improved(self, row: dict[str, float]) -> bool:
        if self.monitor is None:
            return True
        current, best = row[self.monitor], self.progress.best
        if best is not None and (current >= best if self.monitor == "val_loss" else current <= best):
            return False
        self.progress.best = current
        return True


def values(variables: list[Any]) -> list[np.ndarray]:
    """Return the variables' values."""
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def assign(variables: list[Any], arrays: list[np.ndarray]) -> None:
    """Set each variable to its array."""
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


@contextlib.contextmanager
def predicting(model: keras.Model) -> Iterator[None]:
    """Have the model predict as it would if training ended now: with the moving averages where there are any."""
    raw = values(model.variables)
    assign(model.variables, predicting_weights(model))
    try:
        yield
    finally:
        assign(model.variables, raw)


def predicting_weights(model: keras.Model) -> list[np.ndarray]:
    """Return the values of `model.variables` with the moving averages in place of the raw weights where there are any."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    averages = {}
    if optimizer.use_ema:
        pairs = zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True)
        averages = {id(variable): average for variable, average in pairs}
    return values([averages.get(id(variable), variable) for variable in model.variables])
