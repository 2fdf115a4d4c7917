"""All members of a run: which are still to train, training them, and the run's files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from digit_recognizer import files
from digit_recognizer.data.dataset import Dataset, load_dataset
from digit_recognizer.data.folds import load_folds, save_folds, stratified_folds
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Experiment, Pipeline
from digit_recognizer.runs import results, run_record
from digit_recognizer.training import workers
from digit_recognizer.training.events import Event, MemberFinished, ModelBuilt, OnEvent, TrainingPlanned, Warned, ignore
from digit_recognizer.training.members import Member, choose_members, default_jobs
from digit_recognizer.workspace import Workspace


@dataclass(frozen=True)
class Request:
    """What to train: which members of a pipeline, and the name of their run."""

    pipeline: Pipeline
    run: str
    folds: Sequence[int] | None = None  # None: all
    full: bool = False  # on all rows instead of the folds
    jobs: int | None = None  # side by side; None: what fills the machine
    force: bool = False
    length: workers.Length = workers.own_length


def train(request: Request, workspace: Workspace, on_event: OnEvent = ignore) -> dict[str, Any]:
    """Train the members that are not finished yet, then write the run's files; return the run's metrics.

    Raises:
        UserError: no data, a run of other settings, a run that another process writes, or a failed training.
    """
    experiment = request.pipeline.experiment
    dataset = load_dataset(workspace)
    members = choose_members(experiment, request.folds, request.full)
    run = workspace.run(request.run)
    if experiment.teacher == request.run:
        raise UserError(f"teacher: run '{request.run}' can't learn from itself: train under another name (RUN=...)")
    record = run_record.describe(request.pipeline, dataset, workspace)
    if request.force and run.exists():
        with run_record.locked(run):
            on_event(Warned(f"moved the old run to {run_record.move_aside(run)}"))
    with run_record.locked(run):
        for warning in run_record.begin_or_continue(run, record):
            on_event(Warned(warning))
        files.remove_temporaries(run)
        waiting = [member for member in members if not _finished(run, member, on_event)]
        # Making them takes a second; those of a finished run are compared with its members' rows when results are written.
        folds = _folds(run / "folds.csv", dataset, experiment) if waiting else load_folds(run / "folds.csv")
        jobs = request.jobs or default_jobs(experiment, len(waiting))
        on_event(TrainingPlanned(run, experiment, members, waiting, jobs, rows=len(folds)))
        if waiting:
            job = workers.Job(request.pipeline, workspace, run)

            def keep_results(event: Event) -> None:
                if isinstance(event, ModelBuilt):
                    files.write_text(run / "summary.txt", event.summary)
                elif isinstance(event, MemberFinished):  # the run can be looked at before its last member is trained
                    results.write_results(run, experiment, dataset, folds)
                on_event(event)

            workers.train_members(job, waiting, jobs, keep_results, request.length)
        scores = results.write_results(run, experiment, dataset, folds)
        for doubt in results.doubts(scores):
            on_event(Warned(doubt))
        return scores


def _folds(path: Path, dataset: Dataset, experiment: Experiment) -> np.ndarray:
    """Return the run's folds, made at its beginning.

    Raises:
        UserError: folds.csv is not what the dataset, count and seed give.
    """
    folds = stratified_folds(dataset.labels, experiment.folds, experiment.fold_seed)
    if not path.exists():
        save_folds(path, folds)
    elif not np.array_equal(load_folds(path), folds):
        raise UserError(f"{path} holds other folds than this run's data, folds and fold_seed give: use RUN=... or FORCE=1")
    return folds


def _finished(run: Path, member: Member, on_event: OnEvent) -> bool:
    """Whether the member needs no training; one that is damaged is reported and trained again."""
    try:
        return results.finished(run, member)
    except UserError as error:
        on_event(Warned(f"{error}: {member} is trained again"))
        (run / member.folder / "metrics.json").unlink()
        return False
