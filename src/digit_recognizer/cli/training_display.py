"""The live display of a training: a line a model with a bar on a terminal, a line an epoch elsewhere."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from digit_recognizer.experiment import Experiment
from digit_recognizer.formatting import duration
from digit_recognizer.training.events import (
    EpochEnded,
    Event,
    MemberEvent,
    MemberFinished,
    OnEvent,
    SpeedMeasured,
    StepEnded,
    TrainingPlanned,
    Warned,
)
from digit_recognizer.training.members import Member, at_full_speed, steps_per_epoch


class Work:
    """The steps of a training that are done and still to do, and how long the rest will take."""

    def __init__(self, experiment: Experiment, waiting: list[Member], jobs: int, rows: int) -> None:
        self.experiment = experiment
        self.at_once = min(jobs, len(waiting), at_full_speed(experiment)) or 1
        self.steps = {member: experiment.epochs * _steps_per_epoch(experiment, member, rows) for member in waiting}
        self.done = dict.fromkeys(waiting, 0)
        self.before: dict[Member, int] = {}  # what a resumed member brought along
        self.began: float | None = None
        self.seconds_per_step: float | None = None

    def on_event(self, event: MemberEvent, now: float) -> None:
        """Take in an event of a member at the time `now` (seconds)."""
        member = event.member
        match event:
            case SpeedMeasured():
                self.seconds_per_step = self.seconds_per_step or event.seconds_per_step
            case StepEnded():  # with MINUTES a member's number of steps is only known when it starts
                self.steps[member] = self.experiment.epochs * event.steps
                self._count(member, event.epoch * event.steps, event.step)
            case EpochEnded():
                epoch_steps = self.steps[member] // self.experiment.epochs
                self._count(member, (event.epoch - 1) * epoch_steps, epoch_steps)
            case MemberFinished():
                self.steps[member] = self.done[member]  # less than planned where it stopped early
        if self.began is None:
            self.began = now

    def _count(self, member: Member, earlier: int, steps: int) -> None:
        """Set the steps that are done: those of earlier epochs and those of this one."""
        self.before.setdefault(member, earlier)
        self.done[member] = earlier + steps

    def seconds_left(self, now: float) -> float | None:
        """Return the time that the rest will take at the pace so far, or None while that isn't known."""
        left = sum(self.steps.values()) - sum(self.done.values())
        here = sum(self.done.values()) - sum(self.before.values())
        if here and self.began is not None and now - self.began > 5:
            return left * (now - self.began) / here
        if self.seconds_per_step is not None:
            return left * self.seconds_per_step / self.at_once
        return None


def _steps_per_epoch(experiment: Experiment, member: Member, rows: int) -> int:
    return steps_per_epoch(experiment, rows if member.fold is None else rows - rows // experiment.folds)


@contextlib.contextmanager
def training_display(console: Console) -> Iterator[OnEvent]:
    """Yield the `on_event` for `train` that shows a training on the console until the block ends."""
    display = TrainingDisplay(console)
    try:
        yield display.on_event
    finally:
        display.close()


class TrainingDisplay:
    """Shows the events of trainings, one after another."""

    def __init__(self, console: Console) -> None:
        self.console, self.name = console, ""
        self.work: Work | None = None
        self.estimated = False
        self.latest: dict[Member, StepEnded | EpochEnded] = {}
        self.rates: dict[Member, tuple[float | None, float | None]] = {}  # learning rate, images per second
        self.bars: dict[Member, Any] = {}
        self.progress: Progress | None = None

    def on_event(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Warned():
                self.console.print(f"warning: {event.message}")
            case TrainingPlanned():
                self._plan(event)
            case SpeedMeasured():
                self._speed(event)
            case StepEnded() | EpochEnded():
                self._progress(event)
            case MemberFinished():
                self._finished(event)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.progress:
            self.progress.stop()
            self.progress = None

    def _plan(self, event: TrainingPlanned) -> None:
        members, waiting, experiment = event.members, event.waiting, event.experiment
        self.close()
        self.name, self.estimated, self.latest, self.rates, self.bars = event.run.name, False, {}, {}, {}
        if not waiting:
            self.console.print(f"{self.name}: finished already, nothing to train in {event.run}")
            return
        finished = f" ({len(members) - len(waiting)} are finished already)" if len(waiting) < len(members) else ""
        side = f", {event.jobs} side by side" if event.jobs > 1 and len(waiting) > 1 else ""
        self.console.print(f"{self.name}: training {len(waiting)} models of up to {experiment.epochs} epochs{side}{finished}")
        self.work = Work(experiment, list(waiting), event.jobs, event.rows)
        if self.console.is_terminal:
            self.progress = Progress(
                TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.fields[status]}"), console=self.console
            )
            self.total = self.progress.add_task("all", total=sum(self.work.steps.values()), status="starting")
            self.progress.start()

    def _speed(self, event: SpeedMeasured) -> None:
        now = time.monotonic()
        self.work.on_event(event, now)
        if not self.estimated:
            self.estimated = True
            seconds, step = self.work.seconds_left(now), event.seconds_per_step
            self.console.print(f"{self.name}: about {duration(seconds)} to go ({1000 * step:.0f} ms a step)")

    def _progress(self, event: StepEnded | EpochEnded) -> None:
        member = event.member
        self.work.on_event(event, time.monotonic())
        self.latest[member] = event
        learning_rate, images_per_second = self.rates.get(member, (None, None))
        if isinstance(event, StepEnded):
            self.rates[member] = learning_rate, event.images_per_second
        else:
            self.rates[member] = event.learning_rate, images_per_second
        if self.progress:
            if member not in self.bars:
                self.bars[member] = self.progress.add_task(str(member), total=self.work.steps[member], status="")
            self.progress.update(self.bars[member], completed=self.work.done[member], status=self._status(member))
            self._draw_total()
        elif isinstance(event, EpochEnded):
            self.console.print(f"{self.name} {member}: {self._status(member)}{self._left()}")

    def _finished(self, event: MemberFinished) -> None:
        member = event.member
        self.work.on_event(event, time.monotonic())
        if self.progress and member in self.latest:
            self.progress.console.print(f"{self.name} {member}: {self._status(member)}")
        if member in self.bars:
            self.progress.remove_task(self.bars.pop(member))
        self._draw_total()

    def _draw_total(self) -> None:
        if self.progress:
            steps, done = sum(self.work.steps.values()), sum(self.work.done.values())
            status = "predicting" if done == steps else self._left().removeprefix(", ")
            self.progress.update(self.total, total=steps, completed=done, status=status)

    def _left(self) -> str:
        seconds = self.work.seconds_left(time.monotonic())
        return f", {duration(seconds)} left" if seconds else ""

    def _status(self, member: Member) -> str:
        """`epoch 3/12, loss 0.0812, accuracy 0.9751, val_loss ..., learning rate 0.0012, 812 images/s`."""
        event = self.latest[member]
        learning_rate, images_per_second = self.rates[member]
        figures = {"loss": event.loss, "accuracy": event.accuracy}
        if isinstance(event, EpochEnded):
            figures |= {"val_loss": event.val_loss, "val_accuracy": event.val_accuracy}
        parts = [f"epoch {event.epoch + isinstance(event, StepEnded)}/{self.work.experiment.epochs}"]
        parts += [f"{name} {value:.4f}" for name, value in figures.items() if value is not None]
        if learning_rate is not None:
            parts.append(f"learning rate {learning_rate:.2g}")
        if images_per_second is not None:
            parts.append(f"{images_per_second:,.0f} images/s")
        return ", ".join(parts)
