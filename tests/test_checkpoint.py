"""Interrupted members resume from their checkpoint with the same bytes."""

import dataclasses
import shutil

import pytest
from tiny_run import (
    StoppedError,
    copy_with_run,
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
from digit_recognizer.errors import UserError
from digit_recognizer.runs.member import Member
from digit_recognizer.training import checkpoint
from digit_recognizer.training.events import EpochEnded, SpeedMeasured, StepEnded

pytestmark = pytest.mark.filterwarnings("ignore:`shuffle=True`", "ignore:__array__ implementation")  # Keras's own

MEMBER = "seed_0/fold_1"


@pytest.fixture(scope="module")
def stopped(trained, tiny, tmp_path_factory):
    """A copy of the workspace in which one member of the run was stopped after two epochs; no test may change it."""
    workspace = copy_with_run(tiny, "trained", tmp_path_factory.mktemp("stopped"))
    shutil.rmtree(workspace.run("trained") / MEMBER)
    with pytest.raises(StoppedError):
        train_here(request(workspace, "trained", folds=2, seeds=(0, 1)), workspace, stop_after(2))
    return workspace


@pytest.fixture
def resumable(stopped, tmp_path):
    """A copy of that, which a test may resume."""
    return copy_with_run(stopped, "trained", tmp_path)


DAMAGES = {
    "cut": lambda content: content[:-100],
    "empty": lambda content: b"",
    "other names": lambda content: content.replace(b"progress", b"regress!"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_checkpoint_is_named(damage, stopped, tmp_path):
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(DAMAGES[damage]((stopped.run("trained") / MEMBER / path.name).read_bytes()))
    with pytest.raises(UserError, match=str(path)):
        checkpoint.load(path)


def test_member_with_a_damaged_checkpoint_starts_again(trained, resumable):
    path = resumable.run("trained") / MEMBER / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:-100])
    events = trained_again(resumable)
    (warning,) = [warning for warning in warnings_in(events) if "trained again" in warning]
    assert str(path) in warning
    assert [event.epoch for event in events if isinstance(event, EpochEnded)] == [1, 2, 3, 4]
    assert probabilities(resumable.run("trained")) == probabilities(trained)


def test_resumed_member_equals_uninterrupted_one(trained, resumable):
    events = trained_again(resumable)
    assert [event.epoch for event in events if isinstance(event, EpochEnded)] == [3, 4]
    speeds = [event for event in events if isinstance(event, SpeedMeasured)]
    assert [event.member for event in speeds] == [Member(0, 1)] and speeds[0].seconds_per_step > 0
    assert probabilities(resumable.run("trained")) == probabilities(trained)
    assert history(resumable.run("trained") / MEMBER).equals(history(trained / MEMBER))


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
