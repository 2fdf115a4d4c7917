"""What became of a study's trials, and the rules by which none is lost and none counts twice.

A trial that was interrupted (killed, Ctrl-C, deadline) ends as failed without a reason, and another one *continues* it with the
same parameters in the same folder; the first that was begun of those that continue the same trial counts, any other is surplus.
A trial that failed by itself has its reason. All rules are read from the trials alone, so they hold for several machines too.
"""

import datetime
from collections.abc import Sequence
from typing import Any

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from digit_recognizer.tuning import storage

CURVE = "curve"  # what an interrupted trial had reported, {step: value}
CONTINUES = "continues"  # number of the trial that was begun first with these parameters
OWNER = "owner"  # host and process that trains it
REASON = "reason"  # why it failed
SURPLUS = "surplus"  # it was begun by one machine while another had begun the last one

START = 0  # the pipeline's own settings are always the first trial


def root(trial: FrozenTrial) -> int:
    """Return the number that the trial goes by: its own, or that of the trial it continues."""
    return trial.user_attrs.get(CONTINUES, trial.number)


def counts(trial: FrozenTrial) -> bool:
    """Whether the trial is one of TRIALS: it is planned, runs or has come to an end of its own."""
    return trial.state != TrialState.FAIL or REASON in trial.user_attrs


def is_start(trial: FrozenTrial) -> bool:
    """Whether the trial is the pipeline's own settings, and hasn't failed by itself."""
    return root(trial) == START and REASON not in trial.user_attrs


def complete(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return those that trained all folds, best first."""
    return sorted(
        (trial for trial in trials if trial.state == TrialState.COMPLETE), key=lambda trial: (trial.value, trial.number)
    )


def any_waiting(trials: Sequence[FrozenTrial]) -> bool:
    """Whether a planned trial is not begun yet."""
    return any(trial.state == TrialState.WAITING for trial in trials)


def parameters(trial: FrozenTrial) -> dict[str, Any]:
    """Return what the trial was to be run with, as far as it is known."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def superseded(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> bool:
    """Whether an earlier trial counts for the same parameters."""
    return any(
        other.number < trial.number and counts(other) and REASON not in other.user_attrs and root(other) == root(trial)
        for other in trials
    )


def surplus(trial: FrozenTrial, trials: Sequence[FrozenTrial], wanted: float) -> bool:
    """Whether `wanted` trials were begun before this one."""
    return CONTINUES not in trial.user_attrs and sum(counts(other) for other in trials if other.number < trial.number) >= wanted


def tidy(study: Study, alone: bool = False) -> list[FrozenTrial]:
    """Fail the trials whose process is gone, have all interrupted ones continued, and return the trials as they then stand.

    `alone`: no other process can be at work on the study, so that every running trial is a killed one.
    """
    from optuna.storages import fail_stale_trials

    fail_stale_trials(study)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if alone or _never_began(trial):
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
    trials = study.get_trials(deepcopy=False)
    waiting = to_continue(trials)
    for trial in waiting:
        study.enqueue_trial(parameters(trial), user_attrs={**_kept(trial), CONTINUES: root(trial)})
    return study.get_trials(deepcopy=False) if waiting else trials


def _never_began(trial: FrozenTrial) -> bool:
    """Killed between being taken and its first sign of life, which Optuna's own check overlooks."""
    age = datetime.datetime.now() - (trial.datetime_start or datetime.datetime.now())
    return OWNER not in trial.user_attrs and age.total_seconds() > storage.GRACE


def to_continue(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the interrupted trials, the latest of each root, that nothing continues; one without parameters left nothing."""
    taken = {root(trial) for trial in trials if counts(trial)}
    interrupted = {
        root(trial): trial
        for trial in trials
        if not counts(trial) and SURPLUS not in trial.user_attrs and parameters(trial) and root(trial) not in taken
    }
    return list(interrupted.values())


def _kept(trial: FrozenTrial) -> dict[str, Any]:
    return {CURVE: {str(step): value for step, value in trial.intermediate_values.items()}} if trial.intermediate_values else {}
