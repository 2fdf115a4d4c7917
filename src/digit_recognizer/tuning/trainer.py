"""One trial's training: all folds of an experiment in a process of their own, and its out-of-fold figures.

Whatever ends it, finished folds and the last epoch stay in its folder; a second call goes on from them. When it is complete,
only `oof.npz` is kept.
"""

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from digit_recognizer import files, metrics
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.data.folds import save_folds, stratified_folds
from digit_recognizer.experiment import Experiment, Pipeline
from digit_recognizer.runs import results
from digit_recognizer.training import workers
from digit_recognizer.training.events import EpochEnded, Event, MemberFinished, OnEvent
from digit_recognizer.training.members import choose_members
from digit_recognizer.workspace import Workspace

RESULT = "oof.npz"


@dataclass(frozen=True)
class Evaluation:
    """Figures over all training rows, each predicted by a model that didn't train on it.

    A study minimises `log_loss`, which is less noisy than the accuracy. It is that at the best temperature: label smoothing
    makes all probabilities less sure, for which the plain one would drop it whatever it does for the accuracy.
    """

    log_loss: float  # nats
    accuracy: metrics.Estimate
    fold_losses: list[float]
    seconds: float  # spent training
    rows: int


@dataclass(frozen=True)
class Trainer:
    """What all trials of a study share. `on_event` gets the events of their trainings."""

    pipeline: Pipeline
    dataset: Dataset
    workspace: Workspace
    on_event: OnEvent

    def evaluate(
        self,
        experiment: Experiment,
        changes: dict[str, Any],
        folder: Path,
        on_epoch: Callable[[int, float], None] = lambda epoch, loss: None,
        on_fold: Callable[[int, float], None] = lambda folds, loss: None,
    ) -> Evaluation:
        """Train what is not trained yet of `experiment` (the pipeline with `changes`) and return its figures.

        Args:
            on_epoch: called with each epoch of the first fold (from 1) and its validation log loss.
            on_fold: called with the number of folds done and the log loss of all rows predicted so far.

        Raises:
            UserError: a training failed.
            Anything that a callback raises: the training is ended.
        """
        if not (folder / RESULT).exists():
            self._train(experiment, changes, folder, on_epoch, on_fold)
        result = files.read_npz(folder / RESULT)
        discard(folder, but=RESULT)
        labels, fold, oof = result["label"], result["fold"], result["probabilities"]
        losses = [metrics.calibrated_log_loss(labels[fold == one], oof[fold == one]) for one in range(experiment.folds)]
        loss, accuracy = metrics.calibrated_log_loss(labels, oof), metrics.accuracy(labels, oof)
        return Evaluation(loss, accuracy, losses, float(result["seconds"]), len(labels))

    def _train(
        self, experiment: Experiment, changes: dict[str, Any], folder: Path, on_epoch: Callable, on_fold: Callable
    ) -> None:
        labels = self.dataset.labels
        folds = stratified_folds(labels, experiment.folds, experiment.fold_seed)
        save_folds(folder / "folds.csv", folds)
        oof = np.full((len(labels), len(self.dataset.classes)), np.nan, dtype=np.float32)
        members = choose_members(experiment, None, full=False)

        def fold_done(member: Any) -> None:
            predictions = files.read_npz(folder / member.folder / "predictions.npz")
            oof[predictions["rows"]] = predictions["valid"]
            rows = metrics.predicted_rows(oof)
            on_fold(len(np.unique(folds[rows])), metrics.calibrated_log_loss(labels[rows], oof[rows]))

        def on_event(event: Event) -> None:
            self.on_event(event)
            if isinstance(event, EpochEnded) and event.member == members[0] and event.val_log_loss is not None:
                on_epoch(event.epoch, event.val_log_loss)
            elif isinstance(event, MemberFinished):
                fold_done(event.member)

        finished = [member for member in members if results.finished(folder, member)]
        for member in finished:
            fold_done(member)
        waiting = [member for member in members if member not in finished]
        if waiting:
            workers.train_members(workers.Job(self.pipeline.changed(changes), self.workspace, folder), waiting, 1, on_event)
        seconds = sum(files.read_json(folder / member.folder / "metrics.json")["seconds"] for member in members)
        files.write_npz(folder / RESULT, probabilities=oof, label=labels, fold=folds, seconds=np.array(seconds))


def discard(folder: Path, but: str = "") -> None:
    """Delete what lies in a trial's folder, and the folder, but for one file."""
    for path in folder.iterdir() if folder.exists() else ():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != but:
            path.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()
