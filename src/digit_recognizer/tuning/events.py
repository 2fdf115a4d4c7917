"""The events of a study, in addition to those of training/events.py: one frozen dataclass for each kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from digit_recognizer.metrics import Estimate
from digit_recognizer.training.events import Event


@dataclass(frozen=True)
class StudyStarted(Event):
    """A study was created, or an earlier one is resumed. Trials of earlier commands and other machines are included."""

    study: str
    trials_done: int
    trials_wanted: int | None  # in total; None: no limit
    parameters: Sequence[str]  # names of what is searched
    seconds_left: float | None  # until this command's deadline; None: there is none


@dataclass(frozen=True)
class TrialEvent(Event):
    """The base class of events of one trial.

    `repeat` is None in the search; in the confirmation study `trial` is the number of the candidate, and `repeat` (from 0)
    is the index of the new seed and folds.
    """

    trial: int
    repeat: int | None


@dataclass(frozen=True)
class TrialStarted(TrialEvent):
    """The training of a trial starts, or is resumed."""

    parameters: Mapping[str, Any]
    seconds_left: float | None


@dataclass(frozen=True)
class TrialEnded(TrialEvent):
    """A trial ended. An interrupted one sends nothing: it is resumed later."""

    state: Literal["complete", "pruned", "failed"]
    seconds_left: float | None
    log_loss: float | None = None  # out of fold, at the best temperature; of a complete trial
    accuracy: Estimate | None = None  # out of fold; of a complete trial
    reason: str = ""  # why it failed


@dataclass(frozen=True)
class ConfirmationStarted(Event):
    """The search is over; the best trials and the baseline trial are now trained on new seeds and folds."""

    trainings: int


@dataclass(frozen=True)
class TrialProgress(TrialEvent):
    """An event of a trial's training (training/events.py)."""

    event: Event
