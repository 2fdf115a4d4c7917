"""rehearsal/results.csv: the score of each rehearsed part, and the expected score of a real submission."""

import csv
import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from digit_recognizer import files, metrics
from digit_recognizer.errors import UserError, first_line
from digit_recognizer.metrics import Estimate
from digit_recognizer.rehearsal.parts import PARTS
from digit_recognizer.workspace import Workspace

CHECKSUM = "crc32"  # the last column: of the row's other cells


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
        lines = list(csv.DictReader(io.StringIO(path.read_text("utf-8")), strict=True))
        if not lines:
            raise ValueError("it has no row")
        rows = [_parsed(cells) for cells in lines]
        if not all(0 <= row.part < PARTS and 0 <= row.right <= row.n and row.n > 0 for row in rows):
            raise ValueError("a part, or a number of images, is out of range")
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path} is damaged ({first_line(error)}): delete it; `make rehearse` writes it again") from error
    return rows


def record_result(workspace: Workspace, result: PartResult) -> None:
    """Add a row to the table, in place of an older one of the same submission, settings and part."""
    same = ("pipeline", "settings", "part")
    rows = [row for row in read_results(workspace) if any(getattr(row, name) != getattr(result, name) for name in same)]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*(item.name for item in fields(PartResult)), CHECKSUM], lineterminator="\n")
    writer.writeheader()
    for row in [*rows, result]:
        cells = {name: str(value) for name, value in asdict(row).items()}
        writer.writerow(cells | {CHECKSUM: _checksum(cells)})
    files.write_text(results_path(workspace), text.getvalue())


def _parsed(cells: dict[str, str]) -> PartResult:
    """Return a row of the table; one without a checksum, of an earlier version, is accepted.

    Raises:
        ValueError: a cell is missing or invalid, or the row doesn't match its checksum.
    """
    checksum = cells.pop(CHECKSUM, None)
    if set(cells) != {item.name for item in fields(PartResult)} or None in cells.values():
        raise ValueError("a cell or column is missing, or there is one too many")
    if checksum not in (None, _checksum(cells)):
        raise ValueError("a row doesn't match its checksum")
    return PartResult(**{item.name: item.type(cells[item.name]) for item in fields(PartResult)})


def _checksum(cells: Mapping[str, str]) -> str:
    return str(zlib.crc32("\n".join(cells.values()).encode()))


def together(results: Sequence[PartResult]) -> Rehearsed:
    """Return the sum over parts."""
    return Rehearsed(sum(row.right for row in results), sum(row.n for row in results), len(results))
