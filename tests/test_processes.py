"""Operating system functions of training processes, on Linux and other systems."""

import subprocess
import sys
import time

import pytest

from digit_recognizer.training import processes

CHILD = """
import os, sys, time
sys.platform = sys.argv[2]
from digit_recognizer.training.processes import die_with_parent
die_with_parent(int(sys.argv[1]))
print(os.getpid(), flush=True)
time.sleep(600)
"""
PARENT = """
import os, subprocess, sys
subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid()), sys.argv[2]])
sys.stdin.read()
"""


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_process_ends_with_its_parent(platform):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    parent = subprocess.Popen([sys.executable, "-c", PARENT, CHILD, platform], **pipes)
    child = int(parent.stdout.readline())
    assert running(child)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 30
    while running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(child)


def running(process: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_peak_memory_is_in_bytes_on_linux_and_macos(monkeypatch):
    """Linux counts kilobytes, macOS bytes."""
    on_linux = processes.peak_memory()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert 1024 * processes.peak_memory() >= on_linux > 2**20
