"""The live display of a training: a bar for each running model on a terminal, one line per epoch elsewhere."""

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from digit_recognizer import backend
from digit_recognizer.cli.console import shown
from digit_recognizer.cli.remaining_time import RemainingTime
from digit_recognizer.formatting import duration
from digit_recognizer.runs.member import Member
from digit_recognizer.training.events import (
    EpochEnded,
    Event,
    LogLine,
    MemberFinished,
    ModelBuilt,
    OnEvent,
    SpeedMeasured,
    StepEnded,
    TrainingPlanned,
    Warned,
)

BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
FIGURES = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning rate", "images/s")
# Figures to omit, in this order, if the terminal is too narrow.
DROPPED = ("learning rate", "images/s", "val_loss", "loss", "accuracy", "val_accuracy")


@contextlib.contextmanager
def training_display(console: Console) -> Iterator[OnEvent]:
    """Yield the `on_event` for `train` that shows trainings, one after another, on the console until the block ends."""
    display = TrainingDisplay(console)
    try:
        yield display.on_event
    finally:
        display.close()


class TrainingDisplay:
    """Shows the events of trainings, one after another."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.run: _Run | None = None

    def on_event(self, event: Event) -> None:
        match event:
            case Warned():
                self.console.print(f"warning: {event.message}")
            case LogLine():
                self.console.print(event.text)
            case TrainingPlanned():
                self.close()
                self.run = _Run(self.console, event) if event.waiting and event.reports_steps else None
                self.console.print(_plan_line(event))
            case ModelBuilt() | SpeedMeasured() | StepEnded() | EpochEnded() | MemberFinished() if self.run:
                self.run.on_event(event)

    def close(self) -> None:
        """Remove the bars from the terminal."""
        if self.run:
            self.run.close()


def _plan_line(plan: TrainingPlanned) -> str:
    """`fast: training 3 models, 5 epochs each, 2 in parallel (2 of 5 already trained)`."""
    if not plan.waiting:
        return f"{plan.run.name}: already trained, nothing to do in {shown(plan.run.path)}"
    number, finished = len(plan.waiting), len(plan.members) - len(plan.waiting)
    models = f"{number} model{'s' if number > 1 else ''}"
    epochs = f"{plan.experiment.epochs} epoch{'s' if plan.experiment.epochs > 1 else ''}"
    epochs = f"at most {epochs}" if plan.experiment.early_stopping else f"{epochs} each"
    parallel = f", {min(plan.jobs, number)} in parallel" if min(plan.jobs, number) > 1 else ""
    done = f" ({finished} of {len(plan.members)} already trained)" if finished else ""
    where = f" on {plan.where}" if plan.where else ""
    return f"{plan.run.name}: training {models}, {epochs}{parallel}{where}{done}"


class _Run:
    """The display of one run's training."""

    def __init__(self, console: Console, plan: TrainingPlanned) -> None:
        self.console, self.name, self.epochs = console, plan.run.name, plan.experiment.epochs
        self.remaining = RemainingTime(plan.experiment, plan.steps_per_epoch, plan.jobs)
        self.labels = {member: _label(member, len({one.seed for one in plan.members}) > 1) for member in plan.waiting}
        self.figures: dict[Member, dict[str, str]] = {}
        self.bars = _Bars(console, sum(self.remaining.steps.values())) if console.is_terminal else None

    def on_event(self, event: ModelBuilt | SpeedMeasured | StepEnded | EpochEnded | MemberFinished) -> None:
        first = self.remaining.timed is None
        self.remaining.on_event(event, time.monotonic())
        match event:
            case ModelBuilt():
                self._show_total("compiling")
            case SpeedMeasured() if first:
                pace = f"{1000 * event.seconds_per_step:.0f} ms per step"
                self.console.print(f"{self.name}: about {self._left()}, {pace}")
            case StepEnded() | EpochEnded():
                self._show_figures(event)
            case MemberFinished():
                self._finish(event.member)

    def close(self) -> None:
        if self.bars:
            self.bars.stop()

    def _show_figures(self, event: StepEnded | EpochEnded) -> None:
        member, figures = event.member, _figures(event, self.epochs)
        self.figures[member] = self.figures.get(member, {}) | figures
        if self.bars:
            self.bars.show(self.labels[member], self.remaining.done[member], self.remaining.steps[member], self.figures[member])
            self._show_total(self._left())
        elif isinstance(event, EpochEnded):
            line = {name: text for name, text in self.figures[member].items() if name in figures or name == "images/s"}
            self.console.print(f"{self.name} {self.labels[member]}: {fitting(line, 1000)}, {self._left()}")

    def _finish(self, member: Member) -> None:
        if not self.bars:
            return
        line = f"{self.name} {self.labels[member]}: "
        if figures := self.figures.get(member):
            self.bars.console.print(line + fitting(figures, self.console.width - len(line)))
        self.bars.remove(self.labels[member])
        self._show_total(self._left())

    def _show_total(self, text: str) -> None:
        if self.bars:
            steps, done = (sum(counts.values()) for counts in (self.remaining.steps, self.remaining.done))
            self.bars.show_total(done, steps, "predicting" if done == steps else text)

    def _left(self) -> str:
        seconds = self.remaining.seconds_left()
        return "compiling" if seconds is None else f"{duration(seconds)} left"


class _Bars:
    """A progress bar for each running model and one for all models together, as wide as the terminal."""

    def __init__(self, console: Console, steps: int) -> None:
        self.console = console
        self.bar_width = 20 if console.width >= 100 else 10
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(self.bar_width), TextColumn("{task.fields[status]}"), console=console
        )
        self.tasks: dict[str, TaskID] = {}
        starting = f"starting {BACKENDS[backend.name()]}"
        self.total = self.progress.add_task("total", total=steps, status=starting)
        self.progress.start()

    def show(self, label: str, done: int, steps: int, figures: dict[str, str]) -> None:
        if label not in self.tasks:
            self.tasks[label] = self.progress.add_task(label, total=steps, status="")
        width = self.console.width - max(map(len, self.tasks)) - self.bar_width - 3
        self.progress.update(self.tasks[label], completed=done, total=steps, status=fitting(figures, width))

    def show_total(self, done: int, steps: int, text: str) -> None:
        self.progress.update(self.total, completed=done, total=steps, status=text)

    def remove(self, label: str) -> None:
        if label in self.tasks:
            self.progress.remove_task(self.tasks.pop(label))

    def stop(self) -> None:
        self.progress.stop()


def _label(member: Member, several_seeds: bool) -> str:
    """Return `fold 3`, with the seed if there are several."""
    rows = "all rows" if member.fold is None else f"fold {member.fold}"
    return f"{rows}, seed {member.seed}" if several_seeds else rows


def _figures(event: StepEnded | EpochEnded, epochs: int) -> dict[str, str]:
    """Return an event's figures by name, as `loss 0.0812`."""
    figures = {"epoch": f"epoch {event.epoch + isinstance(event, StepEnded)}/{epochs}"}
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        if (value := getattr(event, name, None)) is not None:
            figures[name] = f"{name} {value:.4f}"
    if isinstance(event, EpochEnded):
        return figures | {"learning rate": f"learning rate {event.learning_rate:.2g}"}
    return figures | {"images/s": f"{event.images_per_second:,.0f} images/s"}


def fitting(figures: dict[str, str], width: int) -> str:
    """Return the figures, separated by commas, without the least important ones if they don't fit into `width` characters."""
    shown = {name: figures[name] for name in FIGURES if name in figures}
    for name in DROPPED:
        if len(", ".join(shown.values())) > width:
            shown.pop(name, None)
    return ", ".join(shown.values())
