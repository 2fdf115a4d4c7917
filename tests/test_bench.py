"""`make bench`: programs timed in turns, and the rows of the comparison."""

import os
import re
import tempfile
import time

import pytest
import tiny_run

from digit_recognizer import bench
from digit_recognizer.bench import comparison, workloads
from digit_recognizer.bench.gpu import measure_gpus
from digit_recognizer.bench.timing import NEVER, Program, measure_rates, measure_times
from digit_recognizer.cli import main
from digit_recognizer.cli.commands.benchmark import gpu_line
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Augmentation, load
from digit_recognizer.workspace import Workspace


def work_for(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def count_up(report, pause, step):
    total = 0
    while True:
        work_for(pause)
        total += step
        report(total)


def write_temporary_file(report):
    with tempfile.TemporaryDirectory():
        count_up(report, 0.02, 1)


def score(report, scores, pause):
    for value in scores:
        work_for(pause)
        report(value)


def fail(report):
    raise ValueError("no reason")


def exit_without_report(report):
    os._exit(3)


def test_rates_count_only_the_turns_of_the_program():
    rates = measure_rates([Program("slow", count_up, (0.02, 1)), Program("quick", count_up, (0.02, 3))], repeats=2, seconds=0.4)
    assert [len(values) for values in rates.values()] == [2, 2]
    for slow, quick in zip(rates["slow"], rates["quick"], strict=True):
        assert 0 < slow < 51
        assert quick > 1.3 * slow


def test_copies_of_a_program_add_up():
    rates = measure_rates([Program("pair", count_up, (0.02, 1), copies=2, parts=2)], repeats=1, seconds=0.4)
    assert 0 < rates["pair"][0] < 102


def test_nothing_temporary_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    measure_rates([Program("it", write_temporary_file)], repeats=1, seconds=0.1)
    assert not list(tmp_path.iterdir())


def test_time_to_a_score_counts_only_the_turns_of_the_program():
    times = measure_times([0.5, 0.9], [Program("a", score, ([0.1, 0.6, 0.95], 0.2)), Program("b", score, ([0.1, 0.6], 0.2))])
    assert 0.1 < times["a"][0] < times["a"][1] < NEVER
    assert times["b"][0] < NEVER
    assert times["b"][1] == NEVER


@pytest.mark.parametrize(("work", "message"), [(fail, "failed: ValueError: no reason"), (exit_without_report, "was killed")])
def test_failing_program_is_one_line(work, message):
    with pytest.raises(UserError, match=message):
        measure_rates([Program("it", work)], repeats=1, seconds=0.1)


def test_without_data_the_bundled_digits_are_used(tmp_path):
    progress = []
    with bench.workspace_with_data(Workspace(tmp_path), progress.append) as filled:
        assert filled.root != tmp_path
        assert (filled.input / "train.csv").exists()
    assert progress[0].startswith("data: bundled digits, 1,437 training images")


def test_batched_engine_is_faster():
    usual = Augmentation(rotation=10, engine="albumentations")
    works = [
        Program("batched", workloads.augmentation, (Augmentation(rotation=10), 64), threads=1),
        Program("albumentations", workloads.augmentation, (usual, 64), threads=1),
    ]
    rates = measure_rates(works, repeats=1, seconds=0.5)
    assert rates["batched"][0] > 5 * rates["albumentations"][0]


def test_operations_are_those_of_the_matrix_products(tmp_path):
    workspace = tiny_run.make_workspace(tmp_path)
    assert comparison.forward_operations(load("tiny", workspace), workspace) == 2 * (784 * 16 + 16 * 10)


def test_without_gpu_the_gpu_benchmark_is_refused(capsys):
    assert main(["bench", "--gpu"]) == 1
    assert "no GPU" in capsys.readouterr().err
    assert main(["bench", "--gpu", "--full"]) == 2


@pytest.mark.slow
def test_gpu_benchmark_trains_and_rehearses(tmp_path):
    workspace = tiny_run.make_workspace(tmp_path, rows=240)
    results = list(measure_gpus(workspace, pipelines=["tiny"], rehearsed="tiny", seconds=0.6))
    lines = [gpu_line(result) for result in results]
    assert re.fullmatch(r"matrix products, \w+: [\d.]+ TFLOP/s", lines[0])
    assert re.search(r"4 models in \d.*, [\d,]+ images/s, \d+\.\d% of the matrix rate, out of fold 0\.\d", lines[1])
    assert "one part rehearsed in" in lines[2]


@pytest.mark.slow
def test_all_rows_of_a_tiny_pipeline(tmp_path):
    workspace = tiny_run.make_workspace(tmp_path)
    settings = comparison.Settings(repeats=1, seconds=0.5, pipelines=("tiny",))
    rows = list(comparison.compare(workspace, full=True, settings=settings))
    assert len(rows) == 7
    assert all(row.ratio > 0 for row in rows[:5])
    assert all(row.reached and row.limit for row in rows[:5])
