"""A study as one HTML file that opens from disk."""

from collections.abc import Sequence
from pathlib import Path

from optuna import Study
from optuna.importance import get_param_importances
from optuna.trial import FrozenTrial, TrialState

from digit_recognizer.report import rendering
from digit_recognizer.tuning import charts, trials
from digit_recognizer.tuning.confirmation import LEVEL
from digit_recognizer.tuning.summary import StudySummary

BEST = 15  # trials in the table
TELLING = 10  # complete trials below which importances would be guesses


def write_page(path: Path, study: Study, rounds: Study, summary: StudySummary) -> Path:
    """Write the study's page to `path` and return that."""
    known = study.get_trials(deepcopy=False)
    complete = trials.complete(known)
    importances = get_param_importances(study) if len(complete) >= TELLING else {}
    names = sorted({name for trial in complete for name in trial.params}, key=lambda name: -importances.get(name, 0))
    values = {
        "summary": summary,
        "best": summary.complete[:BEST],
        "searched": {figures.number: figures for figures in summary.complete},
        "names": names,
        "level": LEVEL,
        "telling": TELLING,
        "history": charts.history(complete) if complete else "",
        "importances": charts.bars(importances, "share of the variance explained") if importances else "",
        "slices": {name: charts.slice_of(complete, name) for name in names},
        "times": times(known, rounds.get_trials(deepcopy=False)),
    }
    return rendering.write_page(path, "study.html", **values)


def times(known: Sequence[FrozenTrial], rounds: Sequence[FrozenTrial]) -> list[tuple[str, int, float]]:
    """Return where the time went: what, how many trials, and seconds from beginning to end of them all."""
    kinds = {
        "complete trials": [trial for trial in known if trial.state == TrialState.COMPLETE],
        "pruned trials": [trial for trial in known if trial.state == TrialState.PRUNED],
        "failed trials": [trial for trial in known if trials.REASON in trial.user_attrs],
        "interrupted, gone on with later": [trial for trial in known if not trials.counts(trial)],
        "confirmation": [trial for trial in rounds if trial.state == TrialState.COMPLETE],
    }
    return [
        (kind, len(found), sum(trial.duration.total_seconds() for trial in found if trial.duration))
        for kind, found in kinds.items()
        if found
    ]
