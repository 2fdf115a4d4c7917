"""Starting and resuming a run, its lock, and renaming it."""

import contextlib
import dataclasses
import datetime
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from digit_recognizer import experiment, files
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.data.folds import load_folds, save_folds, stratified_folds
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Pipeline
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.records import TRAIN_OTHERWISE, RunRecord, describe, read_run_record

ENVIRONMENT = ("git_commit", "versions", "python", "backend", "device", "precision", "variables")


def begin_or_resume(run: RunFolder, pipeline: Pipeline, dataset: Dataset) -> tuple[np.ndarray, list[str]]:
    """Write folds.csv and experiment.json of a new run, or compare those that are there.

    More seeds than before are allowed: they add members.

    Returns:
        The fold of each training row, int8 (n,), and warnings about a changed environment.

    Raises:
        UserError: the run was started with other settings or data (the message lists them), or a file is damaged or missing.
    """
    if not run.record.exists():
        return _begin(run, pipeline, dataset), []
    before = check_unchanged(run, pipeline, dataset)
    now = describe(pipeline, dataset, before.folds_sha256)
    seeds = sorted({*before.seeds, *now.seeds})
    folds = _read_folds(run, before, dataset)
    if seeds != before.seeds:
        files.write_record(run.record, dataclasses.replace(before, settings={**before.settings, "seeds": seeds}))
    return folds, _warnings(before, now)


def check_unchanged(run: RunFolder, pipeline: Pipeline, dataset: Dataset) -> RunRecord:
    """Return the run's record.

    Raises:
        UserError: the run was started with other settings, but for more seeds, or other data; the message lists them.
    """
    before = read_run_record(run)
    if changed := changes(before, describe(pipeline, dataset, before.folds_sha256)):
        raise UserError(f"{run} was started with other settings: {'; '.join(changed)}; {TRAIN_OTHERWISE}")
    return before


def _begin(run: RunFolder, pipeline: Pipeline, dataset: Dataset) -> np.ndarray:
    if run.holds_members:
        raise UserError(f"{run} holds models but no {run.record.name} (was it moved while it was trained?): {TRAIN_OTHERWISE}")
    folds = stratified_folds(dataset.labels, pipeline.experiment.folds, pipeline.experiment.fold_seed)
    save_folds(run.folds, folds)
    files.write_record(run.record, describe(pipeline, dataset, files.sha256_of_arrays(folds)))
    return folds


def changes(before: RunRecord, now: RunRecord) -> list[str]:
    """Return the settings and data in which two records differ, as `name: old -> new`; seeds are left out."""
    changed = experiment.differences({**before.settings, "seeds": []}, {**now.settings, "seeds": []})
    if before.dataset.sha256 != now.dataset.sha256:
        changed.append(f"data: {before.dataset.source} -> {now.dataset.source}")
    return changed


def _read_folds(run: RunFolder, record: RunRecord, dataset: Dataset) -> np.ndarray:
    """Return the run's folds; a missing folds.csv is written again."""
    if not run.folds.exists():
        save_folds(run.folds, stratified_folds(dataset.labels, record.folds, record.settings["fold_seed"]))
    folds = load_folds(run.folds)
    if files.sha256_of_arrays(folds) != record.folds_sha256:
        raise UserError(f"{run.folds} has other folds than the run was started with: delete it, or use RUN=... or FORCE=1")
    return folds


def _warnings(before: RunRecord, now: RunRecord) -> list[str]:
    edited = before.pipeline_sha256 != now.pipeline_sha256
    warnings = [f"{now.pipeline_file} was edited since the run was started, though no setting differs"] if edited else []
    return warnings + [
        f"{name} changed since the run was started: {change}"
        for name in ENVIRONMENT
        for change in experiment.differences({name: getattr(before, name)}, {name: getattr(now, name)})
    ]


def record_environment(run: RunFolder, other: RunRecord) -> None:
    """Write the environment of `other`, from the machine that trained all members, into the run's record."""
    environment = {name: getattr(other, name) for name in ENVIRONMENT}
    files.write_record(run.record, dataclasses.replace(read_run_record(run), **environment))


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock the folder of a run or study for this process; the kernel releases the lock when the process ends.

    Raises:
        UserError: another process has locked it, or the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = files.open_to_append(RunFolder(folder).lock, buffering=0)  # closing it writes nothing that a full disk refuses
    except OSError as error:
        raise UserError(f"{folder} can't be written: {error.strerror}") from error
    with lock as file:
        files.lock(file, lambda: _busy(folder, file))
        try:
            file.truncate(0)
            file.write(str(os.getpid()).encode())
            yield
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise UserError(f"{folder}: the disk is full: free some space and run the same command again") from error


def _busy(folder: Path, lock: IO[bytes]) -> str:
    lock.seek(0)
    holder = lock.read().decode() or "?"
    return f"{folder} is being written by process {holder}: wait for it, or use another name (RUN=...)"


def move_aside(run: RunFolder) -> Path:
    """Rename the run's folder to an unused name and return the new path."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    aside = run.path.with_name(f"{run.name}.before-{stamp}")
    run.path.rename(aside)
    return aside


def remove_run(run: RunFolder) -> None:
    shutil.rmtree(run.path)
