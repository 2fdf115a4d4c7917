"""How many members train side by side."""

import os

import pytest

from digit_recognizer import backend
from digit_recognizer.experiment import Experiment
from digit_recognizer.models.networks import mlp
from digit_recognizer.training.members import default_jobs


@pytest.mark.parametrize(
    ("members", "cores", "threads", "jobs"),
    [
        (10, 2, 1, 2),
        (5, 2, 1, 3),  # two and a half rounds: three share two cores, then two have one each
        (1, 2, 1, 2),
        (5, 4, 1, 5),
        (5, 8, 1, 8),
        (5, 1, 1, 1),
        (5, 4, 2, 3),
        (5, 2, 4, 1),
    ],
)
def test_as_many_members_train_side_by_side_as_leave_no_core_idle(monkeypatch, members, cores, threads, jobs):
    monkeypatch.setattr(backend, "gpus", lambda: ())
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)))
    assert default_jobs(Experiment(network=mlp, threads=threads), members) == jobs
