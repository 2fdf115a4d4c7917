"""One command's share of a study: threads that each run one trial after another until there is none left or time is up.

The threads only wait: each trial trains in a process of its own.
"""

import contextlib
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna import Study, Trial, TrialPruned
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from digit_recognizer.errors import DiskFullError, UserError
from digit_recognizer.training.events import Event, OnEvent, Warned
from digit_recognizer.tuning import storage, trials

FAILURES_IN_A_ROW = 5  # then something is wrong with more than the parameters


class Interrupted(Exception):  # noqa: N818 (a name like Optuna's TrialPruned)
    """The trial is given up for now; the next command continues it."""


@dataclass
class Session:
    """Workers, deadline (of `time.monotonic`) and what ends them early."""

    workers: int
    deadline: float | None
    on_event: OnEvent
    stop: threading.Event = field(default_factory=threading.Event)
    interrupted: bool = False  # by Ctrl-C
    _error: BaseException | None = None
    _failures: int = 0
    _asking: threading.Lock = field(default_factory=threading.Lock)
    _telling: threading.Lock = field(default_factory=threading.Lock)

    def emit(self, event: Event) -> None:
        """Pass an event on, one at a time."""
        with self._telling:
            self.on_event(event)

    def warn(self, message: str) -> None:
        self.emit(Warned(message))

    def time_left(self) -> float:
        """Return the seconds until the deadline, infinite without one."""
        return float("inf") if self.deadline is None else self.deadline - time.monotonic()

    def run(
        self,
        open_study: Callable[[], Study],
        wanted: Callable[[Sequence[FrozenTrial]], bool],
        in_time: Callable[[Sequence[FrozenTrial]], bool],
        objective: Callable[[Trial, Sequence[FrozenTrial]], float],
    ) -> None:
        """Run trials while another is `wanted` and would be `in_time`; Ctrl-C, the deadline or an error ends those that run.

        `objective(trial, others)` returns the trial's value; others are all the study's trials when it was begun.
        """
        arguments = open_study, wanted, in_time, objective
        threads = [threading.Thread(target=self._guarded, args=arguments) for _ in range(self.workers)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            try:
                for thread in threads:
                    thread.join(0.1)
                if self.time_left() <= 0:
                    self._end()
            except KeyboardInterrupt:
                self.interrupted = True
                self._end()
        if self._error:
            raise self._error

    def check(self) -> None:
        """Raise Interrupted if the session is over; called at every event of a training."""
        if self.stop.is_set():
            raise Interrupted

    def ended(self, error: Exception) -> bool:
        """Whether a trial's error says nothing of the trial: the session is over, the server away or the disk full."""
        return self.stop.is_set() or isinstance(error, Interrupted | DiskFullError) or storage.gone(error)

    def _end(self) -> None:
        self.stop.set()
        for process in multiprocessing.active_children():
            if process.name == "digit-recognizer member":
                process.kill()

    def _guarded(self, *arguments: Any) -> None:
        try:
            self._work(*arguments)
        except BaseException as error:
            self._error = self._error or error
            self._end()

    def _work(self, open_study: Callable, wanted: Callable, in_time: Callable, objective: Callable) -> None:
        study = open_study()
        while not self.stop.is_set():
            try:
                with contextlib.ExitStack() as asking:
                    asking.enter_context(self._asking)
                    others = trials.tidy(study)
                    if not in_time(others):
                        return
                    if wanted(others):
                        study.optimize(self._trial(study, objective, asking), n_trials=1, catch=(Exception,))
                        continue
                if not any(trial.state == TrialState.RUNNING for trial in others):
                    return
                self.stop.wait(1)  # another thread or machine may leave its trial to this one
            except Exception as error:
                if storage.gone(error):
                    self.stop.wait(storage.RETRY)
                elif not _taken_over(error):
                    raise

    def _trial(self, study: Study, objective: Callable, asking: contextlib.ExitStack) -> Callable[[Trial], float]:
        def run(trial: Trial) -> float:
            others = study.get_trials(deepcopy=False)
            asking.close()
            trial.set_user_attr(trials.OWNER, f"{socket.gethostname()}:{os.getpid()}")
            try:
                value = objective(trial, others)
            except (Interrupted, UpdateFinishedTrialError):
                raise
            except TrialPruned:
                self._failures = 0
                raise
            except Exception as error:
                if isinstance(error, DiskFullError):
                    self._error = self._error or error
                    self._end()
                if self.ended(error):
                    raise Interrupted from error
                self._failed(trial, error)
                raise
            self._failures = 0
            return value

        return run

    def _failed(self, trial: Trial, error: Exception) -> None:
        reason = reason_of(error)
        trial.set_user_attr(trials.REASON, reason)
        self._failures += 1
        if self._failures >= FAILURES_IN_A_ROW:
            self._error = UserError(f"{self._failures} trials failed one after another; the last: {reason}")
            self._end()


def reason_of(error: Exception) -> str:
    """Return in one line why a trial failed."""
    said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return said.partition("\n")[0]


def _taken_over(error: Exception) -> bool:
    """Whether another machine ended the trial meanwhile, having had no sign of life of it."""
    return any(isinstance(one, UpdateFinishedTrialError) or "Cannot tell a" in str(one) for one in storage.causes(error))
