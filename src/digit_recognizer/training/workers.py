"""Workers train members: their interface, and those of this machine, which are processes. The package `remote` has others.

Each process trains one member after another. The process that starts them never imports Keras, so that neither its memory nor
a crash of it reaches that process.
"""

import contextlib
import errno
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from digit_recognizer import backend, experiment, files
from digit_recognizer.backend import Gpu
from digit_recognizer.data.dataset import Dataset, load_dataset
from digit_recognizer.data.folds import load_folds
from digit_recognizer.errors import DiskFullError, UserError, first_line, out_of_memory
from digit_recognizer.experiment import Experiment, Pipeline
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.member import Member
from digit_recognizer.runs.records import RunRecord
from digit_recognizer.training.devices import Slot, Slots, make_slots
from digit_recognizer.training.events import Event, MemberFinished, OnEvent
from digit_recognizer.training.members import default_jobs, split_rows
from digit_recognizer.training.processes import die_with_parent, without_interrupts
from digit_recognizer.workspace import Workspace

FEWER_JOBS = "train fewer models in parallel (JOBS=1)"
PROCESS_NAME = "digit-recognizer member"
_starting = threading.Lock()  # the trials of a study start processes in several threads

Length = Callable[[Member], int | None]  # a member's steps per epoch


def own_length(member: Member) -> int | None:
    """Return None: the steps of the member's experiment."""
    return None


@dataclass(frozen=True)
class Job:
    """A pipeline, the workspace with the data, and the folder of the run whose members are trained."""

    pipeline: Pipeline
    workspace: Workspace
    run: RunFolder


@dataclass(frozen=True)
class _JobToLoad:
    """A job as it is sent to another process, which loads the pipeline's file: its functions can't be pickled."""

    file: Path
    sha256: str
    changes: dict[str, Any]
    workspace: Workspace
    run: RunFolder

    @classmethod
    def of(cls, job: Job) -> "_JobToLoad":
        return cls(job.pipeline.file, job.pipeline.sha256, dict(job.pipeline.changes), job.workspace, job.run)

    def load(self) -> Job:
        """Return the job with its pipeline loaded.

        Raises:
            UserError: the file was deleted or edited.
        """
        pipeline = experiment.load(str(self.file), self.workspace, self.changes)
        if pipeline.sha256 != self.sha256:
            raise UserError(
                f"{pipeline.file} was edited during the training: run the same command again to see which settings differ"
            )
        return Job(pipeline, self.workspace, self.run)


class Plan(NamedTuple):
    """How the workers will train: members in parallel, and devices."""

    jobs: int  # members in parallel, as far as known
    where: str  # such as `2 x Tesla T4`
    reports_steps: bool = True  # whether events of members come while they are trained


class Workers(Protocol):
    """What trains members."""

    trains_here: bool  # on this machine

    def plan(self, experiment: Experiment, members: int) -> Plan:
        """Return how so many members will be trained."""

    def train(self, job: Job, members: Sequence[Member], on_event: OnEvent, length: Length = own_length) -> RunRecord | None:
        """Train `members` and leave their files in the job's run; `on_event` is called in this process.

        Args:
            length: called when a member starts, for its steps per epoch.

        Returns:
            A record of the run with the versions and devices of another machine, if that trained it.

        Raises:
            UserError: the training of a member failed; the others keep their checkpoints.
        """


@dataclass(frozen=True)
class LocalWorkers:
    """Processes on this machine, each on one GPU if there are any."""

    jobs: int | None = None  # processes; None: as many as is fastest
    trains_here = True

    def plan(self, experiment: Experiment, members: int) -> Plan:
        return Plan(make_slots(self.jobs, default_jobs(experiment, members)).jobs, backend.device())

    def train(self, job: Job, members: Sequence[Member], on_event: OnEvent, length: Length = own_length) -> None:
        slots = make_slots(self.jobs, default_jobs(job.pipeline.experiment, len(members)))
        train_members(job, members, slots, on_event, length)


@dataclass
class _Worker:
    process: Any
    slot: Slot
    member: Member


def train_members(
    job: Job,
    members: Sequence[Member],
    slots: Slots,
    on_event: OnEvent,
    length: Length = own_length,
) -> None:
    """Train `members` in separate processes, as many in parallel as there are `slots`; see `Workers.train`."""
    waiting = list(members)
    backend.prepare_environment(job.pipeline.experiment.threads)
    workers: dict[connection.Connection, _Worker] = {}

    def assign(pipe: connection.Connection) -> None:
        workers[pipe].member = waiting.pop(0)
        _send(pipe, (workers[pipe].member, length(workers[pipe].member)))

    try:
        while waiting or workers:
            while waiting and (slot := slots.take()):
                pipe, process = _start(job, slots.jobs, slot.gpu)
                workers[pipe] = _Worker(process, slot, waiting[0])
                assign(pipe)
            for pipe in connection.wait(list(workers)):
                worker = workers[pipe]
                event = _receive(pipe, worker.process, worker.member)
                slots.on_event(worker.slot, event)
                on_event(event)
                if not isinstance(event, MemberFinished):
                    continue
                if waiting and slots.keep(worker.slot):
                    assign(pipe)
                else:
                    _send(pipe, None)
                    del workers[pipe]
                    worker.process.join()
    finally:
        for worker in workers.values():
            worker.process.kill()
            worker.process.join()


def _start(job: Job, jobs: int, gpu: Gpu | None) -> tuple[connection.Connection, Any]:
    """Start a process that sees only this GPU and ignores Ctrl-C, after which its parent ends it; return pipe and process."""
    context = get_context("spawn")
    mine, theirs = context.Pipe()
    policy = backend.precision(job.pipeline.experiment.precision)
    process = context.Process(target=_work, args=(theirs, _JobToLoad.of(job), jobs, policy, os.getpid()), name=PROCESS_NAME)
    with without_interrupts(), _visible(gpu):
        process.start()
    theirs.close()
    return mine, process


@contextlib.contextmanager
def _visible(gpu: Gpu | None) -> Iterator[None]:
    """Let processes that are started in the block see only this GPU."""
    if gpu is None:
        yield
        return
    with _starting:
        before = os.environ.get("CUDA_VISIBLE_DEVICES")
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu.uuid
        try:
            yield
        finally:
            del os.environ["CUDA_VISIBLE_DEVICES"]
            os.environ.update({} if before is None else {"CUDA_VISIBLE_DEVICES": before})


def _send(pipe: connection.Connection, assignment: tuple[Member, int | None] | None) -> None:
    with contextlib.suppress(BrokenPipeError):  # the process has ended, which `_receive` reports
        pipe.send(assignment)


@dataclass(frozen=True)
class _Failed:
    """The message of a worker that ends because of an exception."""

    message: str
    disk_full: bool
    traceback: str


def _receive(pipe: connection.Connection, process: Any, member: Member) -> Event:
    try:
        event = pipe.recv()
    except (EOFError, ConnectionResetError):
        process.join()
        raise UserError(f"{member}: {_why_ended(process.exitcode)}; the same command resumes") from None
    if not isinstance(event, _Failed):
        return event
    error = (DiskFullError if event.disk_full else UserError)(f"{member}: {event.message}")
    error.add_note(event.traceback)
    raise error


def _why_ended(exit_code: int) -> str:
    if exit_code == -signal.SIGKILL:
        return f"its process was killed, probably because memory ran out: {FEWER_JOBS}"
    if exit_code < 0:  # so it ends where C++ can't allocate memory
        return f"its process crashed ({signal.Signals(-exit_code).name}), perhaps because memory ran out: {FEWER_JOBS}"
    return f"its process ended with exit status {exit_code}: see log.txt in the run's folder"


def _work(pipe: connection.Connection, job: _JobToLoad, jobs: int, policy: str, parent: int) -> None:
    """Train the members that `pipe` gives, with their steps per epoch, until it gives None."""
    die_with_parent(parent)
    with files.open_to_append(job.run.log) as log:  # libraries print a lot, some of them from C++
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    lock = threading.Lock()

    def send(event: Event | _Failed) -> None:
        with lock:  # Keras may run callbacks in a thread
            pipe.send(event)

    try:
        loaded = job.load()
        experiment = loaded.pipeline.experiment
        backend.configure(experiment.threads, experiment.deterministic)
        loaders = max(1, min(4, (os.cpu_count() or 1) // jobs - experiment.threads))
        dataset, folds = load_dataset(job.workspace), load_folds(job.run.folds)
        train_here(loaded, dataset, folds, iter(pipe.recv, None), send, loaders, policy)
    except Exception as error:
        send(_Failed(_in_one_line(error), _disk_full(error), traceback.format_exc()))


def _disk_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOSPC
    return os.strerror(errno.ENOSPC) in str(error)  # TensorFlow's ResourceExhaustedError when it writes for TensorBoard


def _in_one_line(error: Exception) -> str:
    if _disk_full(error):
        return "the disk is full: free some space, then run the same command again to resume"
    if out_of_memory(error):
        return f"memory ran out: {FEWER_JOBS}, or smaller batches (SET=batch_size=...)"
    return first_line(error) if isinstance(error, UserError) else f"{type(error).__name__}: {first_line(error)}"


def train_here(
    job: Job,
    dataset: Dataset,
    folds: np.ndarray,
    assignments: Iterable[tuple[Member, int | None]],
    on_event: OnEvent,
    loader_workers: int,
    policy: str,
) -> None:
    """Train members in this process, which imports Keras.

    Args:
        folds: int8 (training rows,).
        assignments: each member with its steps per epoch; None: those of its experiment.
        loader_workers: threads or processes that prepare batches.
        policy: Keras's dtype policy, the same for all members of a run.

    Raises:
        UserError: the training of a member failed.
    """
    from digit_recognizer.training.compiled_model import ModelCache
    from digit_recognizer.training.member import Task, train_member

    cache = ModelCache()
    wanted = replace(job.pipeline.experiment, precision=policy)
    for member, steps in assignments:
        split, folder = split_rows(folds, member.fold, wanted.drop_rows), job.run.member(member)
        task = Task(wanted, dataset, split, member, folder, on_event, loader_workers)
        train_member(task if steps is None else task.of_length(steps), cache)
