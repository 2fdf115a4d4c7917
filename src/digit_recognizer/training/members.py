"""The members of a run, the rows and steps of each, and how many to train in parallel on a CPU."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from digit_recognizer import backend
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Experiment
from digit_recognizer.runs.member import Member


def choose_members(experiment: Experiment, folds: Sequence[int] | None, full: bool) -> list[Member]:
    """Return the members to train, seed by seed, with the folds in the given order.

    Raises:
        UserError: the experiment has no such fold.
    """
    if full:
        return [Member(seed, None) for seed in experiment.seeds]
    wanted = range(experiment.folds) if folds is None else folds
    for fold in wanted:
        if not 0 <= fold < experiment.folds:
            raise UserError(f"FOLDS={fold}: there is no fold {fold}: this pipeline has folds 0 to {experiment.folds - 1}")
    return [Member(seed, fold) for seed in experiment.seeds for fold in wanted]


def digit_width(experiment: Experiment, member: Member) -> int:
    """Return the width to which the member's digits are scaled, 0 if they are not.

    Consecutive folds and consecutive seeds have different widths; fold is 0 for a member trained on all rows.
    """
    return experiment.digit_widths[(member.seed + (member.fold or 0)) % len(experiment.digit_widths)]


def full_speed_jobs(experiment: Experiment) -> int:
    """Return how many members can train in parallel without sharing a CPU core: one for each `threads` cores."""
    return max(1, backend.cpu_cores() // experiment.threads)


def default_jobs(experiment: Experiment, members: int) -> int:
    """Return how many of `members` to train in parallel on the CPU.

    More members than cores can be faster, because fewer cores are idle in the last round. Five members on two cores in rounds
    of 2, 2 and 1 take 3 times as long as one member; in rounds of 3 and 2 they take 2.5 times as long.
    """
    alone = full_speed_jobs(experiment)
    return min(range(alone, 2 * alone), key=lambda jobs: _rounds(members, jobs, alone))


def _rounds(members: int, jobs: int, alone: int) -> float:
    """Return how long `members` take, `jobs` in parallel on cores for `alone`, as a multiple of one member's time."""
    full, left = divmod(members, jobs)
    return full * jobs / alone + (max(1.0, left / alone) if left else 0.0)


@dataclass(frozen=True)
class Split:
    """The rows that a member is trained on, and those that validate it: none for a member trained on all rows."""

    train: np.ndarray
    valid: np.ndarray = field(default_factory=lambda: np.array([], dtype=np.int64))


def split_rows(folds: np.ndarray, fold: int | None, drop_rows: Sequence[int] = ()) -> Split:
    """Return the split of `fold`; None means training on all rows. `drop_rows` are only used for validation.

    Raises:
        UserError: a dropped row doesn't exist.
    """
    if (last := max(drop_rows, default=0)) >= len(folds):
        raise UserError(f"drop_rows: there is no row {last}; the training rows are 0 to {len(folds) - 1}")
    every, valid = np.arange(len(folds)), np.flatnonzero(folds == fold)
    return Split(np.setdiff1d(every, [*valid, *drop_rows]), valid)


def steps_per_execution(experiment: Experiment) -> int:
    """Return how many steps run between two callbacks; 1 if something is measured between steps."""
    return 1 if experiment.measure_every else backend.steps_per_execution()


def steps_per_epoch(experiment: Experiment, rows: int) -> int:
    """Return the steps of an epoch over `rows` training rows: whole executions, because Keras runs the last one in full."""
    execution = steps_per_execution(experiment)
    return math.ceil((experiment.steps_per_epoch or math.ceil(rows / experiment.batch_size)) / execution) * execution
