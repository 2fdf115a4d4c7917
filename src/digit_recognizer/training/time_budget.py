"""Time budget: choose epochs and seeds for a given training time from steps that are timed on this machine.

The speed of a shared machine changes by a tenth within an hour, so each member gets its number of steps when it starts, from
the time that is left then.
"""

import contextlib
import dataclasses
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from digit_recognizer import backend, files, metrics
from digit_recognizer.data.dataset import Dataset, load_dataset
from digit_recognizer.data.folds import save_folds, stratified_folds
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Experiment, Pipeline, override
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.training import workers
from digit_recognizer.training.cross_validation import Request
from digit_recognizer.training.devices import MeasuredSlots, Slots, make_slots
from digit_recognizer.training.events import EpochEnded, Event, MemberFinished, OnEvent, SpeedMeasured, StepEnded
from digit_recognizer.training.members import Member, choose_members, full_speed_jobs, split_rows, steps_per_epoch
from digit_recognizer.workspace import Workspace

# The first epoch of a probe traces and compiles; the second is not validated, the last is.
PROBE = {"epochs": 3, "steps_per_epoch": 40, "validate_every": 2, "checkpoint": None}
ENDLESS = {"epochs": 1000, "steps_per_epoch": 1000, "validate_every": 1000, "checkpoint": None}
MAX_STRETCH = 2.0  # a member gets at most this many times its planned steps, and at least the inverse
MIN_FACTOR = 0.4  # of a pipeline's own epochs: with fewer its schedule makes no sense
CERTAIN = 0.7  # fraction of the time predicted from the first timed steps that is surely needed


@dataclass(frozen=True)
class Pace:
    """What training one member takes, in seconds, in parallel with as many others as when it was timed."""

    step: float
    validation: float
    rest: float  # starting, compiling, drawing, predicting

    def fixed(self, experiment: Experiment) -> float:
        """Return the part of a member's time that doesn't depend on its steps, in seconds."""
        return self.rest + math.ceil(experiment.epochs / experiment.validate_every) * self.validation


@dataclass(frozen=True)
class Probe:
    """A request and how fast its members train: those of full rounds, and the fewer ones of the last round."""

    request: Request
    steps: int  # of a pass over the training rows of a member
    full_round: Pace
    last_round: Pace

    def scaled(self, factor: float) -> dict[str, Any]:
        """Return the settings of a training that is `factor` times as long, with more seeds rather than more epochs."""
        experiment = self.request.pipeline.experiment
        own = len(experiment.seeds)
        count = max(1, round(factor * own))
        passes = factor * own * experiment.epochs / count
        epochs = max(1, round(passes))
        return {
            "seeds": _seeds(experiment, count),
            "epochs": epochs,
            "steps_per_epoch": max(1, round(passes * self.steps / epochs)),  # whole epochs alone would be too coarse
        }

    def seconds(self, changes: Mapping[str, Any]) -> float:
        """Return the training time with these settings, in seconds."""
        experiment = override(self.request.pipeline.experiment, changes)
        fixed, per_step = self.costs(experiment)
        return fixed + steps_per_epoch(experiment, 0) * per_step

    def costs(self, experiment: Experiment, begun: int = 0) -> tuple[float, float]:
        """Return the seconds that the rounds from the `begun`-th member on take: fixed ones, and those per step of an epoch."""
        jobs, members = self.request.jobs, len(choose_members(experiment, self.request.folds, self.request.full))
        full, last = members // jobs - begun // jobs, int(members % jobs > 0)
        fixed = full * self.full_round.fixed(experiment) + last * self.last_round.fixed(experiment)
        return fixed, experiment.epochs * (full * self.full_round.step + last * self.last_round.step)


@dataclass(frozen=True)
class FittedTraining:
    """Requests changed so that their trainings together take a given time."""

    requests: list[Request]
    factor: float  # their length as a multiple of the pipelines' own epochs and seeds
    seconds: float  # expected, from the beginning of the first command
    resumed: bool = False  # an earlier call of the same command chose it


@dataclass(frozen=True)
class Pacer:
    """Chooses the steps of each member of one request when it starts, so that all end in time."""

    probe: Probe
    experiment: Experiment  # as planned
    end: float  # by time.monotonic()

    def length(self, member: Member) -> int:
        """Return the steps per epoch with which this member, and all after it, fill the time that is left."""
        members = choose_members(self.experiment, self.probe.request.folds, self.probe.request.full)
        fixed, per_step = self.probe.costs(self.experiment, members.index(member))
        fitting = (self.end - time.monotonic() - fixed) / per_step
        planned = self.experiment.steps_per_epoch
        return round(min(max(fitting, planned / MAX_STRETCH), planned * MAX_STRETCH))


@dataclass(frozen=True)
class Measured:
    """A point of a pipeline's curve of accuracy by training length (`CURVE`)."""

    factor: float  # length of the training, as in FittedTraining
    accuracy: metrics.Estimate
    images: int


@dataclass(frozen=True)
class ChosenSettings:
    """runs/<runs>.minutes.json: the settings that were chosen for MINUTES, with which the same command resumes."""

    asked: dict[str, Any]
    jobs: list[int]  # of each request
    changes: list[dict[str, Any]]  # of each request's settings
    factor: float  # as in FittedTraining
    seconds: float


def measured(curve: Mapping[float, tuple[float, int]], factor: float) -> Measured | None:
    """Return the longest measured training that is not longer than this one, or None if all are longer."""
    reached = [point for point in curve if point <= 1.05 * factor]
    if not reached:
        return None
    accuracy, images = curve[max(reached)]
    return Measured(max(reached), metrics.proportion(round(accuracy * images), images), images)


def fit_to_minutes(requests: Sequence[Request], minutes: float, workspace: Workspace) -> FittedTraining:
    """Return the requests with epochs, steps and seeds changed so that all of them together take `minutes` from now on.

    The choice is stored in runs/<runs>.minutes.json, so that the same command resumes the same training; members that start
    then have the planned number of steps.

    Raises:
        UserError: a run exists already, the time is too short, or a pipeline has no fixed number of epochs.
    """
    began = time.monotonic()
    dataset = load_dataset(workspace)
    asked = {"minutes": minutes, "data": dataset.sha256, "requests": [_identity(request) for request in requests]}
    path = workspace.runs / f"{'+'.join(request.run for request in requests)}.minutes.json"
    if path.exists() and not requests[0].force:
        before = files.read_record(path, ChosenSettings, "delete it, or start again (FORCE=1)")
        if before.asked == asked:
            planned = _with_jobs(_changed(requests, before.changes), before.jobs)
            return FittedTraining(planned, before.factor, before.seconds, resumed=True)
    for request in requests:
        if not request.force and RunFolder.of(workspace, request.run).record.exists():
            raise UserError(
                f"{workspace.run(request.run)} was started without these MINUTES: train under another name (RUN=...), "
                "or start again (FORCE=1, which renames this run)"
            )
    requests = _with_jobs(requests, [request.jobs or _fastest_jobs(request, workspace, dataset) for request in requests])
    probes = [_probe(request, workspace, dataset, began + 60 * minutes) for request in requests]
    factor = _fitting(probes, 60 * minutes - (time.monotonic() - began))
    changes = [probe.scaled(factor) for probe in probes]
    seconds = time.monotonic() - began + _seconds(probes, factor)
    jobs = [request.jobs for request in requests]
    files.write_record(path, ChosenSettings(asked, jobs, changes, factor, seconds))
    return FittedTraining(_paced(probes, _changed(requests, changes), factor, began + 60 * minutes), factor, seconds)


def _identity(request: Request) -> dict[str, Any]:
    """Return what the choice depends on, as JSON values."""
    wanted = {
        "run": request.run,
        "pipeline": request.pipeline.sha256,
        "changes": dict(request.pipeline.changes),
        "folds": request.folds,
    }
    return json.loads(json.dumps(wanted | {"full": request.full, "jobs": request.jobs}))


def _with_jobs(requests: Sequence[Request], jobs: Sequence[int]) -> list[Request]:
    return [dataclasses.replace(request, jobs=number) for request, number in zip(requests, jobs, strict=True)]


def _fastest_jobs(request: Request, workspace: Workspace, dataset: Dataset) -> int:
    """Return how many members to train in parallel; on GPUs this is measured by training members that are not kept.

    On a CPU no two members share a core, because their speed could not be predicted.
    """
    experiment = request.pipeline.experiment
    slots = make_slots(None, full_speed_jobs(experiment))
    if not isinstance(slots, MeasuredSlots):
        return slots.jobs
    most = backend.cpu_cores()
    members = choose_members(override(experiment, {"seeds": _seeds(experiment, most)}), request.folds, request.full)[:most]

    def on_event(event: Event) -> None:
        if slots.settled:
            raise _Settled

    folds = stratified_folds(dataset.labels, experiment.folds, experiment.fold_seed)
    with contextlib.suppress(_Settled):
        _train(request.pipeline.changed(ENDLESS), workspace, folds, members, slots, on_event)
    return slots.jobs


class _Settled(Exception):  # noqa: N818
    """The fastest number of members is known."""


def _changed(requests: Sequence[Request], changes: Sequence[Mapping[str, Any]]) -> list[Request]:
    found = []
    for request, changed in zip(requests, changes, strict=True):
        found.append(dataclasses.replace(request, pipeline=request.pipeline.changed(changed)))
    return found


def _paced(probes: Sequence[Probe], planned: Sequence[Request], factor: float, end: float) -> list[Request]:
    """Return the requests with the steps of their members chosen so that the last one ends at `end`."""
    found = []
    for place, (probe, request) in enumerate(zip(probes, planned, strict=True)):
        pacer = Pacer(probe, request.pipeline.experiment, end - _seconds(probes[place + 1 :], factor))
        found.append(dataclasses.replace(request, length=pacer.length))
    return found


def _seconds(probes: Sequence[Probe], factor: float) -> float:
    return sum(probe.seconds(probe.scaled(factor)) for probe in probes)


def _fitting(probes: Sequence[Probe], budget: float) -> float:
    """Return the largest factor for which all trainings together take at most `budget` seconds.

    Raises:
        UserError: even the shortest sensible training takes longer.
    """
    low = max(MIN_FACTOR / len(probe.request.pipeline.experiment.seeds) for probe in probes)
    if _seconds(probes, low) > budget:
        raise _too_short([probe.request for probe in probes], _seconds(probes, low) - budget)
    high = 2 * low
    while _seconds(probes, high) <= budget:
        low, high = high, 2 * high
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if _seconds(probes, middle) <= budget else (low, middle)
    return low


def _too_short(requests: Sequence[Request], missing: float) -> UserError:
    names = " ".join(request.pipeline.name for request in requests)
    more = f"add at least {math.ceil(missing / 60)} or choose a faster PIPELINE"
    return UserError(f"MINUTES: too few for {names} on this machine: {more}")


def _probe(request: Request, workspace: Workspace, dataset: Dataset, end: float = math.inf) -> Probe:
    """Time a few steps of as many members as train in parallel, then of as many as the last round has.

    Raises:
        UserError: the pipeline has no fixed number of epochs, its training fails, or the first steps show that it can't end by
            `end` (of time.monotonic()).
    """
    experiment = request.pipeline.experiment
    if experiment.early_stopping or experiment.reduce_lr_on_plateau or experiment.keep != "last":
        raise UserError(
            f"MINUTES: {request.pipeline.name} has no fixed length, because its validation decides when it ends or which epoch "
            "is kept: choose another PIPELINE, such as fast"
        )
    left = len(choose_members(experiment, request.folds, request.full)) % request.jobs
    enough = override(experiment, {"seeds": _seeds(experiment, len(experiment.seeds) + request.jobs)})
    members = choose_members(enough, request.folds, request.full)[: request.jobs + left]
    folds = stratified_folds(dataset.labels, experiment.folds, experiment.fold_seed)
    steps = steps_per_epoch(experiment, len(split_rows(folds, members[0].fold, experiment.drop_rows).train))

    def refuse_if_hopeless(seconds_per_step: float) -> None:
        least = MIN_FACTOR * experiment.epochs * steps * len(choose_members(experiment, request.folds, request.full))
        needed = CERTAIN * least * seconds_per_step / len(experiment.seeds) / request.jobs
        if time.monotonic() + needed > end:
            raise _too_short([request], time.monotonic() + needed - end)

    paces = _paces(request, workspace, folds, members, refuse_if_hopeless)
    return Probe(request, steps, _typical(paces[: request.jobs]), _typical(paces[request.jobs :] or paces))


def _seeds(experiment: Experiment, count: int) -> list[int]:
    """Return `count` seeds, the experiment's own first."""
    own = experiment.seeds
    return [*own, *(seed for seed in range(count + len(own)) if seed not in own)][:count]


def _paces(
    request: Request, workspace: Workspace, folds: np.ndarray, members: list[Member], on_speed: Callable[[float], None]
) -> list[Pace]:
    """Train `members` for a few steps each and return their paces; the models are not kept.

    `on_speed` gets the seconds per step of each member after its first steps; what it raises ends the timing.
    """
    pipeline = request.pipeline.changed(PROBE)
    clock = _Clock(members, request.jobs, pipeline.experiment.batch_size)

    def on_event(event: Event) -> None:
        if isinstance(event, SpeedMeasured):
            on_speed(event.seconds_per_step)
        clock.on_event(event)

    _train(pipeline, workspace, folds, members, make_slots(request.jobs, request.jobs), on_event)
    return [clock.pace(member) for member in members]


def _train(
    pipeline: Pipeline, workspace: Workspace, folds: np.ndarray, members: list[Member], slots: Slots, on_event: OnEvent
) -> None:
    """Train members in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="digit-recognizer-") as folder:
        run = RunFolder(Path(folder))
        save_folds(run.folds, folds)
        workers.train_members(workers.Job(pipeline, workspace, run), members, slots, on_event)


class _Clock:
    """Measures the times of members of which `jobs` train in parallel."""

    def __init__(self, members: Sequence[Member], jobs: int, batch_size: int) -> None:
        self.batch_size = batch_size
        self.starts = dict.fromkeys(members[:jobs], time.monotonic())
        self.waiting = list(members[jobs:])
        self.epochs: dict[Member, list[float]] = {member: [] for member in members}
        self.steps: dict[Member, tuple[int, float]] = {}  # steps per epoch, and seconds per step
        self.seconds: dict[Member, float] = {}

    def on_event(self, event: Event) -> None:
        if isinstance(event, EpochEnded):
            self.epochs[event.member].append(event.seconds)
        elif isinstance(event, StepEnded) and event.step == event.steps:
            self.steps[event.member] = event.steps, self.batch_size / event.images_per_second
        elif isinstance(event, MemberFinished):
            now = time.monotonic()
            self.seconds[event.member] = now - self.starts[event.member]
            if self.waiting:
                self.starts[self.waiting.pop(0)] = now

    def pace(self, member: Member) -> Pace:
        _, unvalidated, validated = self.epochs[member]
        validation = max(0.0, validated - unvalidated)
        steps, step = self.steps[member]
        return Pace(step, validation, self.seconds[member] - PROBE["epochs"] * steps * step - 2 * validation)


def _typical(paces: Sequence[Pace]) -> Pace:
    return Pace(*(statistics.median(values) for values in zip(*map(dataclasses.astuple, paces), strict=True)))
