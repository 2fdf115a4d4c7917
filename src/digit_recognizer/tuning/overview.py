"""All studies of a workspace in one list. Optuna is imported only if there is a study."""

import time
from dataclasses import dataclass
from pathlib import Path

from digit_recognizer.errors import UserError
from digit_recognizer.metrics import Estimate
from digit_recognizer.workspace import Workspace


@dataclass(frozen=True)
class StudyStatus:
    """The status of one study; values that aren't known yet are None."""

    name: str
    trials: int  # complete, pruned or failed
    complete: int
    log_loss: float | None  # of the best complete trial, in the search
    accuracy: Estimate | None  # of the same trial
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
    search, complete, best, problem = [], [], None, ""
    try:
        search = optuna.load_study(study_name=path.stem, storage=open_journal(path)).get_trials(deepcopy=False)
        complete = trials.complete(search)
        best = trials.result_of(complete[0]) if complete else None
    except KeyError:  # its process ended before the first entry
        pass
    except UserError as error:
        problem = str(error)
    return StudyStatus(
        name=path.stem,
        trials=sum(trial.state.is_finished() and trials.counts(trial) for trial in search),
        complete=len(complete),
        log_loss=best and best.log_loss,
        accuracy=best and best.accuracy,
        age=max(time.time() - path.stat().st_mtime, 0.0),
        problem=problem,
    )
