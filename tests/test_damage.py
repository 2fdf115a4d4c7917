"""One flipped bit in any file of a workspace: named in one line by the command that reads it, or without any effect."""

import contextlib
import functools
import io
import os
import random
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from tiny_run import make_workspace, request, train_here

from digit_recognizer.cli import main
from digit_recognizer.workspace import Workspace

RUN, MEMBER = "runs/tiny", "runs/tiny/seed_0/fold_1"
COMMANDS = {
    "status": ["status"],
    "report": ["report", "--run=tiny"],
    "compare": ["compare", "tiny", "tiny"],
    "ensemble": ["ensemble", "--run=tiny"],
    "submit": ["submit", "--run=tiny"],
    "verify": ["verify", "submissions/tiny.csv"],
    "evaluate": ["evaluate", "--run=tiny"],
    "predict": ["predict", "--run=tiny", "--images=input/test.csv"],
    "train": ["train", "--pipeline=tiny", "--set=folds=2 epochs=2 checkpoint=None"],
}
READERS = {  # which commands read a file
    f"{RUN}/experiment.json": ("status", "report", "compare", "ensemble", "verify", "evaluate", "predict", "train"),
    f"{RUN}/metrics.json": ("status", "report", "compare", "ensemble", "verify"),
    f"{RUN}/folds.csv": ("train", "report", "ensemble"),
    f"{RUN}/oof.npz": ("report", "compare", "ensemble", "verify"),
    f"{RUN}/test.npz": ("report", "ensemble", "verify"),
    f"{RUN}/errors.csv": ("report",),
    f"{MEMBER}/metrics.json": ("status", "report", "ensemble", "verify", "evaluate", "predict"),
    f"{MEMBER}/model.keras": ("evaluate", "predict", "report"),
    f"{MEMBER}/predictions.npz": ("report", "ensemble", "verify"),
    f"{MEMBER}/history.csv": ("report",),
    f"{MEMBER}/summary.txt": ("report",),
    f"{MEMBER}/confusion.csv": ("report",),
    "submissions/tiny.csv": ("submit", "verify"),
    "submissions/tiny.json": ("submit", "verify"),
    "input/dataset.json": ("submit", "verify", "report", "evaluate"),
    "input/train.csv": ("verify", "report", "compare"),
    "input/test_labels.csv": ("submit", "evaluate"),
    "input/.cache.npz": ("report", "ensemble", "compare"),
}
WRITTEN = (f"{RUN}/report.html", f"{RUN}/predictions.csv", f"{RUN}/oof.npz", "submissions/tiny.csv")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workspace with a trained run and its submission, on digits whose test labels are public."""
    workspace = make_workspace(tmp_path_factory.mktemp("trained") / "workspace", test_labels=True)
    train_here(request(workspace, folds=2, epochs=2, checkpoint=None), workspace)
    assert run_command(workspace, "ensemble")[0] == 0
    return workspace


def copied(workspace: Workspace, folder: Path) -> Workspace:
    """Return a copy at the same path for all, so that the paths in messages and files are equal."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("input", "pipelines", "runs", "submissions"):
        shutil.copytree(workspace.root / name, folder / name)
    return Workspace(folder)


def run_command(workspace: Workspace, command: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(workspace.root), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["--workspace", str(workspace.root), *COMMANDS[command]])
    return status, out.getvalue(), err.getvalue()


def outcome(workspace: Workspace, command: str) -> tuple:
    """Return exit status, what was printed, without times and the workspace's path, and what was written."""
    status, out, err = run_command(workspace, command)
    printed = re.sub(r"\d+ (s|min)\b", "TIME", (out + err).replace(str(workspace.root), "WORKSPACE"))
    printed = " ".join(printed.split())  # the width of a column depends on these times
    written = {name: (workspace.root / name).read_bytes() for name in WRITTEN if (workspace.root / name).exists()}
    return status, printed, written, err


def flip(path: Path, generator: random.Random) -> str:
    """Flip one bit of the file, and keep its time of modification; return which one."""
    content, stat = bytearray(path.read_bytes()), path.stat()
    place, bit = generator.randrange(len(content)), generator.randrange(8)
    content[place] ^= 1 << bit
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return f"bit {bit} of byte {place}"


def check_flips(name: str, flips: int, commands: Sequence[str], pristine: Workspace, folder: Path, seed: int) -> None:
    """Flip bits of a file, one at a time, and compare what a command then does with what it did before."""
    generator = random.Random(seed)

    @functools.cache
    def expected(command: str) -> tuple:
        found = outcome(copied(pristine, folder), command)
        assert found[0] == 0, found
        return found

    for _ in range(flips):
        command = generator.choice(commands)
        usual = expected(command)
        workspace = copied(pristine, folder)
        what = f"{flip(workspace.root / name, generator)} of {name}, {command}"
        status, printed, written, err = outcome(workspace, command)
        if status == 0:
            problem = command == "status" and "damaged" in printed
            others = {path for path in written if path != name or command == "train"}  # training writes it again
            unharmed = printed == usual[1] and all(written[path] == usual[2].get(path) for path in others)
            assert problem or unharmed, f"{what}: another result without an error\n{printed}"
        else:
            assert status == 1, what
            assert len(err.splitlines()) == 1, f"{what}\n{err}"
            assert "unexpected" not in err and "Traceback" not in err, f"{what}\n{err}"
            assert Path(name).name in err or "WORKSPACE" in printed, f"{what}\n{err}"


@pytest.mark.parametrize("name", [name for name in READERS if {"ensemble", "submit"} & set(READERS[name])])
def test_flipped_bit_is_named_or_without_effect(name, trained, tmp_path):
    commands = [command for command in READERS[name] if command in ("status", "compare", "ensemble", "submit")]
    check_flips(name, 3, commands, trained, tmp_path / "copy", seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_many_flipped_bits_are_named_or_without_effect(name, trained, tmp_path):
    check_flips(name, 20, READERS[name], trained, tmp_path / "copy", seed=2)
