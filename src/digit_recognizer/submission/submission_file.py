"""Writing submissions/<name>.csv from probabilities, and checking it against the sample submission."""

import dataclasses
from pathlib import Path

import numpy as np

from digit_recognizer import files
from digit_recognizer.data import csv_format, dataset
from digit_recognizer.errors import UserError
from digit_recognizer.formatting import utc_now
from digit_recognizer.submission.record import BlendRecord, DataOrigin, SubmissionRecord
from digit_recognizer.workspace import Workspace, git_commit


def write_submission(path: Path, probabilities: np.ndarray, workspace: Workspace, blend: BlendRecord) -> None:
    """Write the most probable class of each test image as `ImageId,Label` to `path`, and its record next to it.

    Args:
        path: ends in .csv.
        probabilities: float (m, classes), one row per test image.
        blend: the runs and the blending method of the probabilities.

    Raises:
        UserError: the probabilities don't fit the workspace's data, or the file can't be written.
    """
    data = dataset.load_dataset(workspace)
    expected = (len(data.test_images), len(data.classes))
    if probabilities.shape != expected:
        raise UserError(
            f"{path}: the probabilities are {probabilities.shape}, but the data in {workspace.input} needs {expected}"
        )
    if not np.isfinite(probabilities).all():
        missing = np.isnan(probabilities).any(axis=1).sum()
        raise UserError(f"{path}: {missing} test images have no prediction yet: finish the training with `make train`")
    try:
        csv_format.write_labels(path, probabilities.argmax(axis=1), data.classes)
        check_submission(path, workspace)
        files.write_record(path.with_suffix(".json"), _describe(path, workspace, data, blend))
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}") from error


def check_submission(path: Path, workspace: Workspace) -> np.ndarray:
    """Check a submission against the sample: header, number of rows, ids in order, labels; return the labels, int64 (m,).

    Raises:
        UserError: the header, the number of rows, an id or a label is wrong; the message names row and column.
    """
    record = dataset.read_record(workspace)
    rows = record.files[dataset.FILES[2]].rows
    try:
        return csv_format.read_labels(path, record.classes, rows)
    except UserError as error:
        raise UserError(f"{error}; `make ensemble` writes it again") from error


def _describe(path: Path, workspace: Workspace, data: dataset.Dataset, blend: BlendRecord) -> SubmissionRecord:
    return SubmissionRecord(
        **{item.name: getattr(blend, item.name) for item in dataclasses.fields(blend)},
        file=path.name,
        sha256=files.sha256_of(path),
        rows=len(data.test_images),
        data=DataOrigin(
            source=Path(data.source).name,
            sha256=data.sha256,
            competition=data.competition,
            contains_competition_test=dataset.read_record(workspace).contains_competition_test,
        ),
        git_commit=git_commit(),
        time=utc_now(),
    )
