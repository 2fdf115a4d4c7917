"""Cross-validation: trains all members of a run that are not finished, and writes the run's files."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from digit_recognizer import files
from digit_recognizer.data.dataset import load_dataset
from digit_recognizer.errors import DamagedError
from digit_recognizer.experiment import Experiment, Pipeline
from digit_recognizer.runs import lifecycle, results
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.member import Member
from digit_recognizer.runs.records import RunMetrics
from digit_recognizer.training import workers
from digit_recognizer.training.events import Event, MemberFinished, OnEvent, TrainingPlanned, Warned, ignore
from digit_recognizer.training.members import choose_members, split_rows, steps_per_epoch
from digit_recognizer.workspace import Workspace


@dataclass(frozen=True)
class Request:
    """What to train: which members of a pipeline, and the name of their run."""

    pipeline: Pipeline
    run: str
    folds: Sequence[int] | None = None  # None: all
    full: bool = False  # on all rows instead of the folds
    jobs: int | None = None  # in parallel on this machine; None: as many as is fastest
    force: bool = False  # move an existing run aside
    length: workers.Length = workers.own_length
    elsewhere: workers.Workers | None = None  # workers other than this machine's

    @property
    def workers(self) -> workers.Workers:
        return self.elsewhere or workers.LocalWorkers(self.jobs)


def train(request: Request, workspace: Workspace, on_event: OnEvent = ignore) -> RunMetrics:
    """Train the unfinished members, write the run's files and return the run's metrics.

    Raises:
        UserError: there is no data, the run has other settings, another process is writing it, or a training failed.
    """
    experiment = request.pipeline.experiment
    dataset = load_dataset(workspace)
    members = choose_members(experiment, request.folds, request.full)
    run = RunFolder.of(workspace, request.run)
    if request.force and run.path.exists():
        with lifecycle.locked(run.path):
            on_event(Warned(f"renamed the old run to {lifecycle.move_aside(run)}"))
    with lifecycle.locked(run.path):
        folds, warnings = lifecycle.begin_or_resume(run, request.pipeline, dataset)
        for warning in warnings if request.workers.trains_here else ():  # they are about this machine
            on_event(Warned(warning))
        files.remove_temporaries(run.path)
        waiting = [member for member in members if not _finished(run, member, on_event)]
        plan = request.workers.plan(experiment, len(waiting))
        steps = {member: _steps_per_epoch(experiment, folds, member) for member in waiting}
        on_event(TrainingPlanned(run, experiment, members, steps, plan.jobs, plan.where, plan.reports_steps))
        if waiting:
            job = workers.Job(request.pipeline, workspace, run)

            def keep_results(event: Event) -> None:
                if isinstance(event, MemberFinished):  # the run can be looked at before its last member is trained
                    results.write_results(run, experiment, dataset, folds)
                on_event(event)

            nothing_trained = not run.finished()
            elsewhere = request.workers.train(job, waiting, keep_results, request.length)
            if elsewhere and nothing_trained:
                lifecycle.record_environment(run, elsewhere)
        scores = results.write_results(run, experiment, dataset, folds)
        for warning in results.score_warnings(scores):
            on_event(Warned(warning))
        return scores


def _steps_per_epoch(experiment: Experiment, folds: np.ndarray, member: Member) -> int:
    return steps_per_epoch(experiment, len(split_rows(folds, member.fold, experiment.drop_rows).train))


def _finished(run: RunFolder, member: Member, on_event: OnEvent) -> bool:
    """Return whether the member needs no training; a damaged one is reported and trained again."""
    try:
        return results.is_finished(run, member)
    except DamagedError as error:
        on_event(Warned(f"{error.problem}: {member} is trained again"))
        run.member(member).metrics.unlink()
        return False
