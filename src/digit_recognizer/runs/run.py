"""runs/<run>/ -> Run: what the pages show, read from the contract's files; a run may be partial."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from digit_recognizer import files, metrics
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.errors import UserError


@dataclass(frozen=True)
class Member:
    """One finished model of a run; `fold` is None where it was fitted on all of train."""

    directory: Path
    seed: int
    fold: int | None
    history: pd.DataFrame  # an epoch a row; val_ columns are empty where there was no validation
    metrics: dict[str, Any]
    steps: pd.DataFrame | None  # `step,loss,val_accuracy` within the epochs, where measured


@dataclass(frozen=True)
class Run:
    """One run's predictions and records."""

    name: str
    experiment: dict[str, Any]
    metrics: dict[str, Any]
    summary: str  # of the network
    labels: np.ndarray  # int64 (n,)
    probabilities: np.ndarray  # float32 (n, classes), out of fold; NaN where not yet predicted
    fold: np.ndarray  # int64 (n,)
    test: np.ndarray  # float32 (m, classes)
    members: list[Member]

    @cached_property
    def rows(self) -> np.ndarray:
        """The rows that have been predicted, int64 (k,)."""
        return np.flatnonzero(metrics.predicted_rows(self.probabilities))

    @cached_property
    def predictions(self) -> np.ndarray:
        """The most probable class of each row, int64 (n,), -1 where not predicted."""
        predictions = np.full(len(self.labels), -1)
        predictions[self.rows] = self.probabilities[self.rows].argmax(axis=1)
        return predictions

    @cached_property
    def confidence(self) -> np.ndarray:
        """The probability of the prediction, float32 (n,), NaN where not predicted."""
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
        """Out of fold, in nats; NaN where nothing is predicted."""
        return metrics.log_loss(self.labels[self.rows], self.probabilities[self.rows]) if len(self.rows) else float("nan")

    @property
    def fold_accuracies(self) -> dict[int, metrics.Estimate]:
        """Of each fold that is predicted."""
        right = self.predictions == self.labels
        chosen = {int(fold): self.rows[self.fold[self.rows] == fold] for fold in np.unique(self.fold[self.rows])}
        return {fold: metrics.proportion(int(right[rows].sum()), len(rows)) for fold, rows in chosen.items()}


def read_run(directory: Path, dataset: Dataset) -> Run:
    """Read a run's files.

    Raises:
        UserError: there is no such run, nothing of it is finished, it was trained on other data, or a file is damaged.
    """
    if not directory.is_dir():
        raise UserError(f"{directory}: there is no such run: make train makes one")
    if not (directory / "metrics.json").exists():
        raise UserError(f"{directory} has no results yet: go on with make train (FOLDS=0 ends after one fold)")
    experiment = files.read_json(directory / "experiment.json")
    if experiment["dataset"]["sha256"] != dataset.sha256:
        source = experiment["dataset"]["source"]
        raise UserError(
            f"{directory} was trained on {source}, but input/ holds {dataset.source}: fetch that data again (make data)"
        )
    oof = files.read_npz(directory / "oof.npz")
    summary = directory / "summary.txt"
    return Run(
        name=directory.name,
        experiment=experiment,
        metrics=files.read_json(directory / "metrics.json"),
        summary=summary.read_text("utf-8") if summary.exists() else "",
        labels=oof["label"].astype(np.int64),
        probabilities=oof["probabilities"],
        fold=oof["fold"].astype(np.int64),
        test=files.read_npz(directory / "test.npz")["probabilities"],
        members=_members(directory),
    )


def _members(directory: Path) -> list[Member]:
    found = [*directory.glob("seed_*/fold_*/metrics.json"), *directory.glob("full/seed_*/metrics.json")]
    members = [_member(path.parent) for path in found]
    return sorted(members, key=lambda member: (member.seed, -1 if member.fold is None else member.fold))


def _member(directory: Path) -> Member:
    fold = int(directory.name.removeprefix("fold_")) if directory.name.startswith("fold_") else None
    seed_directory = directory if fold is None else directory.parent
    return Member(
        directory=directory,
        seed=int(seed_directory.name.removeprefix("seed_")),
        fold=fold,
        history=_csv(directory / "history.csv"),
        metrics=files.read_json(directory / "metrics.json"),
        steps=_csv(directory / "steps.csv") if (directory / "steps.csv").exists() else None,
    )


def _csv(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read: {error}") from error
