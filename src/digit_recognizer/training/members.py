"""Which members a run consists of, where each lies, and how many train side by side."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from digit_recognizer import backend
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Experiment
from digit_recognizer.runs.member import Member


def choose_members(experiment: Experiment, folds: Sequence[int] | None, full: bool) -> list[Member]:
    """Return the members to train now, in the order asked for.

    Raises:
        UserError: a fold that the experiment doesn't have.
    """
    if full:
        return [Member(seed, None) for seed in experiment.seeds]
    wanted = range(experiment.folds) if folds is None else folds
    for fold in wanted:
        if not 0 <= fold < experiment.folds:
            raise UserError(
                f"FOLDS={fold}: folds are 0..{experiment.folds - 1}; a fold {fold} needs {fold + 1} folds: SET=folds={fold + 1}"
            )
    return [Member(seed, fold) for seed in experiment.seeds for fold in wanted]


def at_full_speed(experiment: Experiment) -> int:
    """Return how many members fill the CPU: one for each `threads` of its cores."""
    return max(1, backend.cpu_cores() // experiment.threads)


def default_jobs(experiment: Experiment, members: int) -> int:
    """Return how many of `members` to train in parallel on the CPU.

    More share its cores where fewer would leave some idle in the end: five members on two cores take the time of three
    rounds two by two, and of two and a half if three begin.
    """
    fitting = at_full_speed(experiment)
    return min(range(fitting, 2 * fitting), key=lambda jobs: _rounds(members, jobs, fitting))


def _rounds(members: int, jobs: int, fitting: int) -> float:
    """Return how long `members` take, `jobs` at a time on cores for `fitting`, as a multiple of one member's time."""
    full, left = divmod(members, jobs)
    return full * jobs / fitting + (max(1.0, left / fitting) if left else 0.0)


@dataclass(frozen=True)
class Split:
    """The rows that a member trains on and validates on; none of the latter for a member on all rows."""

    train: np.ndarray
    valid: np.ndarray = field(default_factory=lambda: np.array([], dtype=np.int64))


def split_rows(folds: np.ndarray, fold: int | None, drop_rows: Sequence[int] = ()) -> Split:
    """Return the split of `fold`; None means all rows to train on. Nothing is trained on `drop_rows`; they are validated.

    Raises:
        UserError: a dropped row that doesn't exist.
    """
    if (last := max(drop_rows, default=0)) >= len(folds):
        raise UserError(f"drop_rows: there is no row {last}; the training rows are 0 to {len(folds) - 1}")
    every, valid = np.arange(len(folds)), np.flatnonzero(folds == fold)
    return Split(np.setdiff1d(every, [*valid, *drop_rows]), valid)


def steps_per_execution(experiment: Experiment) -> int:
    """Return how many steps run between two callbacks; 1 where something is measured between steps."""
    return 1 if experiment.measure_every else backend.steps_per_execution()


def steps_per_epoch(experiment: Experiment, rows: int) -> int:
    """Return the steps of an epoch over `rows` training rows: whole executions, since Keras would run the last one in full."""
    at_once = steps_per_execution(experiment)
    return math.ceil((experiment.steps_per_epoch or math.ceil(rows / experiment.batch_size)) / at_once) * at_once
