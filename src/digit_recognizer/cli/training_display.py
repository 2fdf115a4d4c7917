"""The live display of a training: a line a model with a bar on a terminal, a line an epoch elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from digit_recognizer.experiment import Experiment
from digit_recognizer.formatting import duration
from digit_recognizer.training.members import Member, at_full_speed, steps_per_epoch

Event = dict[str, Any]


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

    def hear(self, event: Event, now: float) -> None:
        """Take in an event of a member at the time `now` (seconds)."""
        member, epoch_steps = event["member"], self.steps[event["member"]] // self.experiment.epochs
        if event["event"] == "speed":
            self.seconds_per_step = self.seconds_per_step or event["seconds_per_step"]
        elif event["event"] == "done":
            self.steps[member] = self.done[member]  # less than planned where it stopped early
        else:
            if event["event"] == "step":  # with MINUTES the time left gives each member its own length
                epoch_steps = event["steps"]
                self.steps[member] = self.experiment.epochs * epoch_steps
            whole = event["epoch"] if event["event"] == "step" else event["epoch"] - 1
            steps = whole * epoch_steps + (event["step"] if event["event"] == "step" else epoch_steps)
            self.before.setdefault(member, whole * epoch_steps)
            self.done[member] = steps
        if self.began is None:
            self.began = now

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
def training_display(console: Console) -> Iterator[Callable[[Event], None]]:
    """Yield what `train` takes as `on_event`, and show what it hears on the console until the block ends."""
    display = TrainingDisplay(console)
    try:
        yield display.hear
    finally:
        display.close()


class TrainingDisplay:
    """Shows the events of trainings, one after another."""

    def __init__(self, console: Console) -> None:
        self.console, self.name = console, ""
        self.work: Work | None = None
        self.estimated = False
        self.latest: dict[Member, Event] = {}
        self.bars: dict[Member, Any] = {}
        self.progress: Progress | None = None

    def hear(self, event: Event) -> None:
        """Show one event."""
        getattr(self, f"_{event['event']}")(event)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.progress:
            self.progress.stop()
            self.progress = None

    def _warning(self, event: Event) -> None:
        self.console.print(f"warning: {event['message']}")

    def _plan(self, event: Event) -> None:
        members, waiting, experiment = event["members"], event["waiting"], event["experiment"]
        self.close()
        self.name, self.estimated, self.latest, self.bars = event["run"].name, False, {}, {}
        if not waiting:
            self.console.print(f"{self.name}: finished already, nothing to train in {event['run']}")
            return
        finished = f" ({len(members) - len(waiting)} are finished already)" if len(waiting) < len(members) else ""
        side = f", {event['jobs']} side by side" if event["jobs"] > 1 and len(waiting) > 1 else ""
        self.console.print(f"{self.name}: training {len(waiting)} models of up to {experiment.epochs} epochs{side}{finished}")
        self.work = Work(experiment, waiting, event["jobs"], event["rows"])
        if self.console.is_terminal:
            self.progress = Progress(
                TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.fields[status]}"), console=self.console
            )
            self.total = self.progress.add_task("all", total=sum(self.work.steps.values()), status="starting")
            self.progress.start()

    def _speed(self, event: Event) -> None:
        now = time.monotonic()
        self.work.hear(event, now)
        if not self.estimated:
            self.estimated = True
            seconds, step = self.work.seconds_left(now), event["seconds_per_step"]
            self.console.print(f"{self.name}: about {duration(seconds)} to go ({1000 * step:.0f} ms a step)")

    def _step(self, event: Event) -> None:
        self.work.hear(event, time.monotonic())
        self._remember({**event, "epoch": event["epoch"] + 1})

    def _epoch(self, event: Event) -> None:
        self.work.hear(event, time.monotonic())
        self._remember(event)
        if not self.progress:
            self.console.print(f"{self.name} {event['member']}: {self._status(event['member'])}{self._left()}")

    def _done(self, event: Event) -> None:
        member = event["member"]
        self.work.hear(event, time.monotonic())
        if self.progress and member in self.latest:
            self.progress.console.print(f"{self.name} {member}: {self._status(member)}")
        if member in self.bars:
            self.progress.remove_task(self.bars.pop(member))
        self._draw_total()

    def _remember(self, event: Event) -> None:
        member = event["member"]
        before = self.latest.get(member, {})
        kept = ("learning_rate", "images_per_second")  # an event has one of them
        self.latest[member] = {name: before[name] for name in kept if name in before} | event
        if self.progress:
            if member not in self.bars:
                self.bars[member] = self.progress.add_task(str(member), total=self.work.steps[member], status="")
            self.progress.update(self.bars[member], completed=self.work.done[member], status=self._status(member))
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
        parts = [f"epoch {event['epoch']}/{self.work.experiment.epochs}"]
        parts += [f"{name} {event[name]:.4f}" for name in ("loss", "accuracy", "val_loss", "val_accuracy") if name in event]
        if "learning_rate" in event:
            parts.append(f"learning rate {event['learning_rate']:.2g}")
        if "images_per_second" in event:
            parts.append(f"{event['images_per_second']:,.0f} images/s")
        return ", ".join(parts)
