"""Members trained in processes of their own, one after another in each, several side by side.

The starting process never imports Keras; a member's memory, and a crash, stay in the process that trains it.
"""

import contextlib
import errno
import os
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any

from digit_recognizer import backend
from digit_recognizer.errors import DiskFullError, UserError
from digit_recognizer.training.events import Event, MemberFinished, OnEvent
from digit_recognizer.training.members import Member
from digit_recognizer.training.processes import die_with_parent
from digit_recognizer.workspace import Workspace

Length = Callable[[Member], int | None]  # a member's steps an epoch


def own_length(member: Member) -> int | None:
    """Leave a member the steps that its experiment has."""
    return None


@dataclass(frozen=True)
class Job:
    """What a worker needs to train members of one run."""

    pipeline: Path
    sha256: str  # of that file
    changes: dict[str, Any]
    workspace: Workspace
    run: Path


def train_members(
    job: Job,
    members: Sequence[Member],
    threads: int,
    jobs: int,
    on_event: OnEvent,
    length: Length = own_length,
) -> None:
    """Train `members`, `jobs` at a time, each with `threads` CPU threads; `on_event` is called in this process.

    `length` is asked when a member begins.

    Raises:
        UserError: a member's training failed; those running beside it keep their last epoch.
    """
    waiting = list(members)
    backend.prepare_environment(threads)
    context = get_context("spawn")
    workers: dict[connection.Connection, tuple[Any, Member]] = {}
    try:
        for _ in range(min(jobs, len(waiting))):
            mine, theirs = context.Pipe()
            process = context.Process(
                target=_work, args=(theirs, job, threads, jobs, os.getpid()), name="digit-recognizer member"
            )
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


def _work(pipe: connection.Connection, job: Job, threads: int, jobs: int, parent: int) -> None:
    """Train each member that comes through `pipe`, with its length, until None does."""
    die_with_parent(parent)
    with (job.run / "log.txt").open("a") as log:  # libraries talk a lot, some of them past Python
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    lock = threading.Lock()

    def send(event: Event | _Failed) -> None:
        with lock:  # callbacks may run in a thread of Keras's
            pipe.send(event)

    try:
        _train_each(pipe, send, job, threads, jobs)
    except Exception as error:
        send(_Failed(_in_one_line(error), _disk_full(error), traceback.format_exc()))


def _disk_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno == errno.ENOSPC


def _in_one_line(error: Exception) -> str:
    if _disk_full(error):
        return "the disk is full: free some space; the same command goes on from the last epoch"
    message = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return message.strip().partition("\n")[0]


def _train_each(pipe: connection.Connection, send: Callable, job: Job, threads: int, jobs: int) -> None:
    from digit_recognizer import experiment
    from digit_recognizer.data.dataset import load_dataset
    from digit_recognizer.data.folds import load_folds

    pipeline = experiment.load(str(job.pipeline), job.workspace, job.changes)
    if pipeline.sha256 != job.sha256:
        raise UserError(f"{pipeline.file} was edited while it was training: run the command again, which says what differs")
    loaded = pipeline.experiment
    dataset = load_dataset(job.workspace)
    folds = load_folds(job.run / "folds.csv")
    backend.configure(threads, loaded.deterministic)
    from digit_recognizer.training import teacher
    from digit_recognizer.training.member import Task, train_member
    from digit_recognizer.training.members import split_rows

    augmenting = max(1, min(4, (os.cpu_count() or 1) // jobs - threads))
    while order := pipe.recv():
        member, steps = order
        split, folder = split_rows(folds, member.fold), job.run / member.folder
        taught = teacher.soft_labels(job.workspace.run(loaded.teacher), member.fold) if loaded.teacher else None
        task = Task(loaded, dataset, split, member, folder, send, augmenting, taught)
        train_member(task if steps is None else task.of_length(steps))
