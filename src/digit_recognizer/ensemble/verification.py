"""Is a submission what its runs say? Recomputed from the stored probabilities, or by training everything again."""

from pathlib import Path

import numpy as np

from digit_recognizer import experiment, files
from digit_recognizer.data.dataset import load_dataset, verify_files
from digit_recognizer.ensemble import blending
from digit_recognizer.errors import UserError
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
    on_event: OnEvent = ignore,
) -> int:
    """Recompute a submission's labels and compare them with its CSV; return the number of rows.

    The data's files are hashed again, and members' predictions against their checksums and the run's averages. With
    `retrain`, every member is trained again beside the old run, and its probabilities compared too.

    Raises:
        UserError: something stored is damaged, or the recomputed probabilities or labels differ.
    """
    if not path.exists():
        raise UserError(f"there is no {path}: name a submission's file, as submissions/fast.csv")
    verify_files(workspace)
    labels = check_submission(path, workspace)
    record = read_submission_record(path)
    dataset = load_dataset(workspace)
    runs = [read_run(RunFolder.of(workspace, name), dataset) for name in record.runs]
    for run in runs:
        results.check_averages(run.folder, run.fold, run.probabilities, run.test)
        if retrain:
            _check_retrained(workspace, run, on_event)
    again = blending.compute_blend(workspace, record.runs, path.stem).test.argmax(axis=1)
    different = np.flatnonzero(again != labels)
    if len(different):
        raise UserError(
            f"{path}: {len(different)} labels differ from the stored probabilities, the first at ImageId {different[0] + 1}: "
            f"`make ensemble` writes it anew"
        )
    return len(labels)


def _check_retrained(workspace: Workspace, run: Run, on_event: OnEvent) -> None:
    """Train the run again under another name, which is kept where it differs.

    Raises:
        UserError: its test probabilities are not the same bytes.
    """
    changes = {**run.record.changes, "seeds": tuple(run.record.seeds)}
    pipeline = experiment.load(run.record.pipeline_file, workspace, changes)
    again = RunFolder.of(workspace, f"{run.name}.retrained")
    for full in sorted({result.member.fold is None for result in run.members}):
        train(Request(pipeline, again.name, folds=run.metrics.folds_done, full=full), workspace, on_event)
    if not np.array_equal(files.read_npz(again.test, probabilities="float 2")["probabilities"], run.test):
        raise UserError(f"run '{run.name}' gives other probabilities when it is trained again: compare it with '{again.name}'")
    lifecycle.remove_run(again)
