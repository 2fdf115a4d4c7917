"""The live line of a study: trial, best so far and time left on a terminal; a line a trial there and elsewhere."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.status import Status

from digit_recognizer.formatting import duration, interval

Event = dict[str, Any]


@contextlib.contextmanager
def study_display(console: Console) -> Iterator[Callable[[Event], None]]:
    """Yield what `tune` takes as `on_event`, and show what it hears on the console until the block ends."""
    if not console.is_terminal:
        yield StudyDisplay(console, None).hear
        return
    with console.status("opening the study") as status:
        yield StudyDisplay(console, status).hear


class StudyDisplay:
    """Shows the events of a study."""

    def __init__(self, console: Console, status: Status | None) -> None:
        self.console, self.status = console, status
        self.best: float | None = None
        self.seconds_left: float | None = None
        self.running: dict[int, str] = {}  # what each trial is at

    def hear(self, event: Event) -> None:
        """Show one event; those of a training only change the live line."""
        special = {"study": self._study, "trial": self._trial, "confirmation": self._confirmation, "warning": self._warning}
        special.get(event["event"], self._training)(event)
        if self.status:
            self.status.update(self._line())

    def _study(self, event: Event) -> None:
        wanted = f" of {event['wanted']}" if event["wanted"] else ""
        self.console.print(
            f"study {event['study']}: {event['done']}{wanted} trials done, searching {', '.join(event['parameters'])}"
        )

        self.seconds_left = event["seconds_left"]
        if self.seconds_left:
            self.console.print(f"it ends in {duration(self.seconds_left)}, with the best trials trained again by then")

    def _confirmation(self, event: Event) -> None:
        self.console.print(
            f"the search is over: {event['trainings']} trainings of the best trials and the start, on fresh seeds and folds"
        )

    def _warning(self, event: Event) -> None:
        self.console.print(f"warning: {event['message']}")

    def _trial(self, event: Event) -> None:
        number, status = event["trial"], event["status"]
        self.seconds_left = event["seconds_left"]
        if status in ("began", "confirming"):
            self.running[number] = "starting"
            return
        self.running.pop(number, None)
        facts = f": {event['reason']}" if "reason" in event else ""
        if "value" in event:
            facts = f": log loss {event['value']:.5f}, accuracy {interval(event['accuracy'])}"
        if status == "complete":
            self.best = min(event["value"], self.best if self.best is not None else event["value"])
        self.console.print(f"trial {number} {status}{facts}{'' if self.status else self._best_and_left()}")

    def _training(self, event: Event) -> None:
        if "epoch" in event and "trial" in event:
            self.running[event["trial"]] = f"{event['member']} epoch {event['epoch'] + (event['event'] == 'step')}"

    def _line(self) -> str:
        trials = ", ".join(f"trial {number} ({at})" for number, at in self.running.items())
        return f"{trials or 'between trials'}{self._best_and_left()}"

    def _best_and_left(self) -> str:
        best = "" if self.best is None else f", best log loss here {self.best:.5f}"
        return best if self.seconds_left is None else f"{best}, {duration(self.seconds_left)} left"
