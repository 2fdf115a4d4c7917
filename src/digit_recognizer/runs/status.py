"""What there is: all runs of a workspace, read from their files without loading any data."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digit_recognizer import files
from digit_recognizer.errors import UserError
from digit_recognizer.metrics import Estimate
from digit_recognizer.workspace import Workspace


@dataclass(frozen=True)
class RunStatus:
    """One run; what isn't known yet is None."""

    name: str
    pipeline: str
    source: str  # of its data
    accuracy: Estimate | None  # out of fold
    folds_done: int
    folds: int
    members: int  # finished models
    seconds: float  # of training, all members together
    age: float  # seconds since its last change
    score: float | None  # best public score of a submission of this run alone
    problem: str = ""  # why it can't be read


def run_statuses(workspace: Workspace, scores: Mapping[str, float]) -> list[RunStatus]:
    """Return all runs, the latest first.

    Args:
        scores: the best public score by run name.
    """
    folders = [path.parent for path in workspace.runs.glob("*/experiment.json")]
    return sorted((_run_status(folder, scores.get(folder.name)) for folder in folders), key=lambda run: run.age)


def _run_status(folder: Path, score: float | None) -> RunStatus:
    try:
        record = files.read_json(folder / "experiment.json")
        metrics = files.read_json(folder / "metrics.json") if (folder / "metrics.json").exists() else {}
        return _described(folder, record, metrics, score)
    except (UserError, KeyError, TypeError, AttributeError) as error:
        why = str(error) if isinstance(error, UserError) else f"{folder / 'experiment.json'} is damaged"
        return RunStatus(folder.name, "", "", None, 0, 0, 0, 0.0, _age(folder), score, why)


def _described(folder: Path, record: dict[str, Any], metrics: dict[str, Any], score: float | None) -> RunStatus:
    finished = [*folder.glob("seed_*/fold_*/metrics.json"), *folder.glob("full/seed_*/metrics.json")]
    accuracy = None
    if "oof_accuracy" in metrics:
        accuracy = Estimate(metrics["oof_accuracy"], metrics["oof_accuracy_low"], metrics["oof_accuracy_high"])
    return RunStatus(
        name=folder.name,
        pipeline=record["pipeline"],
        source=record["dataset"]["source"],
        accuracy=accuracy,
        folds_done=len({path.parent.name for path in finished if path.parent.name.startswith("fold_")}),
        folds=record["settings"]["folds"],
        members=len(finished),
        seconds=float(metrics.get("seconds", 0.0)),
        age=_age(folder),
        score=score,
    )


def _age(folder: Path) -> float:
    latest = max(path.stat().st_mtime for path in (folder, *folder.glob("*.json"), *folder.glob("seed_*/fold_*")))
    return max(time.time() - latest, 0.0)
