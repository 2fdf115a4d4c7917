"""Training one member: a model trained on all folds but one, or on all rows.

Imported only in the process that trains, because it imports Keras.
"""

import functools
import os
from dataclasses import dataclass, replace

import keras
import numpy as np
import pandas as pd

from digit_recognizer import backend, figures, files, metrics
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Experiment, settings_json
from digit_recognizer.models import prediction
from digit_recognizer.models.width_normalization import normalized
from digit_recognizer.runs import results
from digit_recognizer.runs.folder import MemberFolder
from digit_recognizer.runs.member import Member
from digit_recognizer.runs.records import MemberMetrics
from digit_recognizer.training import checkpoint, tensorboard
from digit_recognizer.training.callbacks import (
    HardExamples,
    Recorder,
    Reporter,
    SaveBest,
    SeedEpochs,
    StepAccuracy,
    StepTimer,
    StopOnNaN,
    assign,
    values,
)
from digit_recognizer.training.checkpoint import Progress, TrainingState
from digit_recognizer.training.compiled_model import ModelCache
from digit_recognizer.training.events import MemberFinished, ModelBuilt, OnEvent, SpeedMeasured, Warned, ignore
from digit_recognizer.training.loader import Loader
from digit_recognizer.training.members import Split, digit_width, steps_per_epoch, steps_per_execution
from digit_recognizer.training.processes import peak_memory
from digit_recognizer.training.sampler import Sampler

TIMED_STEPS = 6
SUMMARY_WIDTH = 100  # characters
MIN_STEPS = 4  # per epoch, for hard examples: a backend prefetches as many batches in the thread that ranks the rows


@dataclass(frozen=True)
class Task:
    """The inputs for training one member: settings, data, rows and the folder of its files."""

    experiment: Experiment
    dataset: Dataset
    split: Split
    member: Member
    folder: MemberFolder
    on_event: OnEvent = ignore
    loader_workers: int = 1  # threads or processes that prepare batches

    def of_length(self, steps: int) -> "Task":
        return replace(self, experiment=replace(self.experiment, steps_per_epoch=steps))

    @functools.cached_property
    def steps_per_epoch(self) -> int:
        """Whole executions: see `members.steps_per_epoch`."""
        return steps_per_epoch(self.experiment, len(self.split.train))

    @property
    def validated(self) -> bool:
        """Whether there are validation rows."""
        return len(self.split.valid) > 0

    @property
    def validated_epochs(self) -> list[int]:
        """The epochs (from 1) after which the model is validated: every n-th, counted back from the last."""
        return list(range(self.experiment.epochs, 0, -self.experiment.validate_every))

    @property
    def digit_width(self) -> int:
        return digit_width(self.experiment, self.member)

    @functools.cached_property
    def inputs(self) -> Dataset:
        """The dataset with its training images as the member's network gets them."""
        return replace(self.dataset, images=normalized(self.dataset.images, self.digit_width))

    @property
    def examples(self) -> tuple[np.ndarray, np.ndarray]:
        """Training images uint8 (n, h, w, c) and targets float32 (n, classes)."""
        return self.inputs.images[self.split.train], self.targets(self.dataset.labels[self.split.train])

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """Return labels (n,) as one-hot float32 (n, classes)."""
        return np.eye(len(self.dataset.classes), dtype=np.float32)[labels]

    @property
    def valid_images(self) -> np.ndarray:
        return self.inputs.images[self.split.valid]

    @property
    def valid_labels(self) -> np.ndarray:
        return self.dataset.labels[self.split.valid]


def train_member(task: Task, cache: ModelCache | None = None) -> None:
    """Train a member, or resume it, and write its files; metrics.json is written last.

    Members that get the same `cache`, one after another, share one compiled model.

    `task.on_event` is called with `MemberEvent`s, `MemberFinished` last; an exception that it raises ends the training.

    Raises:
        UserError: the loss became NaN, or the network's output doesn't match the dataset's classes.
    """
    restored = _restored(task)
    progress = restored.progress if restored else Progress(task.experiment.steps_per_epoch)
    task = task.of_length(progress.steps_per_epoch)
    cache = cache or ModelCache()
    model = cache.compiled(task.experiment, task.inputs, task.split, task.member, task.steps_per_epoch)
    summary = _summary(model)
    task.on_event(ModelBuilt(task.member, summary))
    kept = restored.kept if restored and progress.finished else _fit(model, task, restored, progress)
    assign(model.variables, kept)
    _write_results(cache.plain(task.digit_width), summary, task, progress)
    task.folder.checkpoint.unlink(missing_ok=True)
    task.on_event(MemberFinished(task.member))


def _restored(task: Task) -> TrainingState | None:
    """Return the checkpoint's state, or None if there is none; a damaged one is reported and ignored."""
    if not task.folder.checkpoint.exists():
        return None
    try:
        return checkpoint.load(task.folder.checkpoint)
    except UserError as error:
        task.on_event(Warned(f"{error}: {task.member} is trained again from the first epoch"))
        return None


def _summary(model: keras.Model) -> str:
    """Return Keras's table of the layers at a fixed width instead of the terminal's."""
    lines: list[str] = []
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(SUMMARY_WIDTH)  # the width of the Rich console that Keras prints to
    try:
        model.summary(print_fn=lambda line, **options: lines.append(line), line_length=SUMMARY_WIDTH)
    finally:
        os.environ.pop("COLUMNS")
        os.environ.update({"COLUMNS": columns} if columns is not None else {})
    return "\n".join(lines) + "\n"


def _fit(model: keras.Model, task: Task, restored: TrainingState | None, progress: Progress) -> list[np.ndarray]:
    """Train all remaining epochs and return the weights for predictions."""
    experiment = task.experiment
    images, targets = task.examples
    sampler = _sampler(task, restored)
    loader = Loader(images, targets, experiment.batch_size, task.steps_per_epoch, experiment.augmentation, sampler)
    callbacks = _callbacks(task, progress)
    if sampler.hard_examples:
        callbacks.append(HardExamples(sampler, images, targets))
    keep = experiment.keep if task.validated else "last"
    recorder = Recorder(task.folder.checkpoint, task.member, progress, sampler, restored, keep, task.on_event)
    recorder.stateful = [callback for callback in callbacks if hasattr(callback, "monitor")]
    validation = {}
    if task.validated:
        validation = {
            "validation_data": (task.valid_images, task.targets(task.valid_labels)),
            "validation_batch_size": prediction.BATCH_SIZE,
            "validation_freq": task.validated_epochs,
        }
    task.on_event(SpeedMeasured(task.member, _seconds_per_step(model, loader)))
    with loader.stream(progress.epochs_done * task.steps_per_epoch, task.loader_workers) as stream:
        model.fit(
            backend.training_data(stream, images, targets),
            initial_epoch=progress.epochs_done,
            epochs=experiment.epochs,
            steps_per_epoch=task.steps_per_epoch,
            callbacks=[*callbacks, recorder],
            shuffle=False,  # the sampler does
            verbose=0,
            **validation,
        )
    return recorder.kept


def _sampler(task: Task, restored: TrainingState | None) -> Sampler:
    experiment = task.experiment
    enough = task.steps_per_epoch >= MIN_STEPS * steps_per_execution(experiment)
    hard_examples = experiment.hard_examples if enough else 0.0
    hard_rows = restored.hard_rows if restored else {}
    return Sampler(len(task.split.train), task.member.key, experiment.epochs, hard_examples, hard_rows)


def _seconds_per_step(model: keras.Model, loader: Loader) -> float:
    """Time a few steps, then restore the model's state."""
    before = values(model.variables), values(model.optimizer.variables)
    timer, steps = StepTimer(), TIMED_STEPS * model.steps_per_execution
    batches = (loader.batch(step) for step in range(steps))
    data = backend.training_data(batches, loader.images, loader.targets)
    model.fit(data, steps_per_epoch=steps, callbacks=[timer], shuffle=False, verbose=0)
    assign(model.variables, before[0])
    assign(model.optimizer.variables, before[1])
    return timer.seconds / model.steps_per_execution


def _callbacks(task: Task, progress: Progress) -> list[keras.callbacks.Callback]:
    experiment = task.experiment
    callbacks = [SeedEpochs(task.member.key), StopOnNaN(), Reporter(task.on_event, task.member, experiment.batch_size)]
    if backend.name() == "tensorflow":
        settings = tensorboard.hyperparameters(settings_json(experiment))
        callbacks.append(tensorboard.TensorBoard(task.folder.tensorboard, settings))
    return [*callbacks, *_validation_callbacks(task, progress)] if task.validated else callbacks


def _validation_callbacks(task: Task, progress: Progress) -> list[keras.callbacks.Callback]:
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
        callbacks.append(SaveBest(path, wanted.monitor, task.digit_width))
    return callbacks


def _write_results(model: keras.Model, summary: str, task: Task, progress: Progress) -> None:
    folder, split = task.folder, task.split
    with files.atomic(folder.model) as path:
        model.save(path)
    files.write_text(folder.summary, summary)
    results.write_history(folder.history, progress.history)
    if progress.steps:
        results.write_steps(folder.steps, progress.steps)
    valid = prediction.predict(model, task.dataset.images[split.valid])
    test = prediction.predict(model, task.dataset.test_images)
    results.Predictions(split.valid, valid, test, split.train).write(folder.predictions)
    scores = _write_confusion(task, valid, progress.kept_epoch) if task.validated else {}
    files.write_record(
        folder.metrics,
        MemberMetrics(
            seed=task.member.seed,
            fold=task.member.fold,
            digit_width=task.digit_width,
            **scores,
            epochs=progress.epochs_done,
            steps_per_epoch=task.steps_per_epoch,
            kept_epoch=progress.kept_epoch,
            seconds=round(progress.seconds, 3),
            images=progress.epochs_done * task.steps_per_epoch * task.experiment.batch_size,
            threads=task.experiment.threads,
            peak_memory=peak_memory(),
            process=os.getpid(),
            sha256=results.checksums(folder),
        ),
    )


def _write_confusion(task: Task, probabilities: np.ndarray, epoch: int) -> dict[str, float]:
    """Write the fold's confusion matrix as CSV, as PNG and for TensorBoard; return its accuracy and log loss."""
    labels, classes = task.valid_labels, task.dataset.classes
    predictions = probabilities.argmax(axis=1)
    matrix = metrics.confusion_matrix(labels, predictions, len(classes))
    table = pd.DataFrame(matrix, index=pd.Index(classes, name="label"), columns=list(classes))
    files.write_text(task.folder.confusion_table, table.to_csv())
    png = figures.confusion_png(matrix, classes)
    with files.atomic(task.folder.confusion_picture) as path:
        path.write_bytes(png)
    if backend.name() == "tensorflow":
        tensorboard.add_confusion_matrix(task.folder.tensorboard, png, epoch)
    return {"accuracy": float((predictions == labels).mean()), "loss": metrics.log_loss(labels, probabilities)}
