"""After a kill at any moment, the same `train` command resumes and gives the same bytes as an uninterrupted run."""

import contextlib
import json
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from tiny_run import environment, make_workspace, probabilities

from digit_recognizer.ensemble import blending
from digit_recognizer.errors import UserError
from digit_recognizer.runs import lifecycle

EPOCHS = 40
SETTINGS = (
    f"network_options.hidden=1000 checkpoint=None epochs={EPOCHS} learning_rate=0.003 "
    "early_stopping.patience=5 early_stopping.min_delta=0.05 reduce_lr_on_plateau.patience=2"
)
# When to kill: `training` any time after an epoch, `checkpoint` while the checkpoint is written, `results` while models,
# predictions or the run's files are, `start` any time in the first seconds.
CHECKPOINT = re.compile(r"\.checkpoint\.\d+\.npz")
RESULTS = re.compile(r"\.(model|history|predictions|confusion|metrics|oof|test|errors)\.\d+\.\w+")

# Files of a rehearsed part in the order in which they are written; the command is killed when one is there.
REHEARSAL_FILES = ("input/train.csv", "input/dataset.json", "runs/tiny/folds.csv", "runs/tiny/oof.npz", "submissions/tiny.csv")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return make_workspace(tmp_path_factory.mktemp("killed"))


class Command:
    """Runs `digit-recognizer train`, each time in a new process."""

    def __init__(self, workspace, backend="tensorflow"):
        self.workspace, self.output = workspace, workspace.root / "output.txt"
        self.environment = environment(KERAS_BACKEND=backend, OUTPUT=str(self.output))

    def train(self, run, *, jobs=2, folds="3,1,0", settings=""):
        """Start the command and return its process id."""
        options = [f"--run={run}", f"--jobs={jobs}", f"--folds={folds}", f"--set={SETTINGS} {settings}"]
        return self.start(["--workspace", str(self.workspace.root), "train", "--pipeline=tiny", *options])

    def start(self, arguments):
        with self.output.open("a") as output:
            command = [sys.executable, "-m", "digit_recognizer", *arguments]
            self.process = subprocess.Popen(command, env=self.environment, stdout=output, stderr=output)
        return self.process.pid

    def ended(self):
        return self.process.poll() is not None

    def status(self):
        """Wait for the process and return its exit status, negative for a signal."""
        return self.process.wait()


class ForkedCommand(Command):
    """The same without importing Keras each time; see killable_train.py."""

    def __init__(self, workspace, backend="tensorflow"):
        super().__init__(workspace, backend)
        command = [sys.executable, str(Path(__file__).with_name("killable_train.py"))]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.server = subprocess.Popen(
            command, env=self.environment, text=True, bufsize=1, **pipes, stderr=self.output.open("a")
        )
        assert self.server.stdout.readline() == "ready\n"

    def start(self, arguments):
        self.code = None
        self.server.stdin.write("\t".join(arguments) + "\n")
        return int(self.server.stdout.readline())

    def ended(self):
        return self.code is not None or bool(select.select([self.server.stdout], [], [], 0)[0])

    def status(self):
        if self.code is None:
            self.code = int(self.server.stdout.readline())
        return self.code


def half_written(run, pattern):
    """Return the temporary files of the run, which are being written or were left by a killed process."""
    folders = [run, *run.glob("seed_*/fold_*")]
    return {path for folder in folders if folder.exists() for path in folder.iterdir() if pattern.fullmatch(path.name)}


def epochs(run):
    """Return a value that changes with each saved epoch."""
    found = {}
    for path in run.glob("seed_*/fold_*/checkpoint.npz"):
        with contextlib.suppress(FileNotFoundError):  # its member has just been finished
            found[path] = path.stat().st_mtime_ns
    return found


def wait_for(moment, command, run, rng, old):
    """Wait for the moment to kill or the end of the command; `old` are temporary files of an earlier kill."""
    before = epochs(run)
    if moment == "start":
        time.sleep(rng.uniform(0, 3))
    elif moment == "results":
        while not command.ended() and not half_written(run, RESULTS) - old:
            time.sleep(0.0005)
    else:
        while not command.ended() and epochs(run) == before:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 1) if moment == "training" else 0)
        while moment == "checkpoint" and not command.ended() and not half_written(run, CHECKPOINT) - old:
            pass


def kill(command, process, run, old):
    """Kill the command's process but not its workers; return what was interrupted, or None if it had already ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    if command.status() != -signal.SIGKILL:
        return None
    while not free(run):  # the kernel ends the workers, which share the lock if they were forked
        time.sleep(0.01)
    return "checkpoint" if half_written(run, CHECKPOINT) - old else "results" if half_written(run, RESULTS) - old else "else"


def free(run):
    try:
        with lifecycle.locked(run):
            return True
    except UserError:
        return False


def train_with_kills(command, run, moments, rng, **options):
    """Train to the end with kills at each of `moments`, which are removed when hit; return how often each was hit."""
    hits, folder = Counter(), command.workspace.run(run)
    while True:
        old = half_written(folder, CHECKPOINT) | half_written(folder, RESULTS)
        process = command.train(run, **options)
        if not moments:
            break
        rng.shuffle(moments)
        wait_for(moments[0], command, folder, rng, old)
        if command.ended() or not (hit := kill(command, process, folder, old)):
            break
        if hit == "else":
            hit = moments[0] if moments[0] in ("start", "training") else "training"
        hits[hit] += 1
        if hit in moments:
            moments.remove(hit)
    assert command.status() == 0, command.output.read_text()[-2000:]
    assert not half_written(folder, CHECKPOINT) and not half_written(folder, RESULTS)
    return hits


def outcome(workspace, run):
    """Return the bytes that must be equal: OOF and test probabilities, and the submission."""
    blend = blending.compute_blend(workspace, [run], run)
    blending.write_blend(blend, workspace)
    return probabilities(workspace.run(run)) | {"submission": blend.csv.read_bytes()}


def check(straight, killed, name, moments, **options):
    """Compare runs that are killed at `moments` with one that is not; return how often each moment was hit."""
    settings = {"settings": options.get("settings", "")}
    straight.train(f"{name}-straight", jobs=1, folds="0,1,3", **settings)
    assert straight.status() == 0, straight.output.read_text()[-2000:]
    wanted = outcome(straight.workspace, f"{name}-straight")
    scores = straight.workspace.run(f"{name}-straight").glob("seed_*/fold_*/metrics.json")
    assert any(json.loads(path.read_text("utf-8"))["epochs"] < EPOCHS for path in scores), "early stopping was to end one"
    rng, hits = random.Random(name), Counter()
    for number in range(100):
        run = f"{name}-{number}"
        hits += train_with_kills(killed, run, moments, rng, **options)
        assert outcome(killed.workspace, run) == wanted, f"{run}: other bytes after {dict(hits)}"
        if not moments:
            print(f"{name}: {dict(hits)} in {number + 1} runs")
            return hits
    raise AssertionError(f"never hit: {moments}")


@pytest.mark.slow
def test_killed_command_resumes_to_the_same_bytes(workspace):
    command = Command(workspace)
    check(ForkedCommand(workspace), command, "plain", ["checkpoint", "training"], jobs=2)


@pytest.mark.slow
def test_killed_rehearsal_resumes_to_the_same_result(tmp_path):
    results = []
    for name, moments in {"straight": (), "killed": REHEARSAL_FILES}.items():
        command = Command(make_workspace(tmp_path / name, rows=400))
        arguments = ["--workspace", str(command.workspace.root), "rehearse", "--pipeline=tiny", "--set=epochs=2"]
        part = command.workspace.root / "rehearsal" / "part_0"
        for file in moments:
            process = command.start(arguments)
            while not (part / file).exists() and not command.ended():
                time.sleep(0.001)
            os.kill(process, signal.SIGKILL)
            assert command.status() == -signal.SIGKILL, command.output.read_text()
        command.start(arguments)
        assert command.status() == 0, command.output.read_text()
        table = pd.read_csv(part.parent / "results.csv").drop(columns=["seconds", "commit", "crc32"])
        results.append((table.to_dict("records"), (part / "submissions" / "tiny.csv").read_bytes()))
    assert results[0] == results[1]


@pytest.fixture
def small_disk(workspace):
    """`runs/` on a disk of a few megabytes."""
    if sys.platform != "linux" or os.geteuid():
        pytest.skip("mounting a small disk needs root on Linux")
    workspace.runs.mkdir(exist_ok=True)
    options = ["-t", "tmpfs", "-o", "size=8m", "tmpfs", str(workspace.runs)]
    if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        pytest.skip("this machine doesn't allow mounting a disk")
    yield workspace.runs
    subprocess.run(["umount", "--lazy", str(workspace.runs)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_a_one_line_error_and_training_resumes_to_the_same_bytes(workspace, small_disk):
    def train(run):
        """Return the exit status and the printed text."""
        command.output.write_text("")
        command.train(run, jobs=2, folds="1,0", settings="network_options.hidden=16 epochs=6")
        return command.status(), command.output.read_text().splitlines()

    command = ForkedCommand(workspace)
    assert train("straight")[0] == 0
    wanted = probabilities(small_disk / "straight")
    ballast = small_disk / "ballast"
    for left in (0, 20_000, 150_000, 400_000):  # bytes; less than two members need
        ballast.write_bytes(bytes(os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_bsize - left))
        status, lines = train(f"filled-{left}")
        complaints = [line for line in lines if line.startswith("digit-recognizer: ")]
        assert status == 1, (left, lines)
        assert len(complaints) == 1 and "disk is full" in complaints[0], (left, lines)
        assert not any("Traceback" in line for line in lines), (left, lines)
        ballast.unlink()
        assert train(f"filled-{left}")[0] == 0
        assert probabilities(small_disk / f"filled-{left}") == wanted
        shutil.rmtree(small_disk / f"filled-{left}")


# When each backend and engine is killed: 51 times in all. `checkpoint` and `results` count only if the half file is left.
KILLS = {
    "tensorflow": {"training": 13, "checkpoint": 6, "results": 3, "start": 2},
    "albumentations": {"training": 6, "checkpoint": 3, "results": 1},
    "jax": {"training": 10, "checkpoint": 4, "results": 2, "start": 1},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", KILLS)
def test_fifty_kills_give_the_same_bytes(workspace, name):
    command = ForkedCommand(workspace, "jax" if name == "jax" else "tensorflow")
    settings = {"albumentations": "augmentation.engine='albumentations'", "jax": "digit_widths=(0,20)"}.get(name, "")
    hits = check(command, command, name, list(Counter(KILLS[name]).elements()), settings=settings)
    assert all(hits[moment] >= count for moment, count in KILLS[name].items())
    assert sum(sum(kills.values()) for kills in KILLS.values()) >= 50
    assert sum(kills["checkpoint"] for kills in KILLS.values()) >= 10
