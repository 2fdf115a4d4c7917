"""The program of a notebook on Kaggle: prepare the data, run training commands, and pack the runs into an archive.

The notebook's script (notebook_script.py) calls `main` in Kaggle's working folder, next to its folder `input`.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from digit_recognizer import backend, files
from digit_recognizer.data import dataset
from digit_recognizer.errors import UserError
from digit_recognizer.rehearsal.parts import make_part, part_workspace
from digit_recognizer.workspace import Workspace

RESULT = "digit-recognizer.json"
ARCHIVE = "digit-recognizer.zip"
GRACE_SECONDS = 120  # for a training to end after Ctrl-C

Outcome = Literal["done", "stopped", "failed", "no gpu", "no data", "other data"]


@dataclass(frozen=True)
class SessionJob:
    """The job of a notebook."""

    token: str  # is part of the result, so that the output of another version is detected
    commands: list[list[str]]  # arguments of `digit-recognizer`, one training each
    seconds: float  # after which training is stopped to save its checkpoints
    dataset_sha256: str
    part: int | None = None  # of a rehearsal, in whose workspace the commands run


@dataclass(frozen=True)
class SessionResult:
    """The result of a notebook; written after the archive."""

    token: str
    outcome: Outcome
    message: str
    sha256: str  # of the archive


class _End(NamedTuple):
    outcome: Outcome
    message: str = ""


def main(job_file: Path, pipelines: Path, output: Path) -> int:
    """Run the job, write RESULT and ARCHIVE to the folder `output`, and return an exit status.

    Args:
        pipelines: a folder with pipeline files that are not in the package.
    """
    began = time.monotonic()
    job = files.read_record(job_file, SessionJob, "push the notebook again")
    workspace = Workspace(Path(tempfile.mkdtemp(prefix="workspace-")))
    pipelines.rename(workspace.root / "pipelines")
    os.chdir(workspace.root)  # where a pipeline looks for others that it builds on
    end = _prepare(job, workspace, output.parent / "input")
    if job.part is not None:
        workspace = part_workspace(workspace, job.part)
    end = end or _train(job, workspace, began + job.seconds)
    print(f"{end.outcome}: {end.message}" if end.message else end.outcome, flush=True)
    _pack(workspace, output / ARCHIVE)
    result = SessionResult(job.token, end.outcome, end.message, files.sha256_of(output / ARCHIVE))
    files.write_record(output / RESULT, result)
    return 0 if end.outcome in ("done", "stopped") else 1


def _prepare(job: SessionJob, workspace: Workspace, given: Path) -> _End | None:
    """Check the device and fetch the data; return why the job can't be run, or None."""
    if not backend.gpus():
        return _End("no gpu")
    print(f"training on {backend.device()}", flush=True)
    if not any(given.rglob("train.csv")):
        return _End("no data")
    if end := _run(["data", f"--source={given}"], workspace, float("inf")):
        return end
    try:
        if job.part is not None:
            outer, workspace = workspace, make_part(workspace, job.part)
            (workspace.root / "pipelines").symlink_to(outer.root / "pipelines")
        if dataset.load_dataset(workspace).sha256 != job.dataset_sha256:
            return _End("other data")
    except UserError as error:
        return _End("failed", str(error))
    return None


def _train(job: SessionJob, workspace: Workspace, deadline: float) -> _End:
    for command in job.commands:
        if end := _run(command, workspace, deadline):
            return end
    return _End("done")


def _run(command: list[str], workspace: Workspace, deadline: float) -> _End | None:
    """Run a command of `digit-recognizer`; return why it failed, or None."""
    words = [sys.executable, "-m", "digit_recognizer", f"--workspace={workspace.root}", *command]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, errors="replace", env=environment) as process:
        try:
            errors = process.communicate(timeout=None if deadline == float("inf") else max(0.0, deadline - time.monotonic()))[1]
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            return _End("stopped")
    print(errors, end="", flush=True)
    if process.returncode:
        return _End("failed", (errors.strip().splitlines() or [f"exit status {process.returncode}"])[-1])
    return None


def _pack(workspace: Workspace, path: Path) -> None:
    """Write the runs, as paths relative to the workspace's root, into a zip file."""
    with files.atomic(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in sorted(workspace.runs.rglob("*")):
            if file.is_file() and file.name != ".lock":
                archive.write(file, file.relative_to(workspace.root))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), Path.cwd()))
