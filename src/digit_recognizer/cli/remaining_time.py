"""An estimate of the remaining time of a training from its events."""

from collections.abc import Mapping
from statistics import mean

from digit_recognizer.experiment import Experiment
from digit_recognizer.runs.member import Member
from digit_recognizer.training.events import EpochEnded, MemberEvent, MemberFinished, ModelBuilt, SpeedMeasured, StepEnded
from digit_recognizer.training.members import full_speed_jobs

ENOUGH = 5.0  # seconds of observed training, after which its speed is used instead of that of the timed steps


class RemainingTime:
    """Counts the finished and remaining steps of a training and estimates the remaining time.

    Times are seconds of one clock. Steps of an earlier session count as done, but not for the speed.
    """

    def __init__(self, experiment: Experiment, steps_per_epoch: Mapping[Member, int], jobs: int) -> None:
        self.experiment = experiment
        self.jobs = min(jobs, len(steps_per_epoch)) or 1
        self.cores_for = full_speed_jobs(experiment)  # members
        self.steps = {member: experiment.epochs * steps for member, steps in steps_per_epoch.items()}
        self.done = dict.fromkeys(steps_per_epoch, 0)
        self.timed: float | None = None  # seconds per step of a member that trains alone
        self.first: dict[Member, tuple[float, int]] = {}  # time and steps done at a member's first event of this session
        self.latest: dict[Member, tuple[float, int]] = {}
        self.built: dict[Member, float] = {}
        self.preparations: list[float] = []  # seconds from a built model to its first step

    def on_event(self, event: MemberEvent, now: float) -> None:
        """Update the counts by an event at the time `now`."""
        member = event.member
        match event:
            case ModelBuilt():
                self.built[member] = now
            case SpeedMeasured():
                self.timed = event.seconds_per_step
                self.preparations.append(now - self.built.get(member, now))
            case StepEnded():  # with MINUTES a member's number of steps is only known when it starts
                self.steps[member] = self.experiment.epochs * event.steps
                self._count(member, event.epoch * event.steps + event.step, now)
            case EpochEnded():
                self._count(member, event.epoch * self.steps[member] // self.experiment.epochs, now)
            case MemberFinished():
                self.steps[member] = self.done[member]  # fewer than planned after early stopping

    def _count(self, member: Member, steps: int, now: float) -> None:
        self.done[member] = steps
        self.first.setdefault(member, (now, steps))
        self.latest[member] = now, steps
        running = sum(0 < done < self.steps[one] for one, done in self.done.items())
        self.jobs = max(self.jobs, running)  # a GPU gets more members while they train

    def seconds_left(self) -> float | None:
        """Return the remaining time in seconds, or None while the speed is unknown."""
        pace = self._seconds_per_step()
        if pace is None:
            return None
        left = [self.steps[member] - done for member, done in self.done.items()]
        alone = pace * min(1.0, self.cores_for / self.jobs)  # of a member that no longer shares a core
        waiting = len(self.steps) - max(len(self.built), self.jobs)
        preparing = waiting * mean(self.preparations or [0.0])
        return max(sum(left) * pace / self.jobs, max(left) * alone) + preparing / min(self.jobs, self.cores_for)

    def _seconds_per_step(self) -> float | None:
        """Return the seconds per step of a member while `jobs` members train in parallel."""
        spans = [
            (self.latest[member][0] - began, self.latest[member][1] - done) for member, (began, done) in self.first.items()
        ]
        seconds, steps = (sum(column) for column in zip(*spans, strict=True)) if spans else (0.0, 0)
        if seconds > ENOUGH and steps:
            return seconds / steps
        return None if self.timed is None else self.timed * max(1.0, self.jobs / self.cores_for)
