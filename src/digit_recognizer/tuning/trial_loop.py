"""The trial loop of one command: threads that each run one trial after another. Each trial trains in a separate process."""

import contextlib
import enum
import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from optuna import Study, Trial, TrialPruned
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from digit_recognizer.errors import DiskFullError, UserError, first_line
from digit_recognizer.training.events import Event, OnEvent
from digit_recognizer.training.workers import PROCESS_NAME
from digit_recognizer.tuning import database, trials

MAX_FAILURES = 5  # consecutive failures, after which the study ends because the parameters are not the cause
POLL_INTERVAL = 1.0  # seconds between two checks of the trials of other threads and machines


class Interrupted(BaseException):
    """Raised to end a trial that is resumed later. Not an Exception, so that Optuna doesn't record a failure."""


class Surplus(Exception):  # noqa: N818 (a name like Optuna's TrialPruned)
    """Raised to end a trial that another machine has started too."""


class Next(enum.Enum):
    """The next action of a thread."""

    TRAIN = enum.auto()
    WAIT = enum.auto()  # a trial that runs elsewhere is resumed here if it is interrupted
    STOP = enum.auto()


@dataclass
class TrialLoop:
    """Threads that run trials until a deadline (of `time.monotonic`), Ctrl-C or an error."""

    workers: int
    deadline: float | None
    on_event: OnEvent
    stop: threading.Event = field(default_factory=threading.Event)
    interrupted: bool = False  # by Ctrl-C
    _error: BaseException | None = None
    _failures: int = 0
    _start_lock: threading.Lock = field(default_factory=threading.Lock)
    _event_lock: threading.Lock = field(default_factory=threading.Lock)

    def emit(self, event: Event) -> None:
        """Pass an event to `on_event`, one thread at a time."""
        with self._event_lock:
            self.on_event(event)

    def seconds_left(self) -> float:
        """Return the seconds until the deadline, infinite without one."""
        return float("inf") if self.deadline is None else self.deadline - time.monotonic()

    def run(
        self,
        open_study: Callable[[], Study],
        storage: BaseStorage,
        decide: Callable[[Sequence[FrozenTrial]], Next],
        objective: Callable[[Trial, Sequence[FrozenTrial]], float],
    ) -> None:
        """Run trials until `decide` ends the loop; Ctrl-C, the deadline or an error interrupts running trials.

        Args:
            open_study: called once in each thread.
            objective: takes the trial and all the study's trials when it started; returns its value.

        Raises:
            UserError: too many trials failed one after another, the disk is full, or `decide` or the storage failed.
        """

        def run_guarded() -> None:
            try:
                self._run_trials(open_study(), storage, decide, objective)
            except BaseException as error:
                self._end(error)

        threads = [threading.Thread(target=run_guarded) for _ in range(self.workers)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            try:
                for thread in threads:
                    thread.join(0.1)
                if self.seconds_left() <= 0:
                    self._end()
            except KeyboardInterrupt:
                self.interrupted = True
                self._end()
        if self._error:
            raise self._error

    def is_interruption(self, error: BaseException) -> bool:
        """Return whether the trial didn't cause its error: the loop ends, the connection is lost or the disk is full."""
        causes = Interrupted | DiskFullError | UpdateFinishedTrialError
        return self.stop.is_set() or isinstance(error, causes) or database.is_connection_error(error)

    def _end(self, error: BaseException | None = None) -> None:
        self._error = self._error or error
        self.stop.set()
        for process in multiprocessing.active_children():
            if process.name == PROCESS_NAME:
                process.kill()

    def _run_trials(self, study: Study, storage: BaseStorage, decide: Callable, objective: Callable) -> None:
        while not self.stop.is_set():
            try:
                with contextlib.ExitStack() as starting:
                    starting.enter_context(self._start_lock)  # until the trial exists and counts
                    following = decide(trials.recover(study, storage))
                    if following is Next.STOP:
                        return
                    if following is Next.TRAIN:
                        run_trial = self._guarded(study, storage, objective, starting)
                        study.optimize(run_trial, n_trials=1, catch=(Exception,))
                        continue
                self.stop.wait(POLL_INTERVAL)
            except Interrupted:
                continue
            except Exception as error:
                if database.is_connection_error(error):
                    self.stop.wait(database.RETRY_INTERVAL)
                elif not _ended_elsewhere(error):
                    raise

    def _guarded(
        self, study: Study, storage: BaseStorage, objective: Callable, starting: contextlib.ExitStack
    ) -> Callable[[Trial], float]:
        """Return the objective for Optuna: an interrupted trial is requeued, the reason of a failed one is stored."""

        def run_trial(trial: Trial) -> float:
            known = study.get_trials(deepcopy=False)
            starting.close()
            try:
                value = objective(trial, known)
            except Surplus:
                raise
            except TrialPruned:
                self._failures = 0
                raise
            except BaseException as error:
                if not self.is_interruption(error):
                    self._record_failure(trial, error)
                    raise
                if isinstance(error, DiskFullError):
                    self._end(error)
                try:
                    trials.requeue(study, trial.number, storage)
                except Exception as lost:  # then `trials.recover` requeues it later
                    if not self.is_interruption(lost):
                        raise
                raise Interrupted from error
            self._failures = 0
            return value

        return run_trial

    def _record_failure(self, trial: Trial, error: BaseException) -> None:
        reason = reason_of(error)
        trial.set_user_attr(trials.REASON, reason)
        self._failures += 1
        if self._failures >= MAX_FAILURES:
            self._end(UserError(f"{self._failures} trials failed one after another; the last: {reason}"))


def reason_of(error: BaseException) -> str:
    """Return the reason of a failed trial in one line."""
    return first_line(error) if isinstance(error, UserError) else f"{type(error).__name__}: {first_line(error)}"


def _ended_elsewhere(error: Exception) -> bool:
    """Return whether another machine ended the trial because its heartbeats were missing."""
    chain = database.error_chain(error)
    return any(isinstance(one, UpdateFinishedTrialError) or "Cannot tell a" in str(one) for one in chain)
