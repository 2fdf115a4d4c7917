"""Members of a run, and how many train in parallel on a CPU."""

import os

import numpy as np
import pytest

from digit_recognizer import backend
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Experiment
from digit_recognizer.models.networks import mlp
from digit_recognizer.runs.member import Member
from digit_recognizer.training.members import choose_members, default_jobs, split_rows, steps_per_epoch


@pytest.mark.parametrize(
    ("members", "cores", "threads", "jobs"),
    [
        (10, 2, 1, 2),
        (5, 2, 1, 3),  # two and a half rounds: three share two cores, then two have one each
        (6, 2, 1, 2),  # three rounds of two; two rounds of three that share two cores take as long
        (14, 4, 1, 5),  # three and a half rounds instead of four
        (7, 2, 1, 2),  # fewer than two per core, although five and two would be faster
        (1, 2, 1, 2),
        (5, 4, 1, 5),
        (5, 8, 1, 8),
        (5, 1, 1, 1),
        (5, 4, 2, 3),
        (5, 2, 4, 1),
    ],
)
def test_default_jobs_leave_no_core_idle(monkeypatch, members, cores, threads, jobs):
    monkeypatch.setattr(backend, "gpus", lambda: ())
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)))
    assert default_jobs(Experiment(network=mlp, threads=threads), members) == jobs


def test_split_of_a_fold_and_of_all_rows():
    folds = np.array([0, 1, 2, 1])
    split = split_rows(folds, 1)
    assert (list(split.train), list(split.valid)) == ([0, 2], [1, 3])
    everything = split_rows(folds, None)
    assert (list(everything.train), list(everything.valid)) == ([0, 1, 2, 3], [])


def test_dropped_rows_are_validated_but_not_trained_on():
    split = split_rows(np.array([0, 1, 2, 1]), 1, drop_rows=(0, 3))
    assert (list(split.train), list(split.valid)) == ([2], [1, 3])
    with pytest.raises(UserError, match="drop_rows: there is no row 4; the training rows are 0 to 3"):
        split_rows(np.array([0, 1, 2, 1]), 1, drop_rows=(4,))


@pytest.mark.parametrize(
    ("rows", "own", "execution", "steps"),
    [(100, 0, 1, 4), (96, 0, 1, 3), (100, 7, 1, 7), (100, 0, 16, 16), (100, 17, 16, 32)],
)
def test_steps_per_epoch_are_whole_executions(monkeypatch, rows, own, execution, steps):
    monkeypatch.setattr(backend, "steps_per_execution", lambda: execution)
    assert steps_per_epoch(Experiment(network=mlp, batch_size=32, steps_per_epoch=own), rows) == steps
    measured = Experiment(network=mlp, batch_size=32, steps_per_epoch=own, measure_every=5)
    assert steps_per_epoch(measured, rows) == (own or -(-rows // 32))


def test_members_are_chosen_seed_by_seed_in_the_order_of_the_folds():
    experiment = Experiment(network=mlp, seeds=(3, 1), folds=3)
    assert choose_members(experiment, [2, 0], full=False) == [Member(3, 2), Member(3, 0), Member(1, 2), Member(1, 0)]
    assert choose_members(experiment, None, full=True) == [Member(3, None), Member(1, None)]
    for fold in (-1, 3):
        with pytest.raises(UserError, match=f"there is no fold {fold}: this pipeline has folds 0 to 2"):
            choose_members(experiment, [fold], full=False)
