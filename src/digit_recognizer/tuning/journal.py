"""A study in a local file: Optuna's journal, one JSON object per line, with a checksum in each line."""

import errno
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from digit_recognizer import files
from digit_recognizer.errors import DiskFullError, UserError, first_line
from digit_recognizer.workspace import Workspace

CHECKSUM = "crc32"  # a field that Optuna's own tools ignore


def path_of(name: str, workspace: Workspace) -> Path:
    return workspace.studies / f"{name}.journal"


def open_journal(path: Path) -> JournalStorage:
    """Return the Optuna storage of a journal. Reading needs no write permission; the first entry creates the file.

    Raises:
        UserError: the file is damaged or can't be read.
    """
    try:
        return JournalStorage(JournalFile(path))
    except UserError:
        raise
    except Exception as error:  # invalid entries raise anything from KeyError to AssertionError
        raise UserError(_damaged(path, f"{type(error).__name__}: {first_line(error)}")) from error


class JournalFile(BaseJournalBackend):
    """A journal in the format of Optuna's JournalFileBackend, with three differences.

    It uses a kernel lock, which is released when the process is killed, instead of a lock file. An incomplete last line of a
    killed writer is removed by the next writer. Blank lines are skipped, damaged ones raise an error.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offsets = [0]  # of each entry read so far, and of the next one

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the entries from that number on, up to the last whole line."""
        number, offset = log_number_from, self._offsets[log_number_from]
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        return  # it is still being written
                    offset += len(line)
                    if line.strip():
                        entry = self._parsed(line)
                        number += 1
                        self._offsets[number:] = [offset]
                        yield entry
        except FileNotFoundError:
            return
        except OSError as error:
            raise UserError(f"{self.path} can't be read: {error.strerror}") from error

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write entries and wait until they are on the disk.

        Raises:
            UserError: the file can't be written; DiskFullError: the disk is full.
        """
        lines = [json.dumps({**log, CHECKSUM: _checksum(log)}, separators=(",", ":")) + "\n" for log in logs]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with files.open_to_append(self.path) as file:
                files.lock(file)
                _cut_unfinished_line(file)
                file.write("".join(lines).encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            kind = DiskFullError if error.errno == errno.ENOSPC else UserError
            raise kind(f"{self.path} can't be written: {error.strerror}; the same command resumes the study") from error

    def _parsed(self, line: bytes) -> dict[str, Any]:
        try:
            entry = json.loads(line)
            if entry.pop(CHECKSUM, None) in (None, _checksum(entry)):  # lines by Optuna's own tools have no checksum
                return entry
            problem = "its content doesn't match its checksum"
        except (ValueError, AttributeError) as error:
            problem = str(error)
        raise UserError(_damaged(self.path, f"line {line[:40].decode(errors='replace')!r}...: {problem}"))


def _damaged(path: Path, problem: str) -> str:
    return f"{path} is damaged ({problem}): restore it from a copy, or move it away to start a new study"


def _checksum(entry: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(entry, separators=(",", ":")).encode())


def _cut_unfinished_line(file: BinaryIO) -> None:
    if size := file.seek(0, os.SEEK_END):
        file.seek(size - 1)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
