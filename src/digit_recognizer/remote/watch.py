"""Watching a notebook on Kaggle until it ends, and downloading its output."""

import collections
import re
import shutil
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from digit_recognizer import files
from digit_recognizer.errors import UserError
from digit_recognizer.formatting import duration
from digit_recognizer.kaggle_client import PAGE, UnreachableError
from digit_recognizer.remote import notebooks
from digit_recognizer.remote.notebooks import Status
from digit_recognizer.remote.pushed import Pushed, PushedStore
from digit_recognizer.remote.session import ARCHIVE, RESULT, SessionResult
from digit_recognizer.training.events import LogLine, OnEvent, Warned

POLL_SECONDS = 15.0
OUTAGE_SECONDS = 3600.0  # without an answer, after which watching ends
TAIL = 10  # lines of the log that a failed notebook shows
SAME_COMMAND = "the same command continues to watch it, also on another day"


class Watch:
    """Follows one notebook until it ends."""

    def __init__(self, pushed: Pushed, store: PushedStore, on_event: OnEvent) -> None:
        self.pushed, self.store, self.on_event = pushed, store, on_event
        self.tail: collections.deque[str] = collections.deque(maxlen=TAIL)
        self.shown = 0  # lines, by this object

    def until_end(self) -> Status:
        """Show log lines until the notebook ends; return the final status."""
        notebook, before = self.pushed.notebook, ""
        while True:
            status = self.persistently(lambda: notebooks.status(notebook))
            if status is None:
                self.store.remove(self.pushed)
                raise UserError(f"{notebook} is no longer on Kaggle: run the same command to push it again")
            if status.state != before:
                self.on_event(LogLine(f"Kaggle: {status.state}"))
                before = status.state
            if status.state != "queued":
                self._show_log()
            if status.state in ("complete", "error", "cancelled"):
                return status
            time.sleep(POLL_SECONDS)

    def _show_log(self) -> None:
        """Show new lines; return when no more come for a while."""
        count, rest = 0, ""
        self.tail.clear()
        try:
            for text in notebooks.log_events(self.pushed.notebook):
                count += 1
                *lines, rest = (rest + text).split("\n")
                self.tail += filter(str.strip, lines)
                if count > self.pushed.events:
                    self.pushed = replace(self.pushed, events=count)
                    for line in lines:
                        self.on_event(LogLine(f"  {line}"))
                        self.shown += 1
        finally:
            self.store.save(self.pushed)

    def persistently(self, ask: Callable[[], Any]) -> Any:
        """Call `ask` and return its result; retry for up to an hour without an answer from Kaggle.

        Raises:
            UserError: no answer for OUTAGE_SECONDS, or any that `ask` raises but UnreachableError.
        """
        began: float | None = None
        while True:
            try:
                return ask()
            except UnreachableError as error:
                if began is None:
                    began = time.monotonic()
                    self.on_event(Warned(f"{error}; trying again for {duration(OUTAGE_SECONDS)}"))
                if time.monotonic() - began > OUTAGE_SECONDS:
                    raise UserError(
                        f"no answer from Kaggle for {duration(OUTAGE_SECONDS)}: {self.pushed.notebook} continues there, and "
                        f"{SAME_COMMAND}"
                    ) from None
                time.sleep(POLL_SECONDS)


def download(pushed: Pushed, folder: Path) -> SessionResult | None:
    """Download the notebook's output and return its result, or None if it has no result of this training."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    notebooks.download_output(pushed.notebook, [RESULT, ARCHIVE], folder)
    if not (folder / RESULT).exists():
        return None
    return files.read_record(folder / RESULT, SessionResult, "run the same command again to download it again")


def unpack(folder: Path, result: SessionResult) -> None:
    """Check and unpack the archive; only files of runs are taken."""
    archive = folder / ARCHIVE
    if not archive.exists() or files.sha256_of(archive) != result.sha256:
        raise UserError(f"the notebook's output {ARCHIVE} is incomplete or damaged: run the same command to download it again")
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            if re.fullmatch(r"runs/[^/]+(/[^/]+)*", entry.filename) and not {"..", "."} & set(entry.filename.split("/")):
                opened.extract(entry, folder)
    archive.unlink()


def failure(pushed: Pushed, status: Status, result: SessionResult | None, watch: Watch, on_event: OnEvent) -> UserError:
    """Show the last log lines of a notebook that failed, and return the error."""
    notebook = pushed.notebook
    match result.outcome if result else None:
        case "no gpu":
            return UserError(
                f"Kaggle gave {notebook} no GPU: verify your phone number at https://www.kaggle.com/settings, which also shows "
                "the GPU hours left"
            )
        case "no data":
            return UserError(f"{notebook} found no data of the competition: accept the rules at {PAGE}/rules and try again")
        case "other data":
            return UserError("Kaggle's files differ from those in input/: fetch them again with `make data FORCE=1`")
    for line in () if watch.shown else watch.tail:
        on_event(LogLine(f"  {line}"))
    if status.state == "cancelled":
        return UserError(f"{notebook} was stopped on Kaggle before it had saved anything: run the same command again")
    reason = (result and result.message) or status.reason or (watch.tail[-1] if watch.tail else "no reason given")
    return UserError(f"{notebook} failed: {reason} (its log: {notebook.page})")
