"""Keras callbacks of a member's training. Imported only where Keras is."""

import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from digit_recognizer import backend, files
from digit_recognizer.errors import UserError
from digit_recognizer.models import keras_internals, layers, prediction
from digit_recognizer.runs.member import Member
from digit_recognizer.training import checkpoint
from digit_recognizer.training.checkpoint import Progress, TrainingState
from digit_recognizer.training.events import EpochEnded, OnEvent, StepEnded
from digit_recognizer.training.sampler import Sampler

# Attributes of Keras's callbacks that are reset when training begins, so that a resumed training has to restore them.
COUNTERS = ("wait", "best", "best_epoch", "stopped_epoch", "cooldown_counter")


class SeedEpochs(keras.callbacks.Callback):
    """Seeds all random layers (dropout) in each epoch, so that they depend only on (seed, fold, epoch)."""

    def __init__(self, key: tuple[int, int]) -> None:
        super().__init__()
        self.key = key

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        for index, generator in enumerate(keras_internals.seed_generators(self.model)):
            state = np.random.SeedSequence([*self.key, epoch, index]).generate_state(2)
            generator.state.assign(state.astype(generator.state.dtype))


class StopOnNaN(keras.callbacks.Callback):
    """Ends training with an error at the first epoch whose loss is not a finite number."""

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise UserError(f"the loss became {loss} in epoch {epoch + 1}: lower learning_rate (SET=learning_rate=...)")


class SaveBest(keras.callbacks.Callback):
    """Saves the validated weights of each epoch in which `monitor` improved; files are written atomically.

    The file's name may contain `{epoch:03d}`, to write one file per epoch.
    """

    def __init__(self, path: Path, monitor: str, digit_width: int) -> None:
        super().__init__()
        self.path, self.monitor, self.digit_width = path, monitor, digit_width
        self.best: float | None = None

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if not improves(self.monitor, logs[self.monitor], self.best):
            return
        self.best = float(logs[self.monitor])
        path = self.path.with_name(self.path.name.format(epoch=epoch + 1))
        with prediction_weights_set(self.model), files.atomic(path) as temporary:
            layers.plain(self.model, self.digit_width).save(temporary)


class Reporter(keras.callbacks.Callback):
    """Sends a `StepEnded` about twice a second, and after an epoch's last step."""

    async_safe = True  # it only reads `logs`, so JAX need not wait for them after each step

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
    """Measures the median `seconds` of a training call; the first call, which traces and compiles, does not count."""

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.ends.append(time.perf_counter())
        self.seconds = float(np.median(np.diff(self.ends))) if len(self.ends) > 1 else 0.0


class StepAccuracy(keras.callbacks.Callback):
    """Measures the accuracy on the first 1,000 validation images every few steps and appends it to `progress.steps`."""

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
    """Ranks the training rows by the loss of their images without augmentation, for the sampler."""

    def __init__(self, sampler: Sampler, images: np.ndarray, targets: np.ndarray) -> None:
        super().__init__()
        self.sampler, self.images, self.targets = sampler, images, targets

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if not self.sampler.ranks_after(epoch):
            return
        with prediction_weights_set(self.model):
            probabilities = prediction.predict(self.model, self.images)
        self.sampler.rank(epoch, -(self.targets * np.log(np.maximum(probabilities, 1e-7))).sum(axis=1))


class Recorder(keras.callbacks.Callback):
    """Keeps the history and the weights for predictions, writes the checkpoint, and restores it when training begins.

    It must be the last callback: at the end of an epoch it saves the counters of the others, and at the beginning of training
    it restores what Keras's own callbacks have just reset.
    """

    def __init__(
        self,
        path: Path,
        member: Member,
        progress: Progress,
        sampler: Sampler,
        restored: TrainingState | None,
        keep: str,
        on_event: OnEvent,
    ) -> None:
        super().__init__()
        self.path, self.member, self.progress, self.sampler = path, member, progress, sampler
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
        self._keep(row)
        weights, optimizer = values(self.model.variables), values(self.model.optimizer.variables)
        checkpoint.save(self.path, TrainingState(self.progress, weights, optimizer, self.kept, self.sampler.hard_rows))
        if "val_loss" in row:
            row = {**row, "val_log_loss": float(logs.get("val_log_loss", logs["val_loss"]))}
        self.on_event(EpochEnded(self.member, **row))

    def _keep(self, row: dict[str, float]) -> None:
        """Keep this epoch's weights for predictions if it is the best epoch so far, or if `keep` is "last"."""
        if self.monitor and not improves(self.monitor, row[self.monitor], self.progress.best):
            return
        self.progress.best = row[self.monitor] if self.monitor else None
        self.progress.kept_epoch = row["epoch"]
        self.kept = values(keras_internals.averaged_variables(self.model))


def improves(monitor: str, current: float, best: float | None) -> bool:
    """Return whether `current` is better than `best`; lower is better for losses."""
    return best is None or (current < best if monitor.endswith("loss") else current > best)


def values(variables: list[Any]) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def assign(variables: list[Any], arrays: list[np.ndarray]) -> None:
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


@contextlib.contextmanager
def prediction_weights_set(model: keras.Model) -> Iterator[None]:
    """Replace the weights by their moving averages, if there are any, during the block, as at the end of training."""
    raw = values(model.variables)
    assign(model.variables, values(keras_internals.averaged_variables(model)))
    try:
        yield
    finally:
        assign(model.variables, raw)
