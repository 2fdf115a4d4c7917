"""rehearsal/results.csv: the score of each rehearsed part, and the expected score of a real submission."""

import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from digit_recognizer import files, metrics
from digit_recognizer.errors import UserError, first_line
from digit_recognizer.metrics import Estimate
from digit_recognizer.rehearsal.parts import PARTS
from digit_recognizer.workspace import Workspace


@dataclass(frozen=True)
class PartResult:
    """One row of the table: a submission of a part, scored on the part's labels."""

    pipeline: str  # the submission's name: a run, or `a+b`
    settings: str  # hash of the settings and members of its runs
    part: int
    right: int
    n: int
    oof: float  # out-of-fold accuracy of the same models
    seconds: float  # of training, all models together
    commit: str

    @property
    def accuracy(self) -> Estimate:
        """Accuracy on the part, with its 95 % interval."""
        return metrics.proportion(self.right, self.n)


@dataclass(frozen=True)
class Rehearsed:
    """The score of a submission on all rehearsed parts together."""

    right: int
    n: int
    parts: int

    @property
    def accuracy(self) -> Estimate:
        """Accuracy on all parts, with its 95 % interval."""
        return metrics.proportion(self.right, self.n)


def results_path(workspace: Workspace) -> Path:
    """Return the table's path."""
    return workspace.root / "rehearsal" / "results.csv"


def read_results(workspace: Workspace) -> list[PartResult]:
    """Return the rows of the table, the oldest first; empty if there is no table.

    Raises:
        UserError: the table is damaged.
    """
    path = results_path(workspace)
    if not path.exists():
        return []
    try:
        table = pd.read_csv(io.StringIO(path.read_text("utf-8")), dtype={"pipeline": str, "settings": str, "commit": str})
        rows = [PartResult(**row) for row in table.to_dict("records")]
        if not all(0 <= row.part < PARTS and 0 <= row.right <= row.n and row.n > 0 for row in rows):
            raise ValueError("a part, or a number of images, is out of range")
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged ({first_line(error)}): delete it; `make rehearse` writes it again") from error
    return rows


def record_result(workspace: Workspace, result: PartResult) -> None:
    """Add a row to the table, in place of an older one of the same submission, settings and part."""
    same = ("pipeline", "settings", "part")
    rows = [row for row in read_results(workspace) if any(getattr(row, name) != getattr(result, name) for name in same)]
    table = pd.DataFrame([dataclasses.asdict(row) for row in [*rows, result]])
    files.write_text(results_path(workspace), table.to_csv(index=False, lineterminator="\n"))


def together(results: Sequence[PartResult]) -> Rehearsed:
    """Return the sum over parts."""
    return Rehearsed(sum(row.right for row in results), sum(row.n for row in results), len(results))
