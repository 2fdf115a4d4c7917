"""The names of all files in the folders of runs and members; no other module contains them."""

import re
from dataclasses import dataclass
from pathlib import Path

from digit_recognizer.errors import UserError
from digit_recognizer.runs.member import Member
from digit_recognizer.workspace import Workspace


@dataclass(frozen=True)
class MemberFolder:
    """The folder of one member, `seed_<s>/fold_<k>/` or `full/seed_<s>/` in its run's."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def model(self) -> Path:
        return self.path / "model.keras"

    @property
    def summary(self) -> Path:
        """Keras's table of the network's layers."""
        return self.path / "summary.txt"

    @property
    def history(self) -> Path:
        return self.path / "history.csv"

    @property
    def steps(self) -> Path:
        """Loss and accuracy every `measure_every` steps; only if that setting is not 0."""
        return self.path / "steps.csv"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions.npz"

    @property
    def metrics(self) -> Path:
        """Written last: the member is finished when it exists."""
        return self.path / "metrics.json"

    @property
    def confusion_table(self) -> Path:
        return self.path / "confusion.csv"

    @property
    def confusion_picture(self) -> Path:
        return self.path / "confusion.png"

    @property
    def checkpoint(self) -> Path:
        """The training state after the last epoch, while the member is unfinished."""
        return self.path / "checkpoint.npz"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

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

    @property
    def record(self) -> Path:
        return self.path / "experiment.json"

    @property
    def folds(self) -> Path:
        return self.path / "folds.csv"

    @property
    def oof(self) -> Path:
        return self.path / "oof.npz"

    @property
    def test(self) -> Path:
        return self.path / "test.npz"

    @property
    def errors(self) -> Path:
        return self.path / "errors.csv"

    @property
    def metrics(self) -> Path:
        """Written last: the other files of the run are complete when it exists."""
        return self.path / "metrics.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def labels(self) -> Path:
        """The labels that are probably wrong, written with the report."""
        return self.path / "labels.csv"

    @property
    def predictions(self) -> Path:
        """The predictions of the last `make predict`."""
        return self.path / "predictions.csv"

    @property
    def drawing(self) -> Path:
        """The drawing page."""
        return self.path / "draw"

    @property
    def log(self) -> Path:
        """The output of libraries during the training."""
        return self.path / "log.txt"

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    def member(self, member: Member) -> MemberFolder:
        """Return the folder of a member."""
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
