"""submissions/ledger.csv: one row per submission to Kaggle; it may be edited by hand or in Excel."""

import contextlib
import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from digit_recognizer import files, kaggle_client
from digit_recognizer.errors import UserError
from digit_recognizer.formatting import decimals, utc_now
from digit_recognizer.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row, with its columns in this order; cells are text, so that the user's edits are kept.

    status: sending (no answer from Kaggle yet), pending (no score yet), complete, error (can't be scored), refused (it did
    not arrive).
    """

    time: str = ""
    file: str
    sha256: str
    runs: str = ""
    git_commit: str = ""
    oof_accuracy: str = ""
    rehearsed: str = ""  # accuracy on mock test sets
    status: str
    ref: str = ""  # Kaggle's number
    public_score: str = ""
    message: str = ""
    others: dict[str, str] = field(default_factory=dict)  # columns that the user added

    @property
    def score(self) -> float | None:
        """The public score, or None while there is none."""
        return _number(self.public_score)

    @property
    def accuracy(self) -> float | None:
        """The out-of-fold accuracy of the submission, or None if it isn't known."""
        return _number(self.oof_accuracy)

    @property
    def expected(self) -> float | None:
        """The rehearsed accuracy of the submission, or None if it was not rehearsed."""
        return _number(self.rehearsed)

    @property
    def number(self) -> int | None:
        """Kaggle's number for the submission, or None before it has one."""
        value = _number(self.ref)
        return int(value) if value else None

    @property
    def tag(self) -> str:
        """The end of the description on Kaggle, by which the submission is found in the list of all submissions."""
        return f"[{self.sha256[:12]}]"


STATUSES = ("sending", "pending", "complete", "error", "refused")
COLUMNS = tuple(item.name for item in fields(Entry) if item.name != "others")
REQUIRED = ("file", "sha256", "status")


def path_of(workspace: Workspace) -> Path:
    return workspace.submissions / "ledger.csv"


def read_ledger(workspace: Workspace) -> list[Entry]:
    """Return all entries, oldest first; [] before the first submission.

    Commas, semicolons and tabs, any line ends, a byte order mark, UTF-16, and columns in any order and number are accepted.

    Raises:
        UserError: it can't be read, its columns are missing, or a cell is invalid.
    """
    return _read(path_of(workspace))


def append(workspace: Workspace, entry: Entry) -> None:
    """Add an entry, with the time if it has none."""
    with _locked(workspace) as entries:
        entries.append(entry if entry.time else replace(entry, time=utc_now()))


def update(workspace: Workspace, sha256: str, **cells: str) -> None:
    """Change cells of the latest entry with this sha256."""
    with _locked(workspace) as entries:
        place = max((number for number, entry in enumerate(entries) if entry.sha256 == sha256), default=None)
        if place is not None:  # the user may have deleted it in the meantime
            entries[place] = replace(entries[place], **cells)


def best_score(entries: list[Entry]) -> float | None:
    return max((entry.score for entry in entries if entry.score is not None), default=None)


def best_scores_by_run(workspace: Workspace) -> dict[str, float]:
    """Return the best public score by the names of the runs that were submitted, `a b` for a blend."""
    with contextlib.suppress(UserError):  # `ledger` explains an unreadable file
        scored = [(entry.runs, entry.score) for entry in read_ledger(workspace) if entry.score is not None]
        return dict(sorted(scored, key=lambda pair: pair[1]))
    return {}


def ask_kaggle(entries: Sequence[Entry]) -> list[Entry]:
    """Ask Kaggle about the entries without a final status and return those that changed; nothing is written.

    Raises:
        UserError: Kaggle can't be reached or refuses.
    """
    pending = [entry for entry in entries if entry.status.lower() in ("pending", "sending")]
    return [answered for entry in pending if (answered := with_answer(entry)) != entry]


def with_answer(entry: Entry) -> Entry:
    """Ask Kaggle about one entry, by its number or by the tag in its description; return the entry with the answer."""
    return with_scoring(entry, kaggle_client.scoring(entry.number) if entry.number else kaggle_client.find(entry.tag))


def with_scoring(entry: Entry, scoring: kaggle_client.Scoring | None) -> Entry:
    """Return the entry with Kaggle's answer; None means that the submission never arrived."""
    if scoring is None:
        return replace(entry, status="refused")
    return replace(entry, status=scoring.status, ref=str(scoring.ref), public_score=decimals(scoring.public_score))


def record(workspace: Workspace, entry: Entry) -> None:
    """Write the status, number and score of an entry to its row."""
    update(workspace, entry.sha256, status=entry.status, ref=entry.ref, public_score=entry.public_score)


@contextlib.contextmanager
def _locked(workspace: Workspace) -> Iterator[list[Entry]]:
    """Yield the entries to be changed, with the ledger locked against other processes, then write them."""
    path = path_of(workspace)
    try:
        path.parent.mkdir(exist_ok=True)
        with files.open_to_append(path.with_name(".ledger.lock")) as lock:
            files.lock(lock)
            entries = _read(path)
            yield entries
            files.write_text(path, _as_csv(entries))
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}; nothing in it was changed") from error


def _as_csv(entries: list[Entry]) -> str:
    others = list(dict.fromkeys(name for entry in entries for name in entry.others))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *others])
    writer.writerows(
        [*(getattr(entry, name) for name in COLUMNS), *(entry.others.get(name, "") for name in others)] for entry in entries
    )
    return text.getvalue()


def _read(path: Path) -> list[Entry]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from error
    lines = [line for line in _decoded(content).splitlines() if line.strip(",;\t \0")]
    if lines and lines[0].lower().startswith("sep="):  # Excel's hint to itself
        del lines[0]
    if not lines:
        return []
    delimiter = max(",;\t", key=lines[0].count)
    try:
        header, *rows = csv.reader(lines, delimiter=delimiter)
    except csv.Error as error:
        raise UserError(f"{path} is not a ledger ({error}): correct it, or move it away") from error
    names = [name.strip().lower() for name in header]
    if not set(REQUIRED) <= set(names):
        columns = ", ".join(COLUMNS)
        raise UserError(f"{path} is not a ledger: its first line must have the columns {columns}: correct it, or move it away")
    entries = [_entry(dict(zip(names, map(str.strip, row), strict=False))) for row in rows]
    for number, entry in enumerate(entries, 1):
        _check(entry, f"{path}, row {number}")
    return entries


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:  # Excel on Windows
        return content.decode("cp1252", "replace")


def _entry(cells: dict[str, str]) -> Entry:
    others = {name: value for name, value in cells.items() if name not in COLUMNS and name}
    return Entry(**{name: cells.get(name, "") for name in COLUMNS}, others=others)


def _check(entry: Entry, place: str) -> None:
    if entry.status.lower() not in ("", *STATUSES):
        raise UserError(f"{place}, column status: '{entry.status}' is none of {', '.join(STATUSES)}")
    if entry.ref and entry.number is None:
        raise UserError(f"{place}, column ref: '{entry.ref}' is not the number of a submission on Kaggle")


def _number(text: str) -> float | None:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
