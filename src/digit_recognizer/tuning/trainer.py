"""One trial's training: all folds of an experiment in a separate process, and the out-of-fold figures.

When it is interrupted, finished folds and the last epoch's checkpoint stay in its folder; a second call resumes from them. When
it is complete, only `oof.npz` is kept.
"""

import contextlib
import itertools
import queue
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from digit_recognizer import files, metrics
from digit_recognizer.backend import Gpu
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.data.folds import save_folds, stratified_folds
from digit_recognizer.experiment import Experiment
from digit_recognizer.runs import results
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.member import Member
from digit_recognizer.runs.records import read_member_metrics
from digit_recognizer.training.devices import FixedSlots, usable_gpus
from digit_recognizer.training.events import EpochEnded, Event, MemberFinished, OnEvent
from digit_recognizer.training.members import choose_members
from digit_recognizer.training.workers import Job, Length, LocalWorkers, Plan, Workers, own_length, train_members


@dataclass(frozen=True)
class TrialResult:
    """Figures of all training rows, each predicted by a model that wasn't trained on it.

    A study minimises `log_loss`, which is less noisy than the accuracy. It is the log loss at the best temperature: label
    smoothing makes all probabilities less confident, so the plain log loss would always be worse with it.
    """

    log_loss: float  # nats
    accuracy: metrics.Estimate
    fold_losses: list[float]
    seconds: float  # of training
    rows: int


class TrialWorkers:
    """Train the folds of a trial one after another on this machine; trials in parallel are spread over its GPUs."""

    trains_here = True

    def __init__(self, trials: int) -> None:
        self._gpus: queue.Queue[Gpu | None] = queue.Queue()
        for gpu in itertools.islice(itertools.cycle(usable_gpus() or [None]), trials):
            self._gpus.put(gpu)

    def plan(self, experiment: Experiment, members: int) -> Plan:
        return LocalWorkers(jobs=1).plan(experiment, members)

    def train(self, job: Job, members: Sequence[Member], on_event: OnEvent, length: Length = own_length) -> None:
        """Train `members` on a GPU that no other trial uses, if there are enough."""
        gpu = self._gpus.get()
        try:
            train_members(job, members, FixedSlots(1, [gpu] if gpu else []), on_event, length)
        finally:
            self._gpus.put(gpu)


def evaluate(
    job: Job,
    dataset: Dataset,
    workers: Workers,
    on_event: OnEvent,
    on_epoch: Callable[[int, float], None] = lambda epoch, loss: None,
    on_fold: Callable[[int, float], None] = lambda folds, loss: None,
) -> TrialResult:
    """Train the unfinished folds in the folder `job.run` and return the figures.

    Args:
        workers: train the folds.
        on_epoch: called after each epoch of the first fold, with its number (from 1) and its validation log loss.
        on_fold: called with the number of folds done and the log loss of all rows predicted so far.

    Raises:
        UserError: a training failed.
        BaseException: a callback raised it, which ends the training.
    """
    if not job.run.oof.exists():
        _train_folds(job, dataset, workers, on_event, on_epoch, on_fold)
    result = files.read_npz(job.run.oof, probabilities="float 2", label="int 1", fold="int 1", seconds="float 0")
    discard(job.run, keep=job.run.oof)
    labels, fold, oof = result["label"], result["fold"], result["probabilities"]
    losses = [metrics.calibrated_log_loss(labels[fold == one], oof[fold == one]) for one in np.unique(fold)]
    loss, accuracy = metrics.calibrated_log_loss(labels, oof), metrics.accuracy(labels, oof)
    return TrialResult(loss, accuracy, losses, float(result["seconds"]), len(labels))


def _train_folds(
    job: Job, dataset: Dataset, workers: Workers, on_event: OnEvent, on_epoch: Callable, on_fold: Callable
) -> None:
    experiment, folder, labels = job.pipeline.experiment, job.run, dataset.labels
    folds = stratified_folds(labels, experiment.folds, experiment.fold_seed)
    save_folds(folder.folds, folds)
    oof = np.full((len(labels), len(dataset.classes)), np.nan, dtype=np.float32)
    members = choose_members(experiment, None, full=False)

    def fold_done(member: Member) -> None:
        predictions = results.Predictions.read(folder.member(member).predictions)
        oof[predictions.rows] = predictions.valid
        rows = metrics.predicted_rows(oof)
        on_fold(len(np.unique(folds[rows])), metrics.calibrated_log_loss(labels[rows], oof[rows]))

    def on_training_event(event: Event) -> None:
        on_event(event)
        if isinstance(event, EpochEnded) and event.member == members[0] and event.val_log_loss is not None:
            on_epoch(event.epoch, event.val_log_loss)
        elif isinstance(event, MemberFinished):
            fold_done(event.member)

    finished = [member for member in members if results.is_finished(folder, member)]
    for member in finished:
        fold_done(member)
    if waiting := [member for member in members if member not in finished]:
        workers.train(job, waiting, on_training_event)
    seconds = sum(read_member_metrics(folder.member(member)).seconds for member in members)
    files.write_npz(folder.oof, probabilities=oof, label=labels, fold=folds, seconds=np.array(seconds))


def discard(folder: RunFolder, keep: Path | None = None) -> None:
    """Delete a trial's folder except one of its files."""
    for path in folder.path.iterdir() if folder.path.exists() else ():
        if path.is_dir():
            shutil.rmtree(path)
        elif path != keep:
            path.unlink()
    with contextlib.suppress(OSError):  # it is not empty, or doesn't exist
        folder.path.rmdir()
