"""The remaining time is estimated from timed steps, then from the speed of this session."""

import os

import pytest

from digit_recognizer.cli.remaining_time import RemainingTime
from digit_recognizer.experiment import Experiment
from digit_recognizer.models.networks import mlp
from digit_recognizer.runs.member import Member
from digit_recognizer.training.events import EpochEnded, MemberFinished, ModelBuilt, SpeedMeasured, StepEnded

EXPERIMENT = Experiment(network=mlp, epochs=10, batch_size=50, folds=5)
MEMBERS = [Member(0, fold) for fold in range(5)]
STEPS = 16  # per epoch, so 160 a member


def remaining(waiting=MEMBERS, jobs=1) -> RemainingTime:
    return RemainingTime(EXPERIMENT, dict.fromkeys(waiting, STEPS), jobs)


def step(member, epoch, number):
    return StepEnded(member, epoch, number, 16, images_per_second=10.0, loss=2.0, accuracy=0.5)


def epoch_ended(member, epoch):
    return EpochEnded(member, epoch, loss=1.5, accuracy=0.75, learning_rate=0.001, seconds=1.0)


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})


def test_nothing_is_estimated_before_a_step():
    assert remaining().seconds_left() is None


def test_estimate_is_all_steps_at_the_timed_speed_over_the_jobs_that_have_a_core():
    for jobs, seconds in ((1, 80.0), (2, 40.0), (3, 40.0)):
        one = remaining(jobs=jobs)
        one.on_event(SpeedMeasured(MEMBERS[0], 0.1), now=0.0)
        assert one.seconds_left() == pytest.approx(seconds)


def test_estimate_uses_the_speed_of_this_session():
    one = remaining()
    one.on_event(SpeedMeasured(MEMBERS[0], 9.9), now=0.0)
    one.on_event(step(MEMBERS[0], 0, 0), now=0.0)
    one.on_event(step(MEMBERS[0], 4, 16), now=10.0)
    assert one.seconds_left() == pytest.approx(720 * 10 / 80)


def test_epochs_of_an_earlier_session_do_not_affect_the_speed():
    one = remaining(MEMBERS[:1])
    one.on_event(step(MEMBERS[0], 8, 0), now=0.0)
    one.on_event(step(MEMBERS[0], 9, 0), now=16.0)
    assert one.seconds_left() == pytest.approx(16.0)


def test_member_that_stops_early_has_no_remaining_steps():
    one = remaining(MEMBERS[:1])
    one.on_event(step(MEMBERS[0], 0, 1), now=0.0)
    one.on_event(epoch_ended(MEMBERS[0], 3), now=10.0)
    one.on_event(MemberFinished(MEMBERS[0]), now=11.0)
    assert one.seconds_left() == 0.0


def test_compilation_is_added_for_waiting_members_but_does_not_affect_the_speed():
    """Regression: a run with two trained folds and one resumed fold showed 63 minutes and took 55 seconds."""
    one = remaining(MEMBERS[2:])
    one.on_event(ModelBuilt(MEMBERS[2], ""), now=0.0)
    one.on_event(SpeedMeasured(MEMBERS[2], 0.1), now=30.0)
    one.on_event(step(MEMBERS[2], 5, 1), now=31.0)
    one.on_event(step(MEMBERS[2], 5, 5), now=31.4)
    assert one.seconds_left() == pytest.approx(0.1 * (75 + 160 + 160) + 2 * 30)


def test_last_member_uses_one_core():
    one = remaining(jobs=2)
    for member in MEMBERS[:4]:
        one.on_event(step(member, 0, 0), now=0.0)
        one.on_event(epoch_ended(member, 10), now=160.0)
        one.on_event(MemberFinished(member), now=160.0)
    assert one.seconds_left() == pytest.approx(160.0)
