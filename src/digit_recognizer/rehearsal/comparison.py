"""Comparison of two submissions image by image, on the parts that were rehearsed for both."""

from dataclasses import dataclass

import numpy as np

from digit_recognizer import metrics
from digit_recognizer.data.dataset import load_test_labels
from digit_recognizer.ensemble import blending
from digit_recognizer.errors import UserError
from digit_recognizer.metrics import Comparison
from digit_recognizer.rehearsal.parts import existing_parts, part_workspace
from digit_recognizer.submission.record import read_submission_record
from digit_recognizer.submission.submission_file import check_submission
from digit_recognizer.workspace import Workspace


@dataclass(frozen=True)
class RehearsedComparison:
    """The second submission against the first, all parts together."""

    parts: list[int]
    comparison: Comparison


def compare_rehearsed(first: str, second: str, workspace: Workspace) -> RehearsedComparison:
    """Compare two submissions of rehearsals.

    Args:
        first: a submission's name, such as `fast` or `fast+mlp`; `fast+mlp@stacking` blends its runs by that method instead
            of the one that `ensemble` chose.
        second: likewise.

    Raises:
        UserError: no part was rehearsed for both, a method is unknown, or a file is damaged.
    """
    parts = [part for part in existing_parts(workspace) if all(_rehearsed(workspace, part, name) for name in (first, second))]
    if not parts:
        names = sorted({path.stem for part in existing_parts(workspace) for path in _submissions(workspace, part)})
        listing = f"; rehearsed are: {', '.join(names)}" if names else ""
        raise UserError(f"no part has rehearsed both {first} and {second}{listing}: `make rehearse PIPELINE=...`")
    labels, one, other = [], [], []
    for part in parts:
        inner = part_workspace(workspace, part)
        labels.append(load_test_labels(inner))
        one.append(_predictions(inner, first))
        other.append(_predictions(inner, second))
    compared = metrics.compare(np.concatenate(labels), np.concatenate(one), np.concatenate(other))
    return RehearsedComparison(parts, compared)


def _submissions(workspace: Workspace, part: int) -> list:
    return sorted(part_workspace(workspace, part).submissions.glob("*.csv"))


def _rehearsed(workspace: Workspace, part: int, name: str) -> bool:
    return (part_workspace(workspace, part).submissions / f"{name.partition('@')[0]}.csv").exists()


def _predictions(inner: Workspace, name: str) -> np.ndarray:
    """Return the classes that a submission predicts for the part's images, int64 (n,)."""
    submission, _, method = name.partition("@")
    csv = inner.submissions / f"{submission}.csv"
    if not method:
        return check_submission(csv, inner)
    runs = read_submission_record(csv).runs
    return blending.compute_blend(inner, runs, submission, method=method).test.argmax(axis=1)
