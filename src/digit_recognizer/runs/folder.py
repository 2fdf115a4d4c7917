"""The names of all files in the folders of runs and members; no other module contains them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digit_recognizer.errors import UserError
from digit_recognizer.runs.member import Member
from digit_recognizer.workspace import Workspace


class _File:
    """An attribute of a folder's class: the path of the file (or subfolder) of this name in the folder."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, folder: Any, kind: type) -> Path:
        return folder.path / self.name


@dataclass(frozen=True)
class MemberFolder:
    """The folder of one member, `seed_<s>/fold_<k>/` or `full/seed_<s>/` in its run's."""

    path: Path

    model = _File("model.keras")
    summary = _File("summary.txt")  # Keras's table of the network's layers
    history = _File("history.csv")
    steps = _File("steps.csv")  # loss and accuracy every `measure_every` steps; only if that setting is not 0
    predictions = _File("predictions.npz")
    metrics = _File("metrics.json")  # written last: the member is finished when it exists
    confusion_table = _File("confusion.csv")
    confusion_picture = _File("confusion.png")
    checkpoint = _File("checkpoint.npz")  # the training state after the last epoch, while the member is unfinished
    tensorboard = _File("tensorboard")

    def __str__(self) -> str:
        return str(self.path)

    def best_model(self, suffix: str) -> Path:
        """Return the path of a model that the `checkpoint` setting saves."""
        return self.path / f"best_{suffix}.keras"

    @property
    def results(self) -> list[Path]:
        """The files that later commands read, whose SHA-256 sums are in metrics.json."""
        written = [self.model, self.summary, self.history, self.predictions]
        return [*written, self.steps] if self.steps.exists() else written


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run, `runs/<run>/`."""

    path: Path

    record = _File("experiment.json")
    folds = _File("folds.csv")
    oof = _File("oof.npz")
    test = _File("test.npz")
    errors = _File("errors.csv")
    metrics = _File("metrics.json")  # written last: the other files of the run are complete when it exists
    report = _File("report.html")
    labels = _File("labels.csv")  # the labels that are probably wrong, written with the report
    predictions = _File("predictions.csv")  # of the last `make predict`
    drawing = _File("draw")  # the drawing page
    log = _File("log.txt")  # the output of libraries during the training
    lock = _File(".lock")

    @classmethod
    def of(cls, workspace: Workspace, name: str) -> "RunFolder":
        """Return the folder of the run `name`, which needn't exist.

        Raises:
            UserError: the name, which may come from a file, is a path outside `runs/`.
        """
        if not name or "/" in name or name.startswith("."):
            raise UserError(f"'{name}' is not a valid name of a run: it has a '/' or begins with '.'")
        return cls(workspace.runs / name)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        return self.path.name

    def member(self, member: Member) -> MemberFolder:
        return MemberFolder(self.path / member.folder)

    @property
    def holds_members(self) -> bool:
        """Return whether the folder contains a member, finished or not."""
        return any(_member(path.relative_to(self.path)) for path in self.path.glob("*/*"))

    def finished(self) -> list[Member]:
        """Return the members that are finished: those of the folds by seed and fold, then those trained on all rows."""
        found = [_member(path.parent.relative_to(self.path)) for path in self.path.glob("*/*/metrics.json")]
        return sorted(filter(None, found), key=lambda member: (member.fold is None, member.seed, member.fold))


def _member(folder: Path) -> Member | None:
    """Return the member of this folder, given relative to the run's, or None if it is not a member's folder."""
    match = re.fullmatch(r"seed_(\d+)/fold_(\d+)|full/seed_(\d+)", folder.as_posix())
    if not match:
        return None
    seed, fold, seed_on_all_rows = match.groups()
    return Member(int(seed_on_all_rows), None) if fold is None else Member(int(seed), int(fold))
