"""The status of all runs of a workspace, read from their files without loading the data."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from digit_recognizer import files
from digit_recognizer.errors import UserError
from digit_recognizer.metrics import Estimate
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.records import read_run_metrics, read_run_record
from digit_recognizer.workspace import Workspace


@dataclass(frozen=True)
class RunStatus:
    """The status of one run; values that aren't known have their defaults."""

    name: str
    age: float  # seconds since its last change
    score: float | None  # best public score of a submission of this run alone
    pipeline: str = ""
    source: str = ""  # of its data
    accuracy: Estimate | None = None  # out of fold
    folds_done: int = 0
    folds: int = 0
    members: int = 0  # finished models
    seconds: float = 0.0  # of training, summed over all members
    training: bool = False  # now, by another process
    problem: str = ""  # why it can't be read


def run_statuses(workspace: Workspace, scores: Mapping[str, float]) -> list[RunStatus]:
    """Return all runs, the latest first.

    Args:
        scores: the best public score by run name.
    """
    folders = [RunFolder(path) for path in workspace.runs.glob("*") if path.is_dir()]
    begun = [folder for folder in folders if folder.record.exists() or folder.holds_members]
    return sorted((_run_status(folder, scores.get(folder.name)) for folder in begun), key=lambda run: run.age)


def _run_status(folder: RunFolder, score: float | None) -> RunStatus:
    try:
        record = read_run_record(folder)
        metrics = read_run_metrics(folder) if folder.metrics.exists() else None
    except UserError as error:
        return RunStatus(folder.name, _age(folder), score, problem=str(error))
    finished = folder.finished()
    return RunStatus(
        name=folder.name,
        age=_age(folder),
        score=score,
        pipeline=record.pipeline,
        source=record.dataset.source,
        accuracy=metrics.accuracy if metrics else None,
        folds_done=len({member.fold for member in finished if member.fold is not None}),
        folds=record.folds,
        members=len(finished),
        seconds=metrics.seconds if metrics else 0.0,
        training=files.is_locked(folder.lock),
    )


def _age(folder: RunFolder) -> float:
    changed = (folder.path, *folder.path.glob("*.json"), *folder.path.glob("seed_*/fold_*"))
    return max(time.time() - max(path.lstat().st_mtime for path in changed), 0.0)  # a link may lead nowhere
