"""Training members in separate processes."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest
from tiny_run import environment, probabilities, request

from digit_recognizer.errors import UserError
from digit_recognizer.training.cross_validation import train
from digit_recognizer.training.events import EpochEnded

pytestmark = pytest.mark.filterwarnings("ignore:`shuffle=True`", "ignore:__array__ implementation")  # Keras's own


def test_pipeline_edited_before_the_workers_load_it_is_not_trained(copied):
    wanted = request(copied, "edited")
    wanted.pipeline.file.write_text(wanted.pipeline.file.read_text() + "\n# edited\n")
    with pytest.raises(UserError, match=r"tiny\.py was edited during the training: run the same command again"):
        train(wanted, copied)


def test_parallel_and_sequential_training_give_the_same_bytes(tiny):
    found = []
    for run, jobs, only in (("one", 1, [0, 2]), ("two", 2, [2, 0])):
        train(request(tiny, run, only=only, jobs=jobs), tiny)
        found.append(probabilities(tiny.run(run)))
    assert found[0] == found[1]


def test_killed_worker_is_a_one_line_error(tiny):
    def kill_worker(event):
        if isinstance(event, EpochEnded):
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    with pytest.raises(UserError, match=r"seed 0 fold 0: its process was killed, .*JOBS=1\); the same command resumes"):
        train(request(tiny, "killed", only=[0], epochs=1000, early_stopping__patience=999), tiny, kill_worker)
    assert not multiprocessing.active_children()


def test_deleted_pipeline_is_a_one_line_error(copied):
    def delete(event):
        (copied.root / "pipelines" / "tiny.py").unlink(missing_ok=True)

    with pytest.raises(UserError, match=r"seed 0 fold 0: PIPELINE=.*tiny\.py: there is no such file"):
        train(request(copied, "deleted", only=[0]), copied, delete)


def test_worker_that_cannot_start_is_a_one_line_error(tiny, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    multiprocessing.set_executable("/bin/false")
    try:
        with pytest.raises(UserError, match=r"seed 0 fold 0: its process ended with exit status 1: "):
            train(request(tiny, "unstarted", only=[0]), tiny)
    finally:
        monkeypatch.undo()
        multiprocessing.set_executable(sys.executable)


def test_ctrl_c_ends_all_processes_and_prints_one_line(tiny):
    command = [sys.executable, "-m", "digit_recognizer", "--workspace", str(tiny.root)]
    command += [
        "train",
        "--pipeline=tiny",
        "--run=stopped-by-hand",
        "--folds=0",
        "--set=epochs=5000 early_stopping.patience=5000",
    ]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=environment(), start_new_session=True, **pipes)
    while "epoch 1/" not in process.stdout.readline():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == "digit-recognizer: stopped: finished work is kept, and the same command resumes"
    assert "Traceback" not in output + (tiny.run("stopped-by-hand") / "log.txt").read_text()
    with pytest.raises(ProcessLookupError):  # the last one, Python's own, takes a moment
        for _ in range(1000):
            os.killpg(process.pid, 0)
            time.sleep(0.01)
    assert (tiny.run("stopped-by-hand") / "seed_0/fold_0/checkpoint.npz").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
@pytest.mark.parametrize("gigabytes", [1, 2])
def test_too_little_memory_gives_one_line(tiny, gigabytes):
    """With less, TensorFlow can't be loaded; with more, a later allocation fails in C++."""
    command = f"ulimit -v {gigabytes * 2**20}; exec {sys.executable} -m digit_recognizer --workspace '{tiny.root}' train"
    command += " --pipeline=tiny --run=little-memory --folds=0"
    done = subprocess.run(["bash", "-c", command], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert "memory" in line and "JOBS=1" in line
