"""Reading a run: the predictions and records of its finished members, with checks."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from digit_recognizer import files, metrics
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.errors import UserError
from digit_recognizer.runs.folder import MemberFolder, RunFolder
from digit_recognizer.runs.member import Member
from digit_recognizer.runs.records import MemberMetrics, RunMetrics, RunRecord, read_run_metrics, read_run_record
from digit_recognizer.runs.results import HISTORY, Predictions, check_unchanged, read_intact_metrics, read_table


@dataclass(frozen=True)
class MemberResult:
    """The files of one finished member; tables and predictions are read on access."""

    member: Member
    folder: MemberFolder
    metrics: MemberMetrics

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row per epoch; the val_ columns are empty for epochs without validation."""
        return read_table(self.folder.history, HISTORY)

    @cached_property
    def steps(self) -> pd.DataFrame | None:
        """`step,loss,val_accuracy` within the epochs; None if not measured."""
        return read_table(self.folder.steps, ("step", "loss", "val_accuracy")) if self.folder.steps.exists() else None

    @cached_property
    def predictions(self) -> Predictions:
        return Predictions.read(self.folder.predictions)


@dataclass(frozen=True)
class Run:
    """The predictions and records of a run, which may be partial."""

    folder: RunFolder
    record: RunRecord
    metrics: RunMetrics
    labels: np.ndarray  # int64 (n,)
    probabilities: np.ndarray  # float32 (n, classes), out of fold; NaN where not yet predicted
    fold: np.ndarray  # int64 (n,)
    test: np.ndarray  # float32 (m, classes)
    members: list[MemberResult]  # those of the folds by seed and fold, then those trained on all rows

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def summary(self) -> str:
        """Keras's table of the network's layers."""
        return self.members[0].folder.summary.read_text("utf-8") if self.members else ""

    @cached_property
    def rows(self) -> np.ndarray:
        """The rows that have been predicted, int64 (k,)."""
        return np.flatnonzero(metrics.predicted_rows(self.probabilities))

    @cached_property
    def predictions(self) -> np.ndarray:
        """The most probable class of each row, int64 (n,), -1 if not predicted."""
        predictions = np.full(len(self.labels), -1)
        predictions[self.rows] = self.probabilities[self.rows].argmax(axis=1)
        return predictions

    @cached_property
    def confidence(self) -> np.ndarray:
        """The probability of the prediction, float32 (n,), NaN if not predicted."""
        return self.probabilities.max(axis=1)

    @cached_property
    def wrong(self) -> np.ndarray:
        """The rows predicted wrongly, the most confident first, int64."""
        wrong = self.rows[self.predictions[self.rows] != self.labels[self.rows]]
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")]

    @property
    def accuracy(self) -> metrics.Estimate:
        """Out of fold."""
        return metrics.proportion(len(self.rows) - len(self.wrong), len(self.rows))

    @property
    def log_loss(self) -> float:
        """The out-of-fold log loss in nats; NaN if no row is predicted."""
        return metrics.log_loss(self.labels[self.rows], self.probabilities[self.rows]) if len(self.rows) else float("nan")

    @property
    def fold_accuracies(self) -> dict[int, metrics.Estimate]:
        """The accuracy of each predicted fold by its number."""
        right = self.predictions == self.labels
        chosen = {int(fold): self.rows[self.fold[self.rows] == fold] for fold in np.unique(self.fold[self.rows])}
        return {fold: metrics.proportion(int(right[rows].sum()), len(rows)) for fold, rows in chosen.items()}


def read_run(folder: RunFolder, dataset: Dataset) -> Run:
    """Read a run's files after comparing them and all files of its members with their checksums.

    Raises:
        UserError: there is no such run, no member is finished, it was trained on other data, or a file is damaged.
    """
    record = read_run_record(folder)
    if not folder.metrics.exists():
        train = record.train_command(folder.name)
        raise UserError(f"{folder} has no results yet: `{train}` resumes it (with FOLDS=0 only until one fold is trained)")
    if record.dataset.sha256 != dataset.sha256:
        raise UserError(
            f"run '{folder.name}' was trained on {record.dataset.source}, but input/ holds {dataset.source}: "
            f"fetch that data again (make data SOURCE=...) or train again (FORCE=1)"
        )
    members = read_members(folder)
    oof = files.read_npz(folder.oof, probabilities="float 2", label="int 1", fold="int 1")
    return Run(
        folder=folder,
        record=record,
        metrics=read_run_metrics(folder),
        labels=oof["label"].astype(np.int64),
        probabilities=oof["probabilities"],
        fold=oof["fold"].astype(np.int64),
        test=files.read_npz(folder.test, probabilities="float 2")["probabilities"],
        members=members,
    )


def read_members(folder: RunFolder) -> list[MemberResult]:
    """Return the finished members of a run, those of the folds by seed and fold, then those trained on all rows.

    Raises:
        UserError: a file of a member is damaged or missing, or it is not of this run.
    """
    check_unchanged(folder)
    return [MemberResult(member, folder.member(member), read_intact_metrics(folder, member)) for member in folder.finished()]
