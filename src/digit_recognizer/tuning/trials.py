"""The states of a study's trials: which count, which are resumed. No trial is lost, and none counts twice.

- A trial that is interrupted (Ctrl-C, deadline, full disk) is set to WAITING with its parameters. The process that starts it
  next resumes its training.
- A trial whose process was killed is requeued too: in a journal when the next command starts, on a server when its
  heartbeats are missing, as a copy with a new number (Optuna's RetryHeartbeatStaleTrialCallback).
- A trial that failed, as opposed to being killed, has a reason and is not repeated.

The rules depend only on the trials, so they are the same on all machines.
"""

import contextlib
import dataclasses
import datetime
from collections.abc import Sequence
from typing import Any

import pydantic
from optuna import Study, Trial
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from digit_recognizer.errors import UserError
from digit_recognizer.tuning import database
from digit_recognizer.tuning.trainer import TrialResult

BASELINE = "baseline"  # user attribute: the pipeline's own settings
REASON = "reason"  # user attribute: why the trial failed
_RESULT = pydantic.TypeAdapter(TrialResult)


def number_of(trial: FrozenTrial) -> int:
    """Return the displayed number of the trial: its own, or that of the trial that it is a copy of.

    Raises:
        UserError: the study is damaged.
    """
    number = trial.system_attrs.get("failed_trial", trial.number)
    if not isinstance(number, int):
        raise UserError(f"the study is damaged: trial {trial.number} is a copy of trial {number!r}")
    return number


def counts(trial: FrozenTrial) -> bool:
    """Return whether the trial counts towards TRIALS: it is planned, runs, is complete or pruned, or failed by itself."""
    return trial.state != TrialState.FAIL or failed(trial)


def failed(trial: FrozenTrial) -> bool:
    """Return whether the trial failed, as opposed to its process being killed."""
    return REASON in trial.user_attrs


def is_baseline(trial: FrozenTrial) -> bool:
    """Whether the trial is the pipeline with its own settings."""
    return bool(trial.user_attrs.get(BASELINE))


def complete(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that trained all folds, best first."""
    found = (trial for trial in trials if trial.state == TrialState.COMPLETE)
    return sorted(found, key=lambda trial: (trial.value, trial.number))


def set_result(trial: Trial, result: TrialResult) -> None:
    """Store the figures of a complete trial in addition to its value, the log loss."""
    for name, value in dataclasses.asdict(result).items():
        trial.set_user_attr(name, value)


def result_of(trial: FrozenTrial) -> TrialResult:
    """Return the figures of a complete trial.

    Raises:
        UserError: the study is damaged.
    """
    try:
        return _RESULT.validate_python({**trial.user_attrs, "log_loss": trial.value})
    except pydantic.ValidationError as error:
        field = ".".join(map(str, error.errors()[0]["loc"]))
        raise UserError(f"the study is damaged: trial {trial.number} has no valid {field}") from None


def seconds_of(trial: FrozenTrial) -> float:
    """Return how long a complete trial took, the time before an interruption included."""
    return max(trial.duration.total_seconds(), result_of(trial).seconds)


def any_waiting(trials: Sequence[FrozenTrial]) -> bool:
    """Whether a planned or interrupted trial waits to be trained."""
    return any(trial.state == TrialState.WAITING for trial in trials)


def enqueued_parameters(trial: FrozenTrial) -> dict[str, Any] | None:
    """Return the parameters that the trial was enqueued with; None of one that the sampler chose."""
    return trial.system_attrs.get("fixed_params")


def is_planned(parameters: dict[str, Any], trials: Sequence[FrozenTrial]) -> bool:
    """Whether a trial was enqueued with these parameters and has not failed."""
    return any(enqueued_parameters(trial) == parameters and counts(trial) and not failed(trial) for trial in trials)


def is_surplus(trial: FrozenTrial, trials: Sequence[FrozenTrial], wanted: float) -> bool:
    """Whether another machine enqueued the same parameters, or started the last wanted trial, at the same moment."""
    earlier = [other for other in trials if other.number < trial.number]
    parameters = enqueued_parameters(trial)
    if parameters is not None:
        return is_planned(parameters, earlier)
    return number_of(trial) == trial.number and sum(map(counts, earlier)) >= wanted


def requeue(study: Study, number: int, storage: BaseStorage) -> None:
    """Set an interrupted trial to WAITING, unless another machine has ended it."""
    study_id = storage.get_study_id_from_name(study.study_name)
    trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, number)
    with contextlib.suppress(UpdateFinishedTrialError):
        storage.set_trial_state_values(trial_id, state=TrialState.WAITING)


def recover(study: Study, storage: BaseStorage, *, alone: bool = False) -> list[FrozenTrial]:
    """Requeue the trials whose process was killed, and return all trials.

    Args:
        alone: no other process works on the study, so every running trial is a killed one.
    """
    from optuna.storages import fail_stale_trials

    fail_stale_trials(study)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if alone or _never_started(trial):
            requeue(study, trial.number, storage)
    return study.get_trials(deepcopy=False)


def _never_started(trial: FrozenTrial) -> bool:
    """Whether the process was killed between taking the trial and its first heartbeat, which Optuna's check overlooks."""
    age = datetime.datetime.now() - (trial.datetime_start or datetime.datetime.now())
    return not trial.params and age.total_seconds() > database.GRACE_PERIOD
