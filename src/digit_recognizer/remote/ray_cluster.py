"""Members trained as tasks of a Ray cluster. The only module that knows Ray.

The data travels once to each node. After each epoch a task sends what changed in its member's folder, so that a lost node costs
at most the epoch that it was in. When a member is finished its folder here is as if it had been trained here.
"""

import contextlib
import io
import os
import queue
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from digit_recognizer import backend, experiment, files
from digit_recognizer.data.dataset import Dataset, load_dataset
from digit_recognizer.data.folds import load_folds
from digit_recognizer.errors import UserError, first_line
from digit_recognizer.experiment import Experiment
from digit_recognizer.remote.pipeline_files import own_pipelines
from digit_recognizer.remote.wheel import build_wheel
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.member import Member
from digit_recognizer.runs.records import RunRecord, describe
from digit_recognizer.training.events import EpochEnded, Event, MemberFinished, OnEvent, Warned
from digit_recognizer.training.workers import Job, Length, Plan, own_length, train_with
from digit_recognizer.workspace import Workspace, git_commit

LOSSES = 3  # of nodes, without an epoch between them, after which a member's training ends
_connecting = threading.Lock()  # the trials of a study train in several threads
Contents = dict[str, bytes]  # by path relative to the member's folder


@dataclass(frozen=True)
class RayWorkers:
    """Trains members on a Ray cluster: that at `address`, else the one that this machine belongs to, else this machine alone.

    Each member has a GPU of its own, or a CPU core for each of its threads where the cluster has no GPU. With `jobs` that many
    members train in parallel, and share GPUs where these are fewer.
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
            UserError: no such cluster, a training failed, or its nodes were lost again and again.
        """
        ray = _connect(self.address)
        options = _options(_Cluster.of(ray), job.pipeline.experiment.threads, self.jobs)
        shared = ray.put(_Shared.of(job))
        record: RunRecord = ray.get(ray.remote(**options)(_describe).remote(shared))
        task = ray.remote(num_returns="streaming", max_retries=0, max_calls=1, **options)(_train)

        def start(member: Member, given: Contents) -> Any:
            return task.remote(shared, member, length(member), record.precision, given)

        _Tasks(ray, job, on_event, start).run(members, self.jobs or len(members))
        return replace(record, git_commit=git_commit())


class _Cluster(NamedTuple):
    """What a cluster has."""

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


def _connect(address: str | None) -> Any:
    """Return the module ray, connected to a cluster whose processes import this package as it is here.

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
        zipfile.ZipFile(io.BytesIO(build_wheel()[1])).extractall(folder)
        package = {"py_modules": [f"{folder}/digit_recognizer"]}
        try:
            ray.init(address, runtime_env=package, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise UserError(f"the Ray cluster {address or ''} can't be reached: {first_line(error)}") from error
        return ray


@dataclass(frozen=True)
class _Shared:
    """What all members of a run are trained from; Ray keeps one copy on each node."""

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
            UserError: the pipeline's file differs.
        """
        workspace = Workspace(folder)
        _write(folder / "pipelines", self.pipelines)
        os.chdir(folder)  # where a pipeline looks for others that it builds on
        pipeline = experiment.load(self.pipeline, workspace, self.changes)
        if pipeline.sha256 != self.sha256:
            raise UserError(f"pipeline {self.pipeline} was edited during the training: run the same command again")
        return Job(pipeline, workspace, RunFolder.of(workspace, "run"))


class _Message(NamedTuple):
    """What a task sends: an event, and the files that were written since the last one."""

    event: Event
    contents: Contents


class _Tasks:
    """The tasks of some members: started, listened to, and started again where a node is lost."""

    def __init__(self, ray: Any, job: Job, on_event: OnEvent, start: Any) -> None:
        self.ray, self.job, self.on_event, self.start = ray, job, on_event, start
        self.running: dict[Any, Member] = {}
        self.losses: dict[Member, int] = {}

    def run(self, members: Sequence[Member], jobs: int) -> None:
        waiting = list(members)
        try:
            while waiting or self.running:
                while waiting and len(self.running) < jobs:
                    self._begin(waiting.pop(0))
                for task in self.ray.wait(list(self.running), num_returns=1)[0]:
                    self._receive(task)
        finally:
            for task in self.running:
                with contextlib.suppress(Exception):  # the node may be gone
                    self.ray.cancel(task, force=True)

    def _begin(self, member: Member) -> None:
        self.running[self.start(member, _read(self.job.run.member(member).path, {}))] = member

    def _receive(self, task: Any) -> None:
        member = self.running[task]
        try:
            message: _Message = self.ray.get(next(task))
        except StopIteration:
            del self.running[task]
        except self.ray.exceptions.RayTaskError as error:
            raise _failure(member, error) from error
        except self.ray.exceptions.RayError as error:
            del self.running[task]
            self._lost(member, error)
        else:
            self._take(member, message)

    def _lost(self, member: Member, error: Exception) -> None:
        self.losses[member] = losses = self.losses.get(member, 0) + 1
        if losses > LOSSES:
            raise UserError(f"{member}: its node was lost {losses} times ({first_line(error)}): run the same command again")
        self.on_event(Warned(f"{member}: its node was lost; it resumes on another from its last epoch"))
        self._begin(member)

    def _take(self, member: Member, message: _Message) -> None:
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
    """Return the files of a folder that changed since `known`, which is brought up to date; metrics.json comes last."""
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
    """Return the run's record with the versions and devices of the node that this runs on."""
    with tempfile.TemporaryDirectory(prefix="digit-recognizer-") as folder:
        return describe(shared.job(Path(folder)).pipeline, shared.dataset, "")


def _train(shared: _Shared, member: Member, steps: int | None, policy: str, given: Contents) -> Iterator[_Message]:
    """Train or resume one member from the files `given`, and yield its events with what it wrote."""
    folder = Path(tempfile.mkdtemp(prefix="digit-recognizer-"))
    messages: queue.SimpleQueue[_Message | BaseException | None] = queue.SimpleQueue()
    try:
        job = shared.job(folder)
        member_folder = job.run.member(member).path
        _write(member_folder, given)
        known: dict[str, tuple[int, int]] = {}
        _read(member_folder, known)

        def send(event: Event) -> None:
            complete = isinstance(event, EpochEnded | MemberFinished)
            messages.put(_Message(event, _read(member_folder, known) if complete else {}))

        def train() -> None:
            try:
                threads = job.pipeline.experiment.threads
                backend.configure(threads, job.pipeline.experiment.deterministic)
                train_with(job, shared.dataset, shared.folds, [(member, steps)], send, 1, policy)
                messages.put(None)
            except BaseException as error:
                messages.put(error)

        threading.Thread(target=train, daemon=True).start()
        while (message := messages.get()) is not None:
            if isinstance(message, BaseException):
                raise message
            yield message
    finally:
        shutil.rmtree(folder, ignore_errors=True)
