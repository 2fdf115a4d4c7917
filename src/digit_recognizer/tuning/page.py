"""The page of a study: one HTML file that opens from disk."""

from collections.abc import Sequence
from pathlib import Path

from optuna import Study
from optuna.importance import get_param_importances
from optuna.trial import FrozenTrial, TrialState

from digit_recognizer.metrics import SIGNIFICANT
from digit_recognizer.report import rendering
from digit_recognizer.tuning import charts, trials
from digit_recognizer.tuning.summary import StudySummary

MAX_ROWS = 15  # of the table of trials
MIN_FOR_IMPORTANCES = 10  # complete trials


def write_page(path: Path, search: Study, confirming: Study, summary: StudySummary) -> Path:
    """Write the study's page to `path` and return `path`."""
    importances = get_param_importances(search) if len(summary.complete) >= MIN_FOR_IMPORTANCES else {}
    names = sorted({name for one in summary.complete for name in one.parameters}, key=lambda name: -importances.get(name, 0))
    return rendering.write_page(
        path,
        "study.html",
        summary=summary,
        best=summary.complete[:MAX_ROWS],
        searched={one.number: one for one in summary.complete},
        names=names,
        significant=SIGNIFICANT,
        min_for_importances=MIN_FOR_IMPORTANCES,
        history=charts.history(search) if summary.complete else "",
        importances=charts.importances(search) if importances else "",
        slices={name: charts.slice_of(search, name) for name in names},
        times=times(search.get_trials(deepcopy=False), confirming.get_trials(deepcopy=False)),
    )


def times(search: Sequence[FrozenTrial], confirmation: Sequence[FrozenTrial]) -> list[tuple[str, int, float]]:
    """Return the training time by final state of the trials: state, number of trials, and their total seconds."""
    states = {
        "complete": [trial for trial in search if trial.state == TrialState.COMPLETE],
        "pruned": [trial for trial in search if trial.state == TrialState.PRUNED],
        "failed": [trial for trial in search if trials.failed(trial)],
        "confirmation": [trial for trial in confirmation if trial.state == TrialState.COMPLETE],
    }
    return [
        (state, len(found), sum(trial.duration.total_seconds() for trial in found if trial.duration))
        for state, found in states.items()
        if found
    ]
