"""Records of the notebooks that were pushed to Kaggle and whose output is not downloaded yet.

`remote/<notebook>-<token>.json` is the record; the folder of the same name is for the notebook's output.
"""

import datetime
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from digit_recognizer import files
from digit_recognizer.errors import UserError
from digit_recognizer.remote import notebooks
from digit_recognizer.remote.notebooks import Notebook
from digit_recognizer.workspace import Workspace


@dataclass(frozen=True)
class Pushed:
    """A pushed notebook; `runs` are those whose members have not been moved from its output yet."""

    owner: str
    slug: str
    token: str
    time: str  # ISO 8601, UTC
    commands: list[list[str]]
    runs: dict[str, str]  # run name -> hash of its settings and data
    git_commit: str
    events: int = 0  # number of log events that were shown
    pushes: int = 1
    fetched: bool = False
    problem: str = ""  # why not all of its models are trained

    @property
    def notebook(self) -> Notebook:
        return Notebook(self.owner, self.slug)

    @property
    def age(self) -> float:
        """Seconds since it was pushed."""
        began = datetime.datetime.fromisoformat(self.time)
        return (datetime.datetime.now(datetime.UTC) - began).total_seconds()


class PushedStatus(NamedTuple):
    """The status of a pushed notebook; `state` is the error if Kaggle could not be reached."""

    pushed: Pushed
    state: str


def pushed_statuses(workspace: Workspace) -> list[PushedStatus]:
    """Return the notebooks of a workspace whose results are not fetched yet, with their states on Kaggle."""
    found = []
    for pushed in PushedStore(workspace).all():
        try:
            status = notebooks.status(pushed.notebook)
            state = status.state if status else "not on Kaggle"
        except UserError as error:
            state = f"not known ({error})"
        found.append(PushedStatus(pushed, state))
    return found


@dataclass(frozen=True)
class PushedStore:
    """Reads and writes the records of pushed notebooks in a workspace."""

    workspace: Workspace

    @property
    def folder(self) -> Path:
        return self.workspace.root / "remote"

    def path(self, pushed: Pushed) -> Path:
        return self.folder / f"{pushed.slug}-{pushed.token}.json"

    def output(self, pushed: Pushed) -> Path:
        return self.path(pushed).with_suffix("")

    def all(self) -> list[Pushed]:
        """Return all records, the oldest first.

        Raises:
            UserError: a record is damaged.
        """
        remedy = "delete it, and fetch the notebook's output from its page on Kaggle"
        found = [files.read_record(path, Pushed, remedy) for path in self.folder.glob("*.json")]
        return sorted(found, key=lambda pushed: pushed.time)

    def of_run(self, run: str) -> Pushed | None:
        """Return the notebook that trains the run, or None."""
        return next((pushed for pushed in self.all() if run in pushed.runs), None)

    def save(self, pushed: Pushed) -> Pushed:
        files.write_record(self.path(pushed), pushed)
        return pushed

    def remove_run(self, pushed: Pushed, run: str) -> None:
        """Record that a run's members were moved; after the last run, delete the record and the output."""
        left = {name: identity for name, identity in pushed.runs.items() if name != run}
        if left:
            self.save(replace(pushed, runs=left))
        else:
            self.remove(pushed)

    def remove(self, pushed: Pushed) -> None:
        shutil.rmtree(self.output(pushed), ignore_errors=True)
        self.path(pushed).unlink(missing_ok=True)
