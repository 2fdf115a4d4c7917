"""Interrupted members resume from their checkpoint with the same bytes."""

import dataclasses
import shutil

import pytest
from tiny_run import (
    StoppedError,
    history,
    probabilities,
    request,
    scores,
    stop_after,
    train_here,
    trained_again,
    warnings_in,
)

from digit_recognizer import backend
from digit_recognizer.runs.member import Member
from digit_recognizer.training.events import EpochEnded, SpeedMeasured, StepEnded

pytestmark = pytest.mark.filterwarnings("ignore:`shuffle=True`", "ignore:__array__ implementation")  # Keras's own


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:-100], lambda content: b"", lambda content: content.replace(b"progress", b"regress!")],
    ids=["cut", "empty", "other names"],
)
def test_member_with_a_damaged_checkpoint_starts_again(trained, copied, damage):
    run = copied.run("trained")
    before = probabilities(run)
    shutil.rmtree(run / "seed_0/fold_1")
    with pytest.raises(StoppedError):
        train_here(request(copied, "trained", folds=2, seeds=(0, 1)), copied, stop_after(2))
    path = run / "seed_0/fold_1/checkpoint.npz"
    path.write_bytes(damage(path.read_bytes()))
    events = trained_again(copied)
    (warning,) = [warning for warning in warnings_in(events) if "trained again" in warning]
    assert str(path) in warning
    assert [event.epoch for event in events if isinstance(event, EpochEnded)] == [1, 2, 3, 4]
    assert probabilities(run) == before


def test_resumed_member_equals_uninterrupted_one(trained, copied):
    run = copied.run("trained")
    before, straight = probabilities(run), history(run / "seed_0/fold_1")
    shutil.rmtree(run / "seed_0/fold_1")
    with pytest.raises(StoppedError):
        train_here(request(copied, "trained", folds=2, seeds=(0, 1)), copied, stop_after(2))
    events = trained_again(copied)
    assert [event.epoch for event in events if isinstance(event, EpochEnded)] == [3, 4]
    speeds = [event for event in events if isinstance(event, SpeedMeasured)]
    assert [event.member for event in speeds] == [Member(0, 1)] and speeds[0].seconds_per_step > 0
    assert probabilities(run) == before
    assert history(run / "seed_0/fold_1").equals(straight)


def test_epochs_are_whole_executions_and_resume_exactly(tiny, monkeypatch):
    """As on a GPU: with four steps per execution, an epoch of 5 steps becomes one of 8."""
    monkeypatch.setattr(backend, "steps_per_execution", lambda: 4)
    wanted = {"folds": 2, "only": [0], "steps_per_epoch": 5}
    events = []
    train_here(request(tiny, "at once", **wanted), tiny, events.append)
    steps = [event for event in events if isinstance(event, StepEnded)]
    assert {event.steps for event in steps} == {8} and max(event.step for event in steps) == 8
    assert scores(tiny.run("at once"))["images"] == 4 * 8 * 32
    with pytest.raises(StoppedError):
        train_here(request(tiny, "at once, stopped", **wanted), tiny, stop_after(2))
    train_here(request(tiny, "at once, stopped", **wanted), tiny)
    assert probabilities(tiny.run("at once, stopped")) == probabilities(tiny.run("at once"))


def test_resumed_member_keeps_the_length_from_its_time_budget(tiny):
    """After a resume, members that had not started get the planned length."""
    straight, stopped = request(tiny, "three", only=[0, 1]), request(tiny, "three, stopped", only=[0, 1])
    lengths = {0: 3, 1: None}  # the second has all of its rows
    train_here(dataclasses.replace(straight, length=lambda member: lengths[member.fold]), tiny)
    with pytest.raises(StoppedError):
        train_here(dataclasses.replace(stopped, length=lambda member: 3), tiny, stop_after(2))
    train_here(stopped, tiny)
    for fold, steps in ((0, 3), (1, 4)):
        own = scores(tiny.run("three, stopped"), f"seed_0/fold_{fold}")
        assert (own["steps_per_epoch"], own["images"]) == (steps, 4 * steps * 32)
    assert probabilities(tiny.run("three, stopped")) == probabilities(tiny.run("three"))
