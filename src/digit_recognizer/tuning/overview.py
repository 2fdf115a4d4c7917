"""All studies of a workspace in one list. Optuna is imported only if there is a study."""

import time
from dataclasses import dataclass
from pathlib import Path

from digit_recognizer.errors import UserError
from digit_recognizer.metrics import Estimate
from digit_recognizer.workspace import Workspace


@dataclass(frozen=True)
class StudyStatus:
    """One study; what isn't known yet is None."""

    name: str
    trials: int  # complete, pruned or failed
    complete: int
    log_loss: float | None  # of the best complete trial, in the search
    accuracy: Estimate | None  # of the same
    age: float  # seconds since its last change
    problem: str = ""  # why it can't be read


def study_statuses(workspace: Workspace) -> list[StudyStatus]:
    """Return the studies that are kept in `studies/<name>.journal`, the latest first. Nothing is written."""
    return sorted(map(_status, workspace.studies.glob("*.journal")), key=lambda study: study.age)


def _status(path: Path) -> StudyStatus:
    import optuna

    from digit_recognizer.tuning import trials
    from digit_recognizer.tuning.journal import open_journal

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    age = max(time.time() - path.stat().st_mtime, 0.0)
    try:
        study = optuna.load_study(study_name=path.stem, storage=open_journal(path))
        search = study.get_trials(deepcopy=False)
        complete = trials.complete(search)
        best = trials.result_of(complete[0]) if complete else None
    except KeyError:  # it was created, and stopped before its first entry
        return StudyStatus(path.stem, 0, 0, None, None, age)
    except UserError as error:
        return StudyStatus(path.stem, 0, 0, None, None, age, str(error))
    ended = sum(trial.state.is_finished() and trials.counts(trial) for trial in search)
    if best is None:
        return StudyStatus(path.stem, ended, 0, None, None, age)
    return StudyStatus(path.stem, ended, len(complete), best.log_loss, best.accuracy, age)
