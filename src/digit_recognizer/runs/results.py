"""Writing a run's out-of-fold and test probabilities, errors and metrics from the files of its members."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from digit_recognizer import files, metrics
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.data.folds import copies_across_folds
from digit_recognizer.errors import DamagedError, UserError, first_line
from digit_recognizer.experiment import Experiment
from digit_recognizer.runs.folder import MemberFolder, RunFolder
from digit_recognizer.runs.member import Member
from digit_recognizer.runs.records import (
    TRAIN_AGAIN,
    TRAIN_OTHERWISE,
    TRAIN_RESULTS,
    MemberMetrics,
    RunMetrics,
    read_member_metrics,
    read_run_metrics,
    read_run_record,
)

HISTORY = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")


@dataclass(frozen=True)
class Predictions:
    """predictions.npz: a member's predictions and the rows of train.csv that it was trained on."""

    rows: np.ndarray  # int64 (k,), of its fold; empty for a member trained on all rows
    valid: np.ndarray  # float32 (k, classes)
    test: np.ndarray  # float32 (m, classes)
    trained_rows: np.ndarray  # int64

    def write(self, path: Path) -> None:
        files.write_npz(path, rows=self.rows, valid=self.valid, test=self.test, trained_rows=self.trained_rows)

    @classmethod
    def read(cls, path: Path) -> "Predictions":
        """Read what `write` wrote.

        Raises:
            UserError: the file is missing or damaged.
        """
        return cls(**files.read_npz(path, rows="int 1", valid="float 2", test="float 2", trained_rows="int 1"))


def write_history(path: Path, epochs: Sequence[dict[str, float]]) -> None:
    """Write history.csv, one line per epoch; the val_ columns are empty for epochs without validation."""
    files.write_text(path, pd.DataFrame(epochs).reindex(columns=list(HISTORY)).to_csv(index=False))


def write_steps(path: Path, steps: Sequence[dict[str, float]]) -> None:
    """Write steps.csv: `step,loss,val_accuracy`."""
    files.write_text(path, pd.DataFrame(steps).to_csv(index=False))


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Return a CSV file of numbers with these columns.

    Raises:
        UserError: the file is missing or damaged, or a column is missing or not numeric.
    """
    try:
        table = pd.read_csv(path)
    except FileNotFoundError:
        raise DamagedError(f"{path} is missing", TRAIN_AGAIN) from None
    except (OSError, ValueError) as error:
        raise DamagedError(f"{path} can't be read ({first_line(error)})", TRAIN_AGAIN) from error
    for name in columns:
        if name not in table or not pd.api.types.is_numeric_dtype(table[name]):
            raise DamagedError(f"{path} is damaged (column {name} is missing or not numeric)", TRAIN_AGAIN)
    return table


def checksums(folder: MemberFolder) -> dict[str, str]:
    """Return the SHA-256 of each file that later commands read."""
    return {path.name: files.sha256_of(path) for path in folder.results}


def read_intact_metrics(run: RunFolder, member: Member) -> MemberMetrics:
    """Compare all files of a finished member with their checksums and return its metrics.

    Raises:
        DamagedError: a file is damaged, missing, or of another member.
    """
    folder = run.member(member)
    scores = read_member_metrics(folder)
    if (scores.seed, scores.fold) != (member.seed, member.fold):
        raise DamagedError(f"{folder.metrics} is of another model (seed {scores.seed}, fold {scores.fold})", TRAIN_AGAIN)
    found = {path.name: path for path in folder.results if path.exists()}
    for name in sorted({*scores.sha256, *found}):
        if name not in found or files.sha256_of(found[name]) != scores.sha256.get(name):
            raise DamagedError(f"{folder.path / name} is damaged or missing", TRAIN_AGAIN)
    return scores


def is_finished(run: RunFolder, member: Member) -> bool:
    """Return whether the member is finished, after checking its files.

    Raises:
        DamagedError: the member is finished, but a file is damaged or missing.
    """
    path = run.member(member).metrics
    if not path.exists():
        return False
    read_intact_metrics(run, member)
    try:
        changed = changed_files(run)
    except UserError:  # training writes the run's metrics.json again
        changed = []
    if path in changed:
        raise DamagedError(f"{path} is of another run", TRAIN_AGAIN)
    return True


def check_unchanged(run: RunFolder) -> None:
    """Compare the files of a run with their checksums in its metrics.json, so that those of another run are noticed.

    Raises:
        DamagedError: metrics.json or a file is damaged, missing, or of another run.
    """
    settings = read_run_metrics(run).settings_sha256 if run.metrics.exists() else None
    if settings not in (None, read_run_record(run).settings_sha256):
        raise DamagedError(f"{run.record} is of another run than {run.metrics.name}", TRAIN_OTHERWISE)
    for path in changed_files(run):
        raise DamagedError(f"{path} is damaged, missing or of another run", TRAIN_RESULTS)


def changed_files(run: RunFolder) -> list[Path]:
    """Return the files that differ from their checksums in the run's metrics.json; none if that is not yet written."""
    known = read_run_metrics(run).sha256 if run.metrics.exists() else {}
    paths = {run.path / name: sha256 for name, sha256 in known.items()}
    return [path for path, sha256 in paths.items() if not path.is_file() or files.sha256_of(path) != sha256]


def write_results(run: RunFolder, experiment: Experiment, dataset: Dataset, folds: np.ndarray) -> RunMetrics:
    """Write oof.npz, test.npz, errors.csv and metrics.json from the members that are finished; return the metrics.

    Raises:
        UserError: a member's predictions are not of its fold, or it was trained on rows that it predicts.
    """
    members = run.finished()
    oof, test = _averages(run, members, folds)
    files.write_npz(run.oof, probabilities=oof, label=dataset.labels, fold=folds)
    files.write_npz(run.test, probabilities=test)
    files.write_text(run.errors, _errors(oof, dataset.labels, folds).to_csv(index=False))
    scores = _summarize(run, members, experiment, dataset, oof, folds)
    files.write_record(run.metrics, scores)
    return scores


def score_warnings(scores: RunMetrics) -> list[str]:
    """Return one warning for each reason why a run's figures may be too high."""
    found = []
    if copies := scores.copies_across_folds:
        found.append(
            f"{copies} training images have an exact copy in another fold: they are scored by models that were trained on them"
        )
    if scores.oof_accuracy is not None and scores.oof_accuracy > metrics.SUSPICIOUS_ACCURACY:
        found.append(
            f"out-of-fold accuracy {scores.oof_accuracy:.4f} is above {metrics.SUSPICIOUS_ACCURACY}, about the highest that "
            "wrong labels allow on MNIST: check for label leakage (validation images among the training images) or too few rows"
        )
    return found


def check_averages(run: RunFolder, folds: np.ndarray, oof: np.ndarray, test: np.ndarray) -> None:
    """Compare a run's probabilities with the mean of its members' probabilities.

    Raises:
        UserError: a file is damaged, or the averages differ.
    """
    expected_oof, expected_test = _averages(run, run.finished(), folds)
    if not np.array_equal(expected_oof, oof, equal_nan=True) or not np.array_equal(expected_test, test):
        raise UserError(f"{run}: oof.npz or test.npz is not the average of the members: `make train` writes them again")


def _averages(run: RunFolder, members: Sequence[Member], folds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return out-of-fold probabilities (mean over seeds, NaN if not predicted) and test probabilities (mean over members)."""
    loaded = [(member, Predictions.read(run.member(member).predictions)) for member in members]
    test = np.mean([predictions.test for _, predictions in loaded], axis=0, dtype=np.float64)
    total, count = np.zeros((len(folds), test.shape[1])), np.zeros((len(folds), 1))
    for member, predictions in loaded:
        rows = predictions.rows
        if np.intersect1d(rows, predictions.trained_rows).size:
            raise UserError(f"{run.member(member)}: it was trained on rows that it predicts: delete the folder and train again")
        if member.fold is not None and not np.array_equal(rows, np.flatnonzero(folds == member.fold)):
            raise UserError(f"{run.member(member)}: its rows are not those of its fold in folds.csv: use RUN=... or FORCE=1")
        total[rows] += predictions.valid
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


def _summarize(
    run: RunFolder, members: Sequence[Member], experiment: Experiment, dataset: Dataset, oof: np.ndarray, folds: np.ndarray
) -> RunMetrics:
    per_member = [read_member_metrics(run.member(member)) for member in members]
    rows = np.flatnonzero(metrics.predicted_rows(oof))
    labels = dataset.labels[rows]
    right = oof[rows].argmax(axis=1) == labels
    estimate = metrics.accuracy(labels, oof[rows]) if len(rows) else (None, None, None)
    done = sorted({member.fold for member in members if member.fold is not None})
    seconds = sum(scores.seconds for scores in per_member)
    on_all_rows = sum(member.fold is None for member in members)
    return RunMetrics(
        oof_accuracy=estimate[0],
        oof_accuracy_low=estimate[1],
        oof_accuracy_high=estimate[2],
        oof_log_loss=metrics.log_loss(labels, oof[rows]) if len(rows) else None,
        oof_rows=len(rows) or None,
        fold_accuracy=[float(right[folds[rows] == fold].mean()) for fold in done],
        folds_done=done,
        folds=experiment.folds,
        members=len(members),
        members_planned=len(read_run_record(run).seeds) * experiment.folds + on_all_rows,
        copies_across_folds=len(copies_across_folds(dataset.images, folds)),
        epoch_selected_on_fold=experiment.keep != "last",
        seconds=round(seconds, 1),
        images_per_second=round(sum(scores.images for scores in per_member) / seconds) if seconds else 0,
        peak_memory=max((scores.peak_memory for scores in per_member), default=0),
        published=experiment.published,
        settings_sha256=read_run_record(run).settings_sha256,
        sha256={
            path.relative_to(run.path).as_posix(): files.sha256_of(path)
            for path in (run.oof, run.test, *(run.member(member).metrics for member in members))
        },
    )
