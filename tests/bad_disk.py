"""Disks that are full or read-only."""

import contextlib
import resource
import shlex
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest


@contextlib.contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """Let no file grow beyond `limit` bytes, which fails as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def on_a_read_only_disk(folder: Path, call: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command in a process for which `folder` lies on a disk that is mounted read-only."""
    place = shlex.quote(str(folder))
    mounting = f"mount --bind {place} {place} && mount -o remount,bind,ro {place}"
    private = ["unshare", "--map-root-user", "--mount"]  # for that process alone; root is not needed everywhere
    if subprocess.run([*private, "sh", "-c", mounting], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a disk")
    command = f"{mounting} && exec {shlex.join(call)}"
    return subprocess.run([*private, "sh", "-c", command], capture_output=True, text=True, check=False)
