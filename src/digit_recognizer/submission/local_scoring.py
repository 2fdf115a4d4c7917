"""Scoring a submission on this machine, if the labels of the test images are public."""

from pathlib import Path
from typing import NamedTuple

from digit_recognizer.data import dataset
from digit_recognizer.errors import UserError
from digit_recognizer.submission.submission_file import check_submission
from digit_recognizer.workspace import Workspace


class LocalScore(NamedTuple):
    """Accuracy of a submission on public labels."""

    accuracy: float
    right: int
    n: int


def score_locally(path: Path, workspace: Workspace) -> LocalScore:
    """Score a submission on the public labels of the test images.

    Raises:
        UserError: the test labels are not public, or the submission is invalid.
    """
    labels = dataset.load_test_labels(workspace)
    if labels is None:
        raise UserError(f"{workspace.input} has no {dataset.TEST_LABELS}: the labels of this test set are not public")
    right = int((check_submission(path, workspace) == labels).sum())
    return LocalScore(right / len(labels), right, len(labels))
