"""The six parts of a mock competition: each is the test set once, with known labels, and the other five are for training."""

from collections.abc import Sequence

import numpy as np

from digit_recognizer.data import sources
from digit_recognizer.data.dataset import Dataset, load_dataset, read_record
from digit_recognizer.data.folds import stratified_folds
from digit_recognizer.data.sources import ImageArrays
from digit_recognizer.errors import UserError
from digit_recognizer.workspace import Workspace

PARTS = 6
SEED = 20180  # of the split, the same for all pipelines


def check_parts(parts: Sequence[int]) -> None:
    """Raise UserError unless all `parts` exist."""
    for part in parts:
        if not 0 <= part < PARTS:
            raise UserError(f"PARTS={part}: there is no part {part}; a rehearsal has parts 0 to {PARTS - 1}")


def part_workspace(workspace: Workspace, part: int) -> Workspace:
    """Return the workspace of a part, which needn't exist."""
    return Workspace(workspace.root / "rehearsal" / f"part_{part}")


def part_of(workspace: Workspace) -> tuple[Workspace, int] | None:
    """If this is the workspace of a part, return the rehearsed workspace and the number of the part, else None."""
    outer = Workspace(workspace.root.parent.parent)
    return next(((outer, part) for part in range(PARTS) if part_workspace(outer, part) == workspace), None)


def existing_parts(workspace: Workspace) -> list[int]:
    """Return the parts that have been made."""
    return [part for part in range(PARTS) if (part_workspace(workspace, part).input / "dataset.json").exists()]


def assign_parts(dataset: Dataset) -> np.ndarray:
    """Return the part in whose test set each training row is, int8 (n,).

    Raises:
        UserError: a class has fewer rows than there are parts.
    """
    counts = np.bincount(dataset.labels, minlength=len(dataset.classes))
    if counts.min() < PARTS:
        name = dataset.classes[counts.argmin()]
        raise UserError(f"too few rows to rehearse: class {name} has {counts.min()} training rows, {PARTS} parts need {PARTS}")
    return stratified_folds(dataset.labels, PARTS, SEED)


def make_part(workspace: Workspace, part: int) -> Workspace:
    """Write the part's data to `rehearsal/part_<part>/input/`, unless it is there and intact; return its workspace.

    Raises:
        UserError: there is no data, there are too few rows, or another dataset was rehearsed before.
    """
    inner = part_workspace(workspace, part)
    source = source_name(part, read_record(workspace).sha256)
    _refuse_other_dataset(workspace, inner, source)
    dataset = load_dataset(workspace)
    test = assign_parts(dataset) == part
    images = ImageArrays(
        dataset.images[~test], dataset.labels[~test], dataset.images[test], dataset.labels[test], dataset.classes
    )
    sources.place(images, source, inner)
    return inner


def source_name(part: int, sha256: str) -> str:
    """Return what a part's dataset.json names as its source."""
    return f"rehearsal part {part} of dataset {sha256[:12]}"


def _refuse_other_dataset(workspace: Workspace, inner: Workspace, source: str) -> None:
    if (inner.input / "dataset.json").exists() and (before := read_record(inner).source) != source:
        raise UserError(
            f"{inner.root.parent} has rehearsals of other data ({before}), not of {workspace.input}: "
            f"move {inner.root.parent} away to rehearse this data"
        )
