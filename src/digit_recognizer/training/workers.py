"""Members trained in processes of their own, one after another in each, several side by side.

The starting process never imports Keras; a member's memory, and a crash, stay in the process that trains it.
"""

import contextlib
import errno
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any

from digit_recognizer import backend, experiment
from digit_recognizer.errors import DiskFullError, UserError
from digit_recognizer.experiment import Pipeline
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.member import Member
from digit_recognizer.training.events import Event, MemberFinished, OnEvent, ignore
from digit_recognizer.training.processes import die_with_parent
from digit_recognizer.workspace import Workspace

PROCESS_NAME = "digit-recognizer member"
Length = Callable[[Member], int | None]  # a member's steps an epoch


def own_length(member: Member) -> int | None:
    """Leave a member the steps that its experiment has."""
    return None


@dataclass(frozen=True)
class Job:
    """What members of one run are trained from, and the folder that theirs are in."""

    pipeline: Pipeline
    workspace: Workspace
    run: RunFolder

    def __reduce__(self) -> tuple[Any, ...]:
        """Send no loaded pipeline to another process: its functions belong to a file that is no importable module."""
        pipeline = self.pipeline
        return _Unloaded, (pipeline.file, pipeline.sha256, dict(pipeline.changes), self.workspace, self.run)


@dataclass(frozen=True)
class _Unloaded:
    """A job as it reaches a worker."""

    file: Path
    sha256: str
    changes: dict[str, Any]
    workspace: Workspace
    run: RunFolder

    def load(self) -> Job:
        """Return the job with its pipeline loaded.

        Raises:
            UserError: the file is gone, or it was edited.
        """
        pipeline = experiment.load(str(self.file), self.workspace, self.changes)
        if pipeline.sha256 != self.sha256:
            raise UserError(
                f"{pipeline.file} was edited during the training: run the same command again to see which settings differ"
            )
        return Job(pipeline, self.workspace, self.run)


def train_members(
    job: Job,
    members: Sequence[Member],
    jobs: int,
    on_event: OnEvent,
    length: Length = own_length,
) -> None:
    """Train `members` in processes of their own, `jobs` at a time; `on_event` is called in this process.

    `length` is called when a member starts.

    Raises:
        UserError: a member's training failed; those running beside it keep their last epoch.
    """
    waiting = list(members)
    backend.prepare_environment(job.pipeline.experiment.threads)
    context = get_context("spawn")
    workers: dict[connection.Connection, tuple[Any, Member]] = {}
    try:
        for _ in range(min(jobs, len(waiting))):
            mine, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, job, jobs, os.getpid()), name=PROCESS_NAME)
            _start(process)
            theirs.close()
            workers[mine] = (process, waiting.pop(0))
            _send(mine, workers[mine][1], length)
        while workers:
            for pipe in connection.wait(list(workers)):
                process, member = workers[pipe]
                event = _receive(pipe, process, member)
                on_event(event)
                if isinstance(event, MemberFinished):
                    following = waiting.pop(0) if waiting else None
                    _send(pipe, following, length)
                    if following is None:
                        del workers[pipe]
                        process.join()
                    else:
                        workers[pipe] = (process, following)
    finally:
        for process, _ in workers.values():
            process.kill()
            process.join()


def _start(process: Any) -> None:
    """Start a process that hears no Ctrl-C: its parent does, and ends it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _send(pipe: connection.Connection, member: Member | None, length: Length) -> None:
    order = member and (member, length(member))
    with contextlib.suppress(BrokenPipeError):  # the process has ended already, which `_receive` finds
        pipe.send(order)


@dataclass(frozen=True)
class _Failed:
    """What a worker sends before it ends because of an exception."""

    message: str
    disk_full: bool
    traceback: str


def _receive(pipe: connection.Connection, process: Any, member: Member) -> Event:
    try:
        event = pipe.recv()
    except (EOFError, ConnectionResetError):
        process.join()
        why = "killed, perhaps for want of memory" if process.exitcode == -signal.SIGKILL else f"exit status {process.exitcode}"
        raise UserError(f"{member}: its process ended ({why}); the same command goes on from its last epoch") from None
    if not isinstance(event, _Failed):
        return event
    error = (DiskFullError if event.disk_full else UserError)(f"{member}: {event.message}")
    error.add_note(event.traceback)
    raise error


def _work(pipe: connection.Connection, job: _Unloaded, jobs: int, parent: int) -> None:
    """Train each member that comes through `pipe`, with its length, until None does."""
    die_with_parent(parent)
    with job.run.log.open("a") as log:  # libraries talk a lot, some of them past Python
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    lock = threading.Lock()

    def send(event: Event | _Failed) -> None:
        with lock:  # callbacks may run in a thread of Keras's
            pipe.send(event)

    try:
        _train_all(job.load(), iter(pipe.recv, None), jobs, send)
    except Exception as error:
        send(_Failed(_in_one_line(error), _disk_full(error), traceback.format_exc()))


def _disk_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno == errno.ENOSPC


def _in_one_line(error: Exception) -> str:
    if _disk_full(error):
        return "the disk is full: free some space; the same command goes on from the last epoch"
    message = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return message.strip().partition("\n")[0]


def _train_all(job: Job, assignments: Iterable[tuple[Member, int | None]], jobs: int, on_event: OnEvent) -> None:
    """Configure the backend, then train the members."""
    threads = job.pipeline.experiment.threads
    backend.configure(threads, job.pipeline.experiment.deterministic)
    train_here(job, assignments, on_event, max(1, min(4, (os.cpu_count() or 1) // jobs - threads)))


def train_here(
    job: Job, assignments: Iterable[tuple[Member, int | None]], on_event: OnEvent = ignore, loader_workers: int = 1
) -> None:
    """Train members in this process, which imports Keras.

    Args:
        assignments: each member with its steps per epoch; None: those of its experiment.
        loader_workers: threads or processes that prepare batches.

    Raises:
        UserError: a training failed.
    """
    from digit_recognizer.data.dataset import load_dataset
    from digit_recognizer.data.folds import load_folds
    from digit_recognizer.training.member import Task, train_member
    from digit_recognizer.training.members import split_rows

    dataset, folds = load_dataset(job.workspace), load_folds(job.run.folds)
    for member, steps in assignments:
        split, folder = split_rows(folds, member.fold), job.run.member(member)
        task = Task(job.pipeline.experiment, dataset, split, member, folder, on_event, loader_workers)
        train_member(task if steps is None else task.of_length(steps))
