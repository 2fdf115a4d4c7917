"""Timing a few steps of the members of a request, for the time budget; the models are not kept."""

import contextlib
import dataclasses
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from digit_recognizer import backend
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.data.folds import save_folds, stratified_folds
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Experiment, Pipeline, override
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.member import Member
from digit_recognizer.training import workers
from digit_recognizer.training.cross_validation import Request
from digit_recognizer.training.devices import MeasuredSlots, Slots, make_slots
from digit_recognizer.training.events import EpochEnded, Event, MemberFinished, OnEvent, SpeedMeasured, StepEnded
from digit_recognizer.training.members import choose_members, full_speed_jobs, split_rows, steps_per_epoch
from digit_recognizer.workspace import Workspace

# The first epoch of a probe traces and compiles; the second is not validated, the last is.
PROBE = {"epochs": 3, "steps_per_epoch": 40, "validate_every": 2, "checkpoint": None}
ENDLESS = {"epochs": 1000, "steps_per_epoch": 1000, "validate_every": 1000, "checkpoint": None}
MIN_FACTOR = 0.4  # fewer epochs than this fraction of a pipeline's own are too few for its learning-rate schedule
CERTAIN = 0.7  # training surely takes at least this fraction of the time that the first timed steps predict


@dataclass(frozen=True)
class Pace:
    """The training time of one member in seconds, timed while as many members train in parallel as later."""

    step: float
    validation: float
    rest: float  # starting, compiling, drawing, predicting

    def fixed(self, experiment: Experiment) -> float:
        """Return the part of a member's time that doesn't depend on its steps, in seconds."""
        return self.rest + math.ceil(experiment.epochs / experiment.validate_every) * self.validation


@dataclass(frozen=True)
class Probe:
    """The pace of a request's members, which train in rounds of `jobs` members; the last round may have fewer."""

    request: Request
    steps: int  # of a pass over the training rows of a member
    pace: Pace

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
        """Return the time of the rounds from the `begun`-th member on: fixed seconds, and seconds per step of an epoch."""
        jobs, members = self.request.jobs, len(choose_members(experiment, self.request.folds, self.request.full))
        rounds = math.ceil(members / jobs) - begun // jobs
        return rounds * self.pace.fixed(experiment), rounds * experiment.epochs * self.pace.step


def fastest_jobs(request: Request, workspace: Workspace, dataset: Dataset) -> int:
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


def probe_speed(request: Request, workspace: Workspace, dataset: Dataset, end: float = math.inf) -> Probe:
    """Time a few steps of as many members as train in parallel.

    Raises:
        UserError: the pipeline has no fixed number of epochs, its training fails, or the first steps show that it can't end by
            `end` (of time.monotonic()).
    """
    experiment = request.pipeline.experiment
    if experiment.early_stopping or experiment.reduce_lr_on_plateau or experiment.keep != "last":
        raise UserError(
            f"MINUTES can't set the length of {request.pipeline.name}: early_stopping, reduce_lr_on_plateau or keep depends on "
            "its validation; choose another PIPELINE, such as fast"
        )
    enough = override(experiment, {"seeds": _seeds(experiment, len(experiment.seeds) + request.jobs)})
    members = choose_members(enough, request.folds, request.full)[: request.jobs]
    folds = stratified_folds(dataset.labels, experiment.folds, experiment.fold_seed)
    steps = steps_per_epoch(experiment, len(split_rows(folds, members[0].fold, experiment.drop_rows).train))

    def refuse_if_hopeless(seconds_per_step: float) -> None:
        least = MIN_FACTOR * experiment.epochs * steps * len(choose_members(experiment, request.folds, request.full))
        needed = CERTAIN * least * seconds_per_step / len(experiment.seeds) / request.jobs
        if time.monotonic() + needed > end:
            raise too_short([request], time.monotonic() + needed - end)

    return Probe(request, steps, _typical(_paces(request, workspace, folds, members, refuse_if_hopeless)))


def too_short(requests: Sequence[Request], missing: float) -> UserError:
    names = " ".join(request.pipeline.name for request in requests)
    more = f"add at least {math.ceil(missing / 60)} or choose a faster PIPELINE"
    return UserError(f"MINUTES: too few for {names} on this machine: {more}")


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
    clock = _Clock(members, pipeline.experiment.batch_size)

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
    """Measures the times of members that train in parallel."""

    def __init__(self, members: Sequence[Member], batch_size: int) -> None:
        self.batch_size = batch_size
        self.start = time.monotonic()
        self.epochs: dict[Member, list[float]] = {member: [] for member in members}
        self.steps: dict[Member, tuple[int, float]] = {}  # steps per epoch, and seconds per step
        self.seconds: dict[Member, float] = {}

    def on_event(self, event: Event) -> None:
        if isinstance(event, EpochEnded):
            self.epochs[event.member].append(event.seconds)
        elif isinstance(event, StepEnded) and event.step == event.steps:
            self.steps[event.member] = event.steps, self.batch_size / event.images_per_second
        elif isinstance(event, MemberFinished):
            self.seconds[event.member] = time.monotonic() - self.start

    def pace(self, member: Member) -> Pace:
        _, unvalidated, validated = self.epochs[member]
        validation = max(0.0, validated - unvalidated)
        steps, step = self.steps[member]
        return Pace(step, validation, self.seconds[member] - PROBE["epochs"] * steps * step - 2 * validation)


def _typical(paces: Sequence[Pace]) -> Pace:
    return Pace(*(statistics.median(values) for values in zip(*map(dataclasses.astuple, paces), strict=True)))
