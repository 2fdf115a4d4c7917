"""All studies of a workspace at a glance; imports Optuna only where there is a study."""

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from digit_recognizer.errors import UserError
from digit_recognizer.metrics import Estimate
from digit_recognizer.workspace import Workspace


@dataclass(frozen=True)
class StudyStatus:
    """One study; what isn't known yet is None."""

    name: str
    trials: int  # that came to an end of their own
    complete: int
    log_loss: float | None  # of the best complete trial, in the search
    accuracy: Estimate | None  # of the same
    age: float  # seconds since its last change
    problem: str = ""  # why it can't be read


def study_statuses(workspace: Workspace) -> list[StudyStatus]:
    """Return the studies that are kept in `studies/<name>.journal`, the latest first."""
    return sorted((_status(path, workspace) for path in workspace.studies.glob("*.journal")), key=lambda study: study.age)


def _status(path: Path, workspace: Workspace) -> StudyStatus:
    import optuna

    from digit_recognizer.tuning import storage, trials

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    age = max(time.time() - path.stat().st_mtime, 0.0)  # which opening it sets anew, so the trials know better
    try:
        known = optuna.load_study(study_name=path.stem, storage=storage.journal(workspace, path.stem)).get_trials(
            deepcopy=False
        )
    except (UserError, KeyError) as error:  # KeyError: it holds no study yet
        return StudyStatus(path.stem, 0, 0, None, None, age, str(error) if isinstance(error, UserError) else "")
    times = [trial.datetime_complete or trial.datetime_start for trial in known]
    if begun := [moment for moment in times if moment]:
        age = max((datetime.now() - max(begun)).total_seconds(), 0.0)
    complete = trials.complete(known)
    ended = sum(trial.state.is_finished() and trials.counts(trial) for trial in known)
    if not complete:
        return StudyStatus(path.stem, ended, 0, None, None, age)
    accuracy = Estimate(*(complete[0].user_attrs[name] for name in ("accuracy", "accuracy_low", "accuracy_high")))
    return StudyStatus(path.stem, ended, len(complete), complete[0].value, accuracy, age)
