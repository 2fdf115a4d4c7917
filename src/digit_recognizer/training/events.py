"""The events that a training sends: one frozen dataclass for each kind."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from digit_recognizer.experiment import Experiment
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.member import Member


@dataclass(frozen=True)
class Event:
    """The base class of all events, including those of a study (tuning/events.py)."""


OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Do nothing: the default `on_event`."""


@dataclass(frozen=True)
class Warned(Event):
    """A warning for the user; training continues."""

    message: str


@dataclass(frozen=True)
class LogLine(Event):
    """A log line of another machine, to be shown unchanged."""

    text: str


@dataclass(frozen=True)
class TrainingPlanned(Event):
    """A run's training begins."""

    run: RunFolder
    experiment: Experiment
    members: Sequence[Member]  # those asked for
    steps_per_epoch: Mapping[Member, int]  # of each member that is not finished yet
    jobs: int  # members trained in parallel
    where: str = ""  # the devices
    reports_steps: bool = True  # whether events of members follow while they are trained

    @property
    def waiting(self) -> list[Member]:
        """The members that are not finished yet."""
        return list(self.steps_per_epoch)


@dataclass(frozen=True)
class MemberEvent(Event):
    """The base class of events of one member."""

    member: Member


@dataclass(frozen=True)
class ModelBuilt(MemberEvent):
    """The network is built; `summary` is Keras's."""

    summary: str


@dataclass(frozen=True)
class SpeedMeasured(MemberEvent):
    """A few steps were timed before training started or resumed."""

    seconds_per_step: float


@dataclass(frozen=True)
class StepEnded(MemberEvent):
    """A training step ended; sent about twice a second and after an epoch's last step."""

    epoch: int  # from 0
    step: int  # steps of this epoch that are done
    steps: int  # of an epoch
    images_per_second: float
    loss: float
    accuracy: float


@dataclass(frozen=True)
class EpochEnded(MemberEvent):
    """An epoch ended and its checkpoint is written. Validation figures are None where the epoch was not validated."""

    epoch: int  # from 1
    loss: float
    accuracy: float
    learning_rate: float
    seconds: float
    val_loss: float | None = None
    val_accuracy: float | None = None
    val_log_loss: float | None = None  # without label smoothing, at the best temperature


@dataclass(frozen=True)
class MemberFinished(MemberEvent):
    """All files of the member are written."""
