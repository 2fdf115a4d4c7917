"""Members' files -> the run's: out-of-fold and test probabilities, errors and metrics."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from digit_recognizer import files, metrics
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.data.folds import copies_across_folds
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Experiment
from digit_recognizer.runs.member import Member

SUSPICIOUS = 0.9985  # out-of-fold accuracy that MNIST's own wrong and unreadable labels leave nobody


def finished(run: Path, member: Member) -> bool:
    """Whether the member's files are all there and intact.

    Raises:
        UserError: it was finished, but a file is damaged or missing.
    """
    folder = run / member.folder
    if not (folder / "metrics.json").exists():
        return False
    for name, sha256 in _read_metrics(folder)["sha256"].items():
        if not (folder / name).exists() or files.sha256_of(folder / name) != sha256:
            raise UserError(f"{folder / name} is damaged or missing")
    return True


def _read_metrics(folder: Path) -> dict[str, Any]:
    scores = files.read_json(folder / "metrics.json")
    if not isinstance(scores, dict) or not isinstance(scores.get("sha256"), dict):
        raise UserError(f"{folder / 'metrics.json'} is damaged")
    return scores


def trained_members(run: Path) -> list[Member]:
    """Return the members of the run that are finished, in the order of their seeds: those of folds, then those on all rows."""
    scores = [_read_metrics(path.parent) for path in run.glob("**/seed_*/**/metrics.json")]
    members = [Member(score["seed"], score["fold"]) for score in scores]
    return sorted(members, key=lambda member: (member.fold is None, member.seed, member.fold))


def write_results(run: Path, experiment: Experiment, dataset: Dataset, folds: np.ndarray) -> dict[str, Any]:
    """Write oof.npz, test.npz, errors.csv and metrics.json from the members that are finished; return the metrics.

    Raises:
        UserError: a member's predictions don't belong to its fold, or it was trained on rows that it predicted.
    """
    members = trained_members(run)
    oof, test = _averages(run, members, folds)
    files.write_npz(run / "oof.npz", probabilities=oof, label=dataset.labels, fold=folds)
    files.write_npz(run / "test.npz", probabilities=test)
    files.write_text(run / "errors.csv", _errors(oof, dataset.labels, folds).to_csv(index=False))
    scores = summarize(run, members, experiment, dataset, oof, folds)
    files.write_json(run / "metrics.json", scores)
    return scores


def doubts(scores: dict[str, Any]) -> list[str]:
    """Return why the figures of metrics.json may be better than they deserve, a line each."""
    found = []
    if copies := scores["copies_across_folds"]:
        found.append(f"{copies} training images have an exact copy in another fold: models have seen what they are scored on")
    if scores.get("oof_accuracy", 0) > SUSPICIOUS:
        found.append(
            f"out-of-fold accuracy {scores['oof_accuracy']:.4f} is above {SUSPICIOUS}, which wrong labels put out of reach "
            f"on MNIST-like digits: look for a leak (validation images among the training images) or too few rows"
        )
    return found


def check_averages(run: Path, folds: np.ndarray, oof: np.ndarray, test: np.ndarray) -> None:
    """Compare a run's probabilities with those of its members, whose checksums are looked at too.

    Raises:
        UserError: a file is damaged, or the averages are not those of the members.
    """
    members = trained_members(run)
    for member in members:
        finished(run, member)
    expected_oof, expected_test = _averages(run, members, folds)
    if not np.array_equal(expected_oof, oof, equal_nan=True) or not np.array_equal(expected_test, test):
        raise UserError(f"{run}: oof.npz or test.npz is not the average of the members: `make train` writes them anew")


def remove_run(run: Path) -> None:
    """Delete a run's folder."""
    shutil.rmtree(run)


def _averages(run: Path, members: Sequence[Member], folds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return OOF probabilities (mean over seeds, NaN where no member has predicted yet) and test ones (mean over members)."""
    loaded = [(member, files.read_npz(run / member.folder / "predictions.npz")) for member in members]
    test = np.mean([predictions["test"] for _, predictions in loaded], axis=0, dtype=np.float64)
    total, count = np.zeros((len(folds), test.shape[1])), np.zeros((len(folds), 1))
    for member, predictions in loaded:
        rows = predictions["rows"]
        if np.intersect1d(rows, predictions["trained_rows"]).size:
            raise UserError(
                f"{run / member.folder}: it was trained on rows that it predicts: delete the folder and train again"
            )
        if member.fold is not None and not np.array_equal(rows, np.flatnonzero(folds == member.fold)):
            raise UserError(f"{run / member.folder}: its rows are not those of its fold in folds.csv: use RUN=... or FORCE=1")
        total[rows] += predictions["valid"]
        count[rows] += 1
    with np.errstate(invalid="ignore"):
        return (total / count).astype(np.float32), test.astype(np.float32)


def _errors(oof: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> pd.DataFrame:
    """Return the wrong rows, most confident first."""
    rows = np.flatnonzero(metrics.predicted_rows(oof))
    wrong = rows[oof[rows].argmax(axis=1) != labels[rows]]
    table = pd.DataFrame(
        {
            "row": wrong,
            "fold": folds[wrong],
            "label": labels[wrong],
            "prediction": oof[wrong].argmax(axis=1),
            "probability": oof[wrong].max(axis=1),
        }
    )
    return table.sort_values("probability", ascending=False, kind="stable")


def summarize(
    run: Path, members: Sequence[Member], experiment: Experiment, dataset: Dataset, oof: np.ndarray, folds: np.ndarray
) -> dict[str, Any]:
    """Return the run's metrics.json."""
    per_member = [_read_metrics(run / member.folder) for member in members]
    rows = np.flatnonzero(metrics.predicted_rows(oof))
    right = oof[rows].argmax(axis=1) == dataset.labels[rows]
    seeds = files.read_json(run / "experiment.json")["settings"]["seeds"]
    done = sorted({member.fold for member in members if member.fold is not None})
    seconds = sum(scores["seconds"] for scores in per_member)
    scores: dict[str, Any] = {}
    if len(rows):
        estimate = metrics.accuracy(dataset.labels[rows], oof[rows])
        scores = {
            "oof_accuracy": estimate.value,
            "oof_accuracy_low": estimate.low,
            "oof_accuracy_high": estimate.high,
            "oof_log_loss": metrics.log_loss(dataset.labels[rows], oof[rows]),
            "oof_rows": len(rows),
        }
    return {
        **scores,
        "fold_accuracy": [float(right[folds[rows] == fold].mean()) for fold in done],
        "folds_done": done,
        "folds": experiment.folds,
        "members": len(members),
        "members_planned": len(seeds) * experiment.folds + sum(member.fold is None for member in members),
        "copies_across_folds": len(copies_across_folds(dataset.images, folds)),
        "epoch_selected_on_fold": experiment.keep != "last",
        "seconds": round(seconds, 1),
        "images_per_second": round(sum(scores["images"] for scores in per_member) / seconds) if seconds else 0,
        "peak_memory": max((scores["peak_memory"] for scores in per_member), default=0),
        "published": experiment.published,
    }
