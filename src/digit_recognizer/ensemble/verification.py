"""Verification of a submission: recompute it from the stored probabilities, or by training all models again.

The files of a submission or run may come from somebody else, so they never decide which code is executed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from digit_recognizer import experiment, files
from digit_recognizer.data.dataset import load_dataset, verify_files
from digit_recognizer.ensemble.blending import compute_blend
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Pipeline
from digit_recognizer.runs import lifecycle, results
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.run import Run, read_run
from digit_recognizer.submission.record import read_submission_record
from digit_recognizer.submission.submission_file import check_submission
from digit_recognizer.training.cross_validation import Request, train
from digit_recognizer.training.events import OnEvent, ignore
from digit_recognizer.workspace import Workspace


def verify(
    path: Path,
    workspace: Workspace,
    *,
    retrain: bool = False,
    pipelines: Sequence[Path] = (),
    on_event: OnEvent = ignore,
) -> int:
    """Recompute a submission's labels and compare them with its CSV; return the number of rows.

    Data files and predictions are compared with their checksums, and the run's predictions with the mean of its members'.

    Args:
        path: the CSV.
        retrain: also train each run again under another name, and compare its test probabilities.
        pipelines: files of trusted pipelines outside the user's pipeline folders.

    Raises:
        UserError: a file is damaged, probabilities or labels differ, or a run's pipeline is not one of the user's.
    """
    if not path.exists():
        raise UserError(f"there is no {path}: name a submission's file, such as submissions/fast.csv")
    verify_files(workspace)
    labels = check_submission(path, workspace)
    record = read_submission_record(path)
    dataset = load_dataset(workspace)
    runs = [read_run(RunFolder.of(workspace, name), dataset) for name in record.runs]
    trusted = experiment.available(workspace) | {file.stem: file for file in pipelines}
    loaded = [_load_pipeline(run, trusted, workspace) for run in runs] if retrain else []
    for run in runs:
        results.check_averages(run.folder, run.fold, run.probabilities, run.test)
    for run, pipeline in zip(runs, loaded, strict=False):
        _train_again(run, pipeline, workspace, on_event)
    different = np.flatnonzero(compute_blend(workspace, record.runs, path.stem).test.argmax(axis=1) != labels)
    if len(different):
        raise UserError(
            f"{path}: {len(different)} labels differ from the stored probabilities, the first at ImageId {different[0] + 1}: "
            f"`make ensemble` writes it again"
        )
    return len(labels)


def _load_pipeline(run: Run, trusted: Mapping[str, Path], workspace: Workspace) -> Pipeline:
    """Load the user's pipeline of the name in the run's record, if it is the file that the run was trained from."""
    file = trusted.get(run.record.pipeline)
    if file is None:
        raise UserError(
            f"run '{run.name}' was trained from {run.record.pipeline_file}, which is in none of your pipeline folders: read "
            f"that file, and if you trust it, name it with --pipeline={run.record.pipeline_file}"
        )
    if not file.is_file():
        raise UserError(f"PIPELINE={file}: there is no such file")
    if files.sha256_of(file) != run.record.pipeline_sha256:
        raise UserError(
            f"{file} is not the file that run '{run.name}' was trained from (its SHA-256 differs): undo its changes, or name "
            f"the right file with --pipeline=..."
        )
    return experiment.load(str(file), workspace, {**run.record.changes, "seeds": tuple(run.record.seeds)})


def _train_again(run: Run, pipeline: Pipeline, workspace: Workspace, on_event: OnEvent) -> None:
    """Train the run again under another name; the new run is kept if it differs.

    Raises:
        UserError: its test probabilities differ.
    """
    again = RunFolder.of(workspace, f"{run.name}.retrained")
    for full in sorted({result.member.fold is None for result in run.members}):
        train(Request(pipeline, again.name, folds=run.metrics.folds_done, full=full), workspace, on_event)
    if not np.array_equal(files.read_npz(again.test, probabilities="float 2")["probabilities"], run.test):
        raise UserError(f"run '{run.name}' has other probabilities when it is trained again: compare it with '{again.name}'")
    lifecycle.remove_run(again)
