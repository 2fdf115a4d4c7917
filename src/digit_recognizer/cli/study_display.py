"""The live display of a study: the running trials, the best so far and the time left; one line per finished trial."""

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.status import Status
from rich.text import Text

from digit_recognizer.formatting import duration, interval
from digit_recognizer.training.events import EpochEnded, Event, OnEvent, StepEnded, Warned
from digit_recognizer.tuning import events


@contextlib.contextmanager
def study_display(console: Console) -> Iterator[OnEvent]:
    """Yield the `on_event` for `tune` that shows a study on the console until the block ends."""
    if not console.is_terminal:
        yield StudyDisplay(console, None).on_event
        return
    with console.status("opening the study") as status:
        yield StudyDisplay(console, status).on_event


class StudyDisplay:
    def __init__(self, console: Console, status: Status | None) -> None:
        self.console, self.status = console, status
        self.best: float | None = None
        self.seconds_left: float | None = None
        self.running: dict[int, str] = {}  # fold and epoch of each trial

    def on_event(self, event: Event) -> None:
        """Show one event; those of a training only change the live line."""
        match event:
            case Warned():
                self.console.print(f"warning: {event.message}")
            case events.StudyStarted():
                self._study(event)
            case events.ConfirmationStarted():
                self.console.print(
                    f"search finished; confirming the best trials and the original settings: {event.trainings} trainings on "
                    "new seeds and folds"
                )
            case events.TrialStarted():
                self.seconds_left = event.seconds_left
                self.running[event.trial] = "starting"
            case events.TrialEnded():
                self._ended(event)
            case events.TrialProgress():
                self._training(event)
        if self.status:
            self.status.update(self._line())

    def _study(self, event: events.StudyStarted) -> None:
        wanted = f" of {event.trials_wanted}" if event.trials_wanted else ""
        self.console.print(
            f"study {event.study}: {event.trials_done}{wanted} trials finished; searching {', '.join(event.parameters)}"
        )
        self.seconds_left = event.seconds_left
        if self.seconds_left:
            self.console.print(f"{duration(self.seconds_left)} left, including the confirmation of the best trials")

    def _ended(self, event: events.TrialEnded) -> None:
        self.seconds_left = event.seconds_left
        self.running.pop(event.trial, None)
        state = event.state if event.repeat is None else "confirmed"
        figures = f": {event.reason}" if event.reason else ""
        if event.log_loss is not None:
            figures = f": log loss {event.log_loss:.5f}, accuracy {interval(event.accuracy)}"
        if event.state == "complete" and event.repeat is None:
            self.best = min(event.log_loss, self.best if self.best is not None else event.log_loss)
        best_and_left = "" if self.status else f" ({self._best_and_left()})"
        self.console.print(f"trial {event.trial} {state}{figures}{best_and_left}")

    def _training(self, event: events.TrialProgress) -> None:
        match event.event:
            case StepEnded(member=member, epoch=epoch):
                self.running[event.trial] = f"fold {member.fold}, epoch {epoch + 1}"
            case EpochEnded(member=member, epoch=epoch):
                self.running[event.trial] = f"fold {member.fold}, epoch {epoch}"

    def _line(self) -> Text:
        trials = ", ".join(f"trial {number} ({at})" for number, at in self.running.items())
        line = "; ".join(part for part in (self._best_and_left(), trials or "choosing the next trial") if part)
        return Text(line, no_wrap=True, overflow="ellipsis")

    def _best_and_left(self) -> str:
        best = [] if self.best is None else [f"best log loss {self.best:.5f}"]
        left = [] if self.seconds_left is None else [f"{duration(self.seconds_left)} left"]
        return ", ".join(left + best)
