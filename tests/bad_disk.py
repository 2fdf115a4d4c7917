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
    """Limit files to `limit` bytes, so that writing more fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def on_a_read_only_disk(folder: Path, call: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command in a process for which `folder` is on a disk mounted read-only."""
    place = shlex.quote(str(folder))
    mounting = f"mount --bind {place} {place} && mount -o remount,bind,ro {place}"
    private = ["unshare", "--map-root-user", "--mount"]  # for that process only; some systems allow it without root
    if subprocess.run([*private, "sh", "-c", mounting], capture_output=True, check=False).returncode:
        pytest.skip("this machine doesn't allow mounting a disk")
    command = f"{mounting} && exec {shlex.join(call)}"
    return subprocess.run([*private, "sh", "-c", command], capture_output=True, text=True, check=False)
