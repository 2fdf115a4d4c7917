"""Training members as tasks of a Ray cluster. The only module that imports Ray.

The data is sent once to each node. After each epoch a task sends the changed files of its member's folder, so that at most one
epoch is lost with a node. The folder of a finished member is the same as after training on this machine.
"""

import contextlib
import io
import os
import queue
import shutil
import socket
import tempfile
import threading
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from digit_recognizer import backend, experiment, files
from digit_recognizer.data.dataset import Dataset, load_dataset
from digit_recognizer.data.folds import load_folds
from digit_recognizer.errors import UserError, first_line
from digit_recognizer.experiment import Experiment
from digit_recognizer.remote.wheel import build_wheel, own_pipelines
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.member import Member
from digit_recognizer.runs.records import RunRecord, describe
from digit_recognizer.training.events import EpochEnded, Event, MemberFinished, OnEvent, Warned
from digit_recognizer.training.workers import Job, Length, Plan, own_length, train_here
from digit_recognizer.workspace import Workspace, git_commit

ON_HEAD = {"node:__internal_head__": 0.001}  # the cluster's head node
SECONDS_TO_CONNECT = 10.0
LOSSES = 3  # lost nodes in a row, without an epoch in between, after which a member's training fails
_connecting = threading.Lock()  # the trials of a study train in several threads
Contents = dict[str, bytes]  # by path relative to the member's folder


@dataclass(frozen=True)
class RayWorkers:
    """Trains members on a Ray cluster: the one at `address`, else the one of this machine, else a new one on this machine.

    Each member has a GPU, or one CPU core per thread if the cluster has no GPU. With `jobs`, that many members train in
    parallel and share GPUs if there are fewer.
    """

    address: str | None = None
    jobs: int | None = None
    trains_here = False

    def plan(self, experiment: Experiment, members: int) -> Plan:
        cluster = _Cluster.of(_connect(self.address))
        return Plan(self.jobs or cluster.members(experiment.threads), str(cluster))

    def train(self, job: Job, members: Sequence[Member], on_event: OnEvent, length: Length = own_length) -> RunRecord:
        """Train members; see `Workers.train`.

        Raises:
            UserError: the cluster can't be reached, a training failed, or its nodes were lost repeatedly.
        """
        ray = _connect(self.address)
        options = _options(_Cluster.of(ray), job.pipeline.experiment.threads, self.jobs)
        shared = ray.put(_Shared.of(job))
        record: RunRecord = ray.get(ray.remote(**options)(_describe).remote(shared))
        task = ray.remote(max_retries=0, max_calls=1, **options)(_train)
        mailbox = ray.remote(num_cpus=0, resources=ON_HEAD, max_concurrency=1000)(_Mailbox).remote()

        def start(member: Member, attempt: int, given: Contents) -> Any:
            return task.remote(mailbox, shared, member, attempt, length(member), record.precision, given)

        _Tasks(ray, mailbox, job, on_event, start).run(members, self.jobs or len(members))
        return replace(record, git_commit=git_commit())


class _Cluster(NamedTuple):
    """The resources of a cluster."""

    nodes: int
    cores: float
    gpus: float

    @classmethod
    def of(cls, ray: Any) -> "_Cluster":
        resources = ray.cluster_resources()
        return cls(len([node for node in ray.nodes() if node["Alive"]]), resources.get("CPU", 0.0), resources.get("GPU", 0.0))

    def __str__(self) -> str:
        gpus = f", {self.gpus:.0f} GPU{'s' if self.gpus > 1 else ''}" if self.gpus else ""
        return f"a Ray cluster of {self.nodes} node{'s' if self.nodes > 1 else ''}, {self.cores:.0f} cores{gpus}"

    def members(self, threads: int) -> int:
        """Return how many members it trains in parallel."""
        return max(1, int(self.gpus or self.cores // threads))


def _options(cluster: _Cluster, threads: int, jobs: int | None) -> dict[str, Any]:
    """Return the resources of a member and the environment of its process."""
    needed = {"num_cpus": threads}
    if cluster.gpus:
        needed = {"num_cpus": 1, "num_gpus": min(1.0, cluster.gpus / jobs) if jobs else 1.0}
    return {**needed, "runtime_env": {"env_vars": backend.environment_variables(threads)}}


def _check_port(address: str) -> None:
    """Connect to the port of `ray://host:port` or `host:port` once, since Ray tries for a quarter of an hour.

    Raises:
        UserError: the address has no port, or nothing listens there.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        raise UserError(f"the address of the Ray cluster, {address}, has no port: ON=ray://host:10001")
    try:
        socket.create_connection((host, int(port)), timeout=SECONDS_TO_CONNECT).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"the Ray cluster {address} can't be reached: {first_line(error)}") from error


def _connect(address: str | None) -> Any:
    """Return the module ray, connected to a cluster whose processes import this version of the package.

    Raises:
        UserError: Ray is not installed, or the cluster can't be reached.
    """
    try:
        import ray
    except ImportError:
        raise UserError("ON=ray needs Ray: pip install -r requirements-ray.txt") from None
    with _connecting, tempfile.TemporaryDirectory(prefix="digit-recognizer-") as folder:
        if ray.is_initialized():
            return ray
        if address:
            _check_port(address)
        zipfile.ZipFile(io.BytesIO(build_wheel()[1])).extractall(folder)
        package = {"py_modules": [f"{folder}/digit_recognizer"]}
        for attempts_left in (2, 1, 0):
            try:
                ray.init(address, runtime_env=package, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
                break
            except (ConnectionError, RuntimeError, ValueError) as error:
                if attempts_left and isinstance(error, ConnectionAbortedError):  # the cluster failed to start a server for us
                    continue
                raise UserError(f"the Ray cluster {address or ''} can't be reached: {first_line(error)}") from error
        return ray


@dataclass(frozen=True)
class _Shared:
    """The inputs that all members of a run share; Ray keeps one copy per node."""

    dataset: Dataset
    folds: Any  # int8 (n,)
    pipeline: str
    sha256: str
    changes: dict[str, Any]
    pipelines: Contents

    @classmethod
    def of(cls, job: Job) -> "_Shared":
        pipeline = job.pipeline
        return cls(
            dataset=load_dataset(job.workspace),
            folds=load_folds(job.run.folds),
            pipeline=pipeline.name,
            sha256=pipeline.sha256,
            changes=dict(pipeline.changes),
            pipelines=own_pipelines([pipeline], job.workspace),
        )

    def job(self, folder: Path) -> Job:
        """Return the job in a folder of this machine.

        Raises:
            UserError: the pipeline's file has changed.
        """
        workspace = Workspace(folder)
        _write(folder / "pipelines", self.pipelines)
        os.chdir(folder)  # where a pipeline looks for others that it loads
        pipeline = experiment.load(self.pipeline, workspace, self.changes)
        if pipeline.sha256 != self.sha256:
            raise UserError(f"pipeline {self.pipeline} was edited during the training: run the same command again")
        return Job(pipeline, workspace, RunFolder.of(workspace, "run"))


class _Message(NamedTuple):
    """A message of a task: an event, and the files that were written since the last message."""

    member: Member
    attempt: int
    event: Event
    contents: Contents


class _Mailbox:
    """An actor of the cluster through which tasks send messages. (Ray's generators don't work through ray://.)"""

    def __init__(self) -> None:
        self.messages: queue.SimpleQueue[_Message] = queue.SimpleQueue()

    def put(self, message: _Message) -> None:
        self.messages.put(message)

    def take(self, seconds: float) -> list[_Message]:
        """Return all messages, after waiting up to `seconds` for the first one."""
        found = []
        with contextlib.suppress(queue.Empty):
            found.append(self.messages.get(timeout=seconds))
            while True:
                found.append(self.messages.get_nowait())
        return found


class _Tasks:
    """Runs the tasks of members, receives their messages, and restarts them if a node is lost."""

    def __init__(self, ray: Any, mailbox: Any, job: Job, on_event: OnEvent, start: Any) -> None:
        self.ray, self.mailbox, self.job, self.on_event, self.start = ray, mailbox, job, on_event, start
        self.running: dict[Any, Member] = {}
        self.attempts: dict[Member, int] = {}
        self.losses: dict[Member, int] = {}  # since the last epoch

    def run(self, members: Sequence[Member], jobs: int) -> None:
        waiting = list(members)
        try:
            while waiting or self.running:
                while waiting and len(self.running) < jobs:
                    self._begin(waiting.pop(0))
                ended = self.ray.wait(list(self.running), timeout=0)[0]  # before their last messages are taken
                for message in self.ray.get(self.mailbox.take.remote(0.0 if ended else 0.5)):
                    self._take(message)
                for task in ended:
                    self._end(task)
        finally:
            for task in self.running:
                with contextlib.suppress(Exception):  # the node may be gone
                    self.ray.cancel(task, force=True)

    def _begin(self, member: Member) -> None:
        self.attempts[member] = self.attempts.get(member, 0) + 1
        given = _read(self.job.run.member(member).path, {})
        self.running[self.start(member, self.attempts[member], given)] = member

    def _end(self, task: Any) -> None:
        member = self.running.pop(task)
        try:
            self.ray.get(task)
        except self.ray.exceptions.RayTaskError as error:
            raise _failure(member, error) from error
        except self.ray.exceptions.RayError as error:
            self._lost(member, error)

    def _lost(self, member: Member, error: Exception) -> None:
        self.losses[member] = losses = self.losses.get(member, 0) + 1
        if losses > LOSSES:
            raise UserError(f"{member}: its node was lost {losses} times ({first_line(error)}): run the same command again")
        self.on_event(Warned(f"{member}: its node was lost; it resumes on another from its last epoch"))
        self._begin(member)

    def _take(self, message: _Message) -> None:
        member = message.member
        if message.attempt != self.attempts[member]:
            return
        folder = self.job.run.member(member)
        _write(folder.path, message.contents)
        if isinstance(message.event, EpochEnded):
            self.losses[member] = 0
        elif isinstance(message.event, MemberFinished):
            folder.checkpoint.unlink(missing_ok=True)
        self.on_event(message.event)


def _failure(member: Member, error: Any) -> UserError:
    kind = "" if isinstance(error.cause, UserError) else f"{type(error.cause).__name__}: "
    return UserError(f"{member}: {kind}{first_line(error.cause)}")


def _read(folder: Path, known: dict[str, tuple[int, int]]) -> Contents:
    """Return the files of a folder that changed since `known`, and update `known`; metrics.json is the last one."""
    contents = {}
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    for path in sorted(paths, key=lambda path: (path.name == "metrics.json", path)):
        stat, name = path.stat(), path.relative_to(folder).as_posix()
        if known.get(name) != (stat.st_mtime_ns, stat.st_size):
            known[name] = (stat.st_mtime_ns, stat.st_size)
            contents[name] = path.read_bytes()
    return contents


def _write(folder: Path, contents: Contents) -> None:
    for name, content in contents.items():
        with files.atomic(folder / name) as path:
            path.write_bytes(content)


# What follows runs on the nodes.


def _describe(shared: _Shared) -> RunRecord:
    """Return the run's record with the versions and devices of this node."""
    with tempfile.TemporaryDirectory(prefix="digit-recognizer-") as folder:
        return describe(shared.job(Path(folder)).pipeline, shared.dataset, "")


def _train(
    mailbox: Any, shared: _Shared, member: Member, attempt: int, steps: int | None, policy: str, given: Contents
) -> None:
    """Train or resume one member from the files `given`; send its events and the files that it wrote to the mailbox."""
    import ray

    folder = Path(tempfile.mkdtemp(prefix="digit-recognizer-"))
    try:
        job = shared.job(folder)
        member_folder = job.run.member(member).path
        _write(member_folder, given)
        known: dict[str, tuple[int, int]] = {}
        _read(member_folder, known)

        def send(event: Event) -> None:
            contents = _read(member_folder, known) if isinstance(event, EpochEnded | MemberFinished) else {}
            ray.get(mailbox.put.remote(_Message(member, attempt, event, contents)))

        threads = job.pipeline.experiment.threads
        backend.configure(threads, job.pipeline.experiment.deterministic)
        train_here(job, shared.dataset, shared.folds, [(member, steps)], send, 1, policy)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
