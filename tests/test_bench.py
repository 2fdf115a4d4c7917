"""Programs are timed in turns, and `make bench` finds for each part its ratio and limit."""

import os
import tempfile
import time

import pytest
import tiny_run

from digit_recognizer import bench
from digit_recognizer.bench import comparison, contenders
from digit_recognizer.bench.racing import NEVER, Contender, race, time_to
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Augmentation, load
from digit_recognizer.workspace import Workspace


def work_for(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def count_up(tick, pause, step):
    total = 0
    while True:
        work_for(pause)
        total += step
        tick(total)


def leave_a_file(tick):
    with tempfile.TemporaryDirectory():
        count_up(tick, 0.02, 1)


def score(tick, scores, pause):
    for value in scores:
        work_for(pause)
        tick(value)


def fail(tick):
    raise ValueError("no luck")


def vanish(tick):
    os._exit(3)


def test_rates_are_what_was_done_in_own_turns_only():
    rates = race([Contender("slow", count_up, (0.02, 1)), Contender("quick", count_up, (0.02, 3))], repeats=2, seconds=0.4)
    assert [len(values) for values in rates.values()] == [2, 2]
    for slow, quick in zip(rates["slow"], rates["quick"], strict=True):
        assert 0 < slow < 51
        assert quick > 1.3 * slow


def test_copies_of_a_program_add_up():
    rates = race([Contender("pair", count_up, (0.02, 1), copies=2, parts=2)], repeats=1, seconds=0.4)
    assert 0 < rates["pair"][0] < 102


def test_nothing_temporary_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    race([Contender("it", leave_a_file)], repeats=1, seconds=0.1)
    assert not list(tmp_path.iterdir())


def test_the_time_to_a_score_is_that_of_own_turns():
    times = time_to([0.5, 0.9], [Contender("a", score, ([0.1, 0.6, 0.95], 0.2)), Contender("b", score, ([0.1, 0.6], 0.2))])
    assert 0.1 < times["a"][0] < times["a"][1] < NEVER
    assert times["b"][0] < NEVER
    assert times["b"][1] == NEVER


@pytest.mark.parametrize(("work", "message"), [(fail, "failed: ValueError: no luck"), (vanish, "was killed")])
def test_a_program_that_fails_is_one_line(work, message):
    with pytest.raises(UserError, match=message):
        race([Contender("it", work)], repeats=1, seconds=0.1)


def test_without_data_the_bundled_digits_are_used_and_said(tmp_path):
    said = []
    with bench.workspace_with_data(Workspace(tmp_path), said.append) as filled:
        assert filled.root != tmp_path
        assert (filled.input / "train.csv").exists()
    assert said[0].startswith("data: bundled digits, 1,437 training images")


def test_the_batched_engine_is_quicker():
    usual = Augmentation(rotation=10, engine="albumentations")
    works = [
        Contender("batched", contenders.augmentation, (Augmentation(rotation=10), 64), threads=1),
        Contender("albumentations", contenders.augmentation, (usual, 64), threads=1),
    ]
    rates = race(works, repeats=1, seconds=0.5)
    assert rates["batched"][0] > 5 * rates["albumentations"][0]


def test_operations_are_those_of_the_products(tmp_path):
    workspace = tiny_run.make_workspace(tmp_path)
    assert comparison.forward_operations(load("tiny", workspace), workspace) == 2 * (784 * 16 + 16 * 10)


@pytest.mark.slow
def test_all_rows_of_a_tiny_pipeline(tmp_path):
    workspace = tiny_run.make_workspace(tmp_path)
    settings = comparison.Settings(repeats=1, seconds=0.5, pipelines=("tiny",))
    rows = list(comparison.compare(workspace, full=True, settings=settings))
    assert len(rows) == 7
    assert all(row.ratio > 0 for row in rows[:5])
    assert all(row.reached and row.limit for row in rows[:5])
