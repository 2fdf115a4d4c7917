"""Time budget: choose epochs and seeds for a given training time from steps that are timed on this machine.

The speed of a shared machine changes by a tenth within an hour, so each member gets its number of steps when it starts, from
the time that is left then.
"""

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from digit_recognizer import files, metrics
from digit_recognizer.data.dataset import load_dataset
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Experiment
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.member import Member
from digit_recognizer.training.cross_validation import Request
from digit_recognizer.training.members import choose_members
from digit_recognizer.training.probing import MIN_FACTOR, Probe, fastest_jobs, probe_speed, too_short
from digit_recognizer.workspace import Workspace

MAX_STRETCH = 2.0  # a member gets at most this many times its planned steps, and at least the inverse


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
    requests = _with_jobs(requests, [request.jobs or fastest_jobs(request, workspace, dataset) for request in requests])
    probes = [probe_speed(request, workspace, dataset, began + 60 * minutes) for request in requests]
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
        raise too_short([probe.request for probe in probes], _seconds(probes, low) - budget)
    high = 2 * low
    while _seconds(probes, high) <= budget:
        low, high = high, 2 * high
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if _seconds(probes, middle) <= budget else (low, middle)
    return low
