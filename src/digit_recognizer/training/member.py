"""One member: a model trained on all folds but one (or on all rows), its predictions and what describes them.

Imported only in the process that trains, since it imports Keras.
"""

import os
import resource
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from digit_recognizer import backend, figures, files, metrics
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Experiment
from digit_recognizer.models import layers, prediction
from digit_recognizer.runs import results
from digit_recognizer.runs.folder import MemberFolder
from digit_recognizer.runs.records import MemberMetrics
from digit_recognizer.training import checkpoint
from digit_recognizer.training.callbacks import (
    AtomicCheckpoint,
    Board,
    HardExamples,
    Recorder,
    Reporter,
    SeedEpochs,
    StepAccuracy,
    StepTimer,
    StopOnNaN,
    assign,
    values,
)
from digit_recognizer.training.compiled_model import compiled_model
from digit_recognizer.training.events import MemberFinished, ModelBuilt, OnEvent, SpeedMeasured, Warned, ignore
from digit_recognizer.training.loader import Batches
from digit_recognizer.training.members import Member, Split, steps_per_epoch, steps_per_execution
from digit_recognizer.training.sampler import Order

TIMED_STEPS = 6
SUMMARY_WIDTH = 100  # characters
FEWEST_STEPS = 4  # an epoch must have, for hard examples: a backend fetches as many ahead, in the thread that ranks


@dataclass(frozen=True)
class Task:
    """One member's training: what is trained on which rows, where its files go and who hears of it."""

    experiment: Experiment
    dataset: Dataset
    split: Split
    member: Member
    folder: MemberFolder
    on_event: OnEvent = ignore
    workers: int = 1  # threads or processes that augment ahead of the training

    def of_length(self, steps: int) -> "Task":
        """Return the task with these steps an epoch instead of those of its experiment."""
        return replace(self, experiment=replace(self.experiment, steps_per_epoch=steps))

    @property
    def checkpoint(self) -> Path:
        return self.folder.checkpoint

    @property
    def examples(self) -> tuple[np.ndarray, np.ndarray]:
        """Training images uint8 (n, h, w, c) and targets float32 (n, classes)."""
        return self.dataset.images[self.split.train], self.targets(self.dataset.labels[self.split.train])

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """Return labels (n,) as float32 (n, classes), 1 for the label's class."""
        return np.eye(len(self.dataset.classes), dtype=np.float32)[labels]

    @property
    def valid_images(self) -> np.ndarray:
        return self.dataset.images[self.split.valid]

    @property
    def valid_labels(self) -> np.ndarray:
        return self.dataset.labels[self.split.valid]


def train_member(task: Task) -> None:
    """Train a member, or go on where it stopped, and leave its files in its folder; metrics.json is written last.

    `task.on_event` gets a `MemberEvent` for each thing that happens, `MemberFinished` last; what it raises ends the training.

    Raises:
        UserError: the loss became NaN, or the network doesn't fit the data.
    """
    restored = _restored(task)
    progress = restored.progress if restored else checkpoint.Progress(task.experiment.steps_per_epoch)
    task = task.of_length(progress.steps_per_epoch)
    model = compiled_model(task.experiment, task.dataset, task.split, task.member)
    summary = _summary(model)
    task.on_event(ModelBuilt(task.member, summary))
    kept = restored.kept if restored and progress.finished else _fit(model, task, restored, progress)
    assign(model.variables, kept)
    _write_results(layers.plain(model), summary, task, progress)
    task.checkpoint.unlink(missing_ok=True)
    keras.backend.clear_session()
    task.on_event(MemberFinished(task.member))


def _restored(task: Task) -> checkpoint.State | None:
    """The state to go on from, if there is one; a damaged one is reported, and the member begins anew."""
    if not task.checkpoint.exists():
        return None
    try:
        return checkpoint.load(task.checkpoint)
    except UserError as error:
        task.on_event(Warned(f"{error}: {task.member} is trained again from the first epoch"))
        return None


def _summary(model: keras.Model) -> str:
    """Return Keras's table of the layers, which is not cropped to the terminal's width."""
    lines: list[str] = []
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(SUMMARY_WIDTH)  # the width of the Rich console that Keras prints to
    try:
        model.summary(print_fn=lambda line, **options: lines.append(line), line_length=SUMMARY_WIDTH)
    finally:
        os.environ.pop("COLUMNS")
        os.environ.update({"COLUMNS": columns} if columns is not None else {})
    return "\n".join(lines) + "\n"


def _fit(model: keras.Model, task: Task, restored: checkpoint.State | None, progress: checkpoint.Progress) -> list[np.ndarray]:
    """Train to the end and return the weights that predict."""
    experiment, split = task.experiment, task.split
    images, targets = task.examples
    batches = Batches(
        images=images,
        targets=targets,
        batch_size=experiment.batch_size,
        steps_per_epoch=steps_per_epoch(experiment, len(split.train)),
        augmentation=experiment.augmentation,
        order=_order(task, len(images), restored),
    )
    callbacks = _callbacks(task, progress)
    if batches.order.hard_examples:
        callbacks.append(HardExamples(batches.order, images, targets))
    keep = experiment.keep if len(split.valid) else "last"
    recorder = Recorder(task.checkpoint, task.member, progress, batches.order, restored, keep, task.on_event)
    recorder.stateful = [callback for callback in callbacks if hasattr(callback, "monitor")]
    validation = {}
    if len(split.valid):
        validation = {
            "validation_data": (task.valid_images, task.targets(task.valid_labels)),
            "validation_batch_size": prediction.BATCH_SIZE,
            "validation_freq": _validated_epochs(experiment),
        }
    task.on_event(SpeedMeasured(task.member, _seconds_per_step(model, batches)))
    with batches.stream(progress.epochs_done * batches.steps_per_epoch, task.workers) as stream:
        model.fit(
            stream,
            initial_epoch=progress.epochs_done,
            epochs=experiment.epochs,
            steps_per_epoch=batches.steps_per_epoch,
            callbacks=[*callbacks, recorder],
            verbose=0,
            **validation,
        )
    return recorder.kept


def _order(task: Task, rows: int, restored: checkpoint.State | None) -> Order:
    experiment = task.experiment
    steps = steps_per_epoch(experiment, len(task.split.train))
    hard_examples = experiment.hard_examples if steps >= FEWEST_STEPS * steps_per_execution(experiment) else 0.0
    return Order(rows, task.member.key, experiment.epochs, hard_examples, restored.hard if restored else {})


def _seconds_per_step(model: keras.Model, batches: Batches) -> float:
    """Time a few steps of the compiled model, then put it back as it was."""
    before = values(model.variables), values(model.optimizer.variables)
    timer = StepTimer()
    stream = (batches.make(step) for step in range(TIMED_STEPS * model.steps_per_execution))
    model.fit(stream, steps_per_epoch=TIMED_STEPS * model.steps_per_execution, callbacks=[timer], verbose=0)
    assign(model.variables, before[0])
    assign(model.optimizer.variables, before[1])
    return timer.seconds / model.steps_per_execution


def _validated_epochs(experiment: Experiment) -> list[int]:
    """Epochs, counted from 1, that are validated: every n-th, counted back from the last."""
    return list(range(experiment.epochs, 0, -experiment.validate_every))


def _callbacks(task: Task, progress: checkpoint.Progress) -> list[keras.callbacks.Callback]:
    experiment = task.experiment
    callbacks = [SeedEpochs(task.member.key), StopOnNaN(), Reporter(task.on_event, task.member, experiment.batch_size)]
    if backend.name() == "tensorflow":
        valid = task.valid_images, task.valid_labels
        callbacks.append(Board(task.folder.tensorboard, *valid, task.dataset.classes, _validated_epochs(experiment)))
    return [*callbacks, *_validation_callbacks(task, progress)] if len(task.split.valid) else callbacks


def _validation_callbacks(task: Task, progress: checkpoint.Progress) -> list[keras.callbacks.Callback]:
    experiment, callbacks = task.experiment, []
    if experiment.ema:
        callbacks.append(keras.callbacks.SwapEMAWeights())
    if experiment.measure_every:
        callbacks.append(StepAccuracy(experiment.measure_every, task.valid_images, task.valid_labels, progress))
    if stopping := experiment.early_stopping:
        callbacks.append(keras.callbacks.EarlyStopping(stopping.monitor, stopping.min_delta, stopping.patience))
    if plateau := experiment.reduce_lr_on_plateau:
        smallest = plateau.min_learning_rate
        callbacks.append(keras.callbacks.ReduceLROnPlateau(plateau.monitor, plateau.factor, plateau.patience, min_lr=smallest))
    if wanted := experiment.checkpoint:
        number = "_epoch_{epoch:03d}" if wanted.every_improvement else ""
        path = task.folder.best_model(f"{wanted.monitor}{number}")
        callbacks.append(AtomicCheckpoint(str(path), wanted.monitor, save_best_only=True))
    return callbacks


def _write_results(model: keras.Model, summary: str, task: Task, progress: checkpoint.Progress) -> None:
    folder, split = task.folder, task.split
    with files.atomic(folder.model) as path:
        model.save(path)
    files.write_text(folder.summary, summary)
    results.write_history(folder.history, progress.history)
    if progress.steps:
        results.write_steps(folder.steps, progress.steps)
    valid = prediction.predict(model, task.valid_images)
    test = prediction.predict(model, task.dataset.test_images)
    results.Predictions(split.valid, valid, test, split.train).write(folder.predictions)
    scores = _write_confusion(task, valid) if len(split.valid) else {}
    steps = steps_per_epoch(task.experiment, len(split.train))
    files.write_record(
        folder.metrics,
        MemberMetrics(
            seed=task.member.seed,
            fold=task.member.fold,
            **scores,
            epochs=progress.epochs_done,
            steps_per_epoch=steps,
            kept_epoch=progress.kept_epoch,
            seconds=round(progress.seconds, 3),
            images=progress.epochs_done * steps * task.experiment.batch_size,
            threads=task.experiment.threads,
            peak_memory=1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            process=os.getpid(),
            sha256=results.checksums(folder),
        ),
    )


def _write_confusion(task: Task, probabilities: np.ndarray) -> dict[str, float]:
    """Write the fold's confusion matrix as table and picture; return its accuracy and log loss."""
    labels, classes = task.valid_labels, task.dataset.classes
    predictions = probabilities.argmax(axis=1)
    matrix = metrics.confusion_matrix(labels, predictions, len(classes))
    table = pd.DataFrame(matrix, index=pd.Index(classes, name="label"), columns=list(classes))
    files.write_text(task.folder.confusion_table, table.to_csv())
    with files.atomic(task.folder.confusion_picture) as path:
        path.write_bytes(figures.confusion_png(matrix, classes))
    return {"accuracy": float((predictions == labels).mean()), "loss": metrics.log_loss(labels, probabilities)}
