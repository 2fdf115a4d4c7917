"""What a run is: its settings, data and surroundings, written when it begins and compared when it goes on."""

import contextlib
import datetime
import errno
import fcntl
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from digit_recognizer import backend, experiment, files
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Pipeline
from digit_recognizer.training import teacher
from digit_recognizer.workspace import Workspace, git_commit

RECORD = "experiment.json"
SURROUNDINGS = ("git_commit", "versions", "python", "backend", "device", "precision")


def describe(pipeline: Pipeline, dataset: Dataset, workspace: Workspace) -> dict[str, Any]:
    """Return the content of experiment.json.

    Raises:
        UserError: the teacher that the experiment names can't teach it.
    """
    name = pipeline.experiment.teacher
    return {
        "pipeline": pipeline.name,
        "pipeline_file": str(pipeline.file),
        "pipeline_sha256": pipeline.sha256,
        "changes": dict(pipeline.changes),
        "description": pipeline.summary,
        "settings": experiment.settings(pipeline.experiment),
        "dataset": {
            "sha256": dataset.sha256,
            "source": dataset.source,
            "competition": dataset.competition,
            "rows": len(dataset.images),
            "test_rows": len(dataset.test_images),
            "classes": list(dataset.classes),
            "image_shape": list(dataset.image_shape),
        },
        "teacher_sha256": teacher.identity(workspace.run(name), pipeline.experiment, dataset) if name else None,
        "git_commit": git_commit(),
        "versions": backend.library_versions(),
        "python": platform.python_version(),
        "backend": backend.name(),
        "device": backend.device(),
        "precision": backend.precision(pipeline.experiment.precision),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def begin_or_continue(run: Path, record: dict[str, Any]) -> list[str]:
    """Write experiment.json, or compare it with the one that is there; return warnings about changed surroundings.

    More seeds than before are no change: they add members.

    Raises:
        UserError: settings or data differ from those that the run was begun with; the message lists them.
    """
    path = run / RECORD
    if not path.exists():
        files.write_json(path, record)
        return []
    before = files.read_json(path)
    if not {"settings", "dataset", "pipeline_sha256"} <= before.keys():
        raise UserError(f"{path} is damaged: train under another name (RUN=...), or start anew (FORCE=1)")
    seeds = sorted({*before["settings"]["seeds"], *record["settings"]["seeds"]})
    changed = experiment.differences({**before["settings"], "seeds": seeds}, {**record["settings"], "seeds": seeds})
    if before["dataset"]["sha256"] != record["dataset"]["sha256"]:
        changed.append(f"data: {before['dataset']['source']} -> {record['dataset']['source']}")
    if before.get("teacher_sha256") != record["teacher_sha256"]:
        changed.append("teacher: it was trained anew")
    if changed:
        raise UserError(
            f"{run} was begun with other settings: {'; '.join(changed)}. "
            f"Train under another name (RUN=...), or start anew (FORCE=1, which moves this run aside)"
        )
    if seeds != before["settings"]["seeds"]:
        files.write_json(path, {**before, "settings": {**before["settings"], "seeds": seeds}})
    edited = before["pipeline_sha256"] != record["pipeline_sha256"]
    warnings = [f"{record['pipeline_file']} was edited since the run was begun, though no setting differs"] if edited else []
    return warnings + [
        f"{name} changed since the run was begun: {change}"
        for name in SURROUNDINGS
        for change in experiment.differences({name: before.get(name)}, {name: record[name]})
    ]


@contextlib.contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold the run for this process alone; the kernel lets go of it when the process ends, however that ends.

    Raises:
        UserError: another process holds it, or the disk is full.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
        lock = (run / ".lock").open("ab+", buffering=0)
    except OSError as error:
        raise UserError(f"{run} can't be written: {error.strerror}") from error
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().decode() or "?"
            raise UserError(
                f"{run} is being written by process {holder}: wait for it, or train under another name (RUN=...)"
            ) from None
        try:
            file.truncate(0)
            file.write(str(os.getpid()).encode())
            yield
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise UserError(f"{run}: the disk is full: free some space; the same command goes on from there") from error


def move_aside(run: Path) -> Path:
    """Rename the run's folder to a free name beside it and return that."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    aside = run.with_name(f"{run.name}.before-{stamp}")
    run.rename(aside)
    return aside
