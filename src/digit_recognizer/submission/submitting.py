"""Probabilities -> a checked CSV with its record beside it -> Kaggle, or the known labels where the data is not Kaggle's."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from digit_recognizer import files, kaggle_client
from digit_recognizer.data import csv_format, dataset
from digit_recognizer.errors import UserError
from digit_recognizer.submission import ledger
from digit_recognizer.submission.ledger import Entry
from digit_recognizer.workspace import Workspace, git_commit

LEAK = 0.9985  # about what label noise allows; see `SubmissionResult.warning`
POLL_SECONDS = 5.0


class LocalScore(NamedTuple):
    """How a submission does on public labels."""

    accuracy: float
    right: int
    n: int


@dataclass(frozen=True)
class SubmissionResult:
    """What came of `submit`. Without the competition's data only `oof_accuracy`, `local` and `not_sent` are set."""

    status: str  # complete, pending (no score before the deadline: `digit-recognizer ledger --refresh`), local
    oof_accuracy: float | None
    public_score: float | None = None
    best_score: float | None = None  # of all so far, this one included
    local: LocalScore | None = None
    not_sent: str = ""  # why it was scored locally

    @property
    def warning(self) -> str | None:
        """Why a score may be too good to be true."""
        if self.public_score is None or self.public_score <= LEAK:
            return None
        return (
            f"{self.public_score:.5f} is above {LEAK}, about what wrong and ambiguous labels allow: this looks like a leak, as "
            "when models were trained on the full MNIST set, which contains the competition's test images"
        )


def write_submission(path: Path, probabilities: np.ndarray, workspace: Workspace, details: dict[str, Any]) -> None:
    """Write the most probable class of each test image as `ImageId,Label` to `path`, and a record to `<name>.json` beside it.

    Args:
        path: ends in .csv.
        probabilities: float (m, classes), a row for each test image.
        details: JSON values for the record; `runs` (names) and `oof_accuracy` also go to the ledger when it is submitted.

    Raises:
        UserError: the probabilities don't fit the workspace's data.
    """
    record, data = dataset.read_record(workspace), dataset.load_dataset(workspace)
    expected = (len(data.test_images), len(data.classes))
    if probabilities.shape != expected:
        raise UserError(
            f"{path}: the probabilities are {probabilities.shape}, but the data in {workspace.input} needs {expected}"
        )
    if not np.isfinite(probabilities).all():
        raise UserError(f"{path}: {np.isnan(probabilities).any(axis=1).sum()} test images have no prediction yet: train on")
    try:
        csv_format.write_labels(path, probabilities.argmax(axis=1), data.classes)
        check_submission(path, workspace)
        files.write_json(path.with_suffix(".json"), _describe(path, record, data) | details)
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}") from error


def _describe(path: Path, record: dict[str, Any], data: dataset.Dataset) -> dict[str, Any]:
    return {
        "file": path.name,
        "sha256": files.sha256_of(path),
        "rows": len(data.test_images),
        "data": {
            "source": Path(data.source).name,  # not the whole path: this file may be published
            "sha256": data.sha256,
            "competition": data.competition,
            "contains_competition_test": record["contains_competition_test"],
        },
        "git_commit": git_commit(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def check_submission(path: Path, workspace: Workspace) -> np.ndarray:
    """Check a submission against the sample: header, number of rows, ids in order, labels; return the labels, int64 (m,).

    Raises:
        UserError: what is wrong, with row and column.
    """
    record = dataset.read_record(workspace)
    rows = record["files"][dataset.FILES[2]]["rows"]
    try:
        return csv_format.read_labels(path, tuple(record["classes"]), rows)
    except UserError as error:
        raise UserError(f"{error}; `make ensemble` writes it anew") from error


def score_locally(path: Path, workspace: Workspace) -> LocalScore:
    """Score a submission against the public labels of the test images.

    Raises:
        UserError: this data has none, or the submission is faulty.
    """
    labels = dataset.load_test_labels(workspace)
    if labels is None:
        raise UserError(f"{workspace.input} has no {dataset.TEST_LABELS}: the labels of this test set are not public")
    right = int((check_submission(path, workspace) == labels).sum())
    return LocalScore(right / len(labels), right, len(labels))


def submit(
    path: Path,
    workspace: Workspace,
    message: str = "",
    on_progress: Callable[[str], None] | None = None,
    timeout: float = 600.0,
) -> SubmissionResult:
    """Send a submission made from the competition's data to Kaggle and wait up to `timeout` seconds for its score.

    The ledger has it from before it is sent, so an interruption at any point loses nothing. A submission made from other data
    is scored against that data's public labels instead.

    Raises:
        UserError: the file is faulty, of unknown origin or was sent before; no submission is left today; Kaggle can't be
            reached, refuses it or can't score it.
    """
    say = on_progress or (lambda text: None)
    record = _record(path)
    _refuse_other_input(path, record, workspace)
    check_submission(path, workspace)
    oof_accuracy = record.get("oof_accuracy")
    if record["data"]["sha256"] != dataset.COMPETITION_SHA256:
        return _score_instead(path, record, workspace)
    entry = Entry(
        file=path.name,
        sha256=record["sha256"],
        status="sending",
        runs=" ".join(record.get("runs", [])),
        git_commit=str(record.get("git_commit") or ""),
        oof_accuracy="" if oof_accuracy is None else f"{oof_accuracy:.5f}",
        message=" ".join(message.split()) or "+".join(record.get("runs", [])) or path.stem,
    )
    _refuse_repetition(entry, workspace)
    _refuse_without_allowance(path)
    ledger.append(workspace, entry)
    say(f"uploading {path.name}")
    try:
        ref = kaggle_client.upload(path, f"{entry.message} {entry.tag}")
    except kaggle_client.UnreachableError as error:
        raise UserError(f"{error}; whether it arrived, `digit-recognizer ledger --refresh` will tell") from error
    except UserError:
        ledger.update(workspace, entry.sha256, status="refused")
        raise
    entry = replace(entry, status="pending", ref=str(ref))
    ledger.update(workspace, entry.sha256, status="pending", ref=str(ref))
    entry = _wait(entry, workspace, say, timeout)
    best = ledger.best_score(ledger.read_ledger(workspace))
    return SubmissionResult(entry.status, oof_accuracy, entry.score, best)


def _wait(entry: Entry, workspace: Workspace, say: Callable[[str], None], timeout: float) -> Entry:
    deadline = time.monotonic() + timeout
    say(f"waiting for the score of {entry.file}")
    while time.monotonic() < deadline:
        try:
            scoring = kaggle_client.scoring(entry.number)
            entry = ledger.record_scoring(workspace, entry, scoring)
            if entry.status == "error":
                why = scoring.problem or "it gives no reason"
                raise UserError(f"{entry.file}: Kaggle could not score submission {entry.ref}: {why}")
            if entry.status == "complete":
                break
        except kaggle_client.UnreachableError as error:
            say(str(error))
        time.sleep(min(POLL_SECONDS, max(0.0, deadline - time.monotonic())))
    return entry


def _record(path: Path) -> dict[str, Any]:
    beside = path.with_suffix(".json")
    if not path.is_file():
        raise UserError(f"there is no {path}: `make ensemble` writes it")
    if not beside.exists():
        raise UserError(
            f"{path} has no {beside.name} that says which data it was made from: only what `make ensemble` wrote is sent"
        )
    record = files.read_json(beside)
    known = record.get("sha256") if isinstance(record, dict) and isinstance(record.get("data"), dict) else None
    if known != files.sha256_of(path):
        raise UserError(f"{path} is not the file that {beside.name} describes (one was changed): run `make ensemble` again")
    return record


def _refuse_other_input(path: Path, record: dict[str, Any], workspace: Workspace) -> None:
    if record["data"].get("sha256") != dataset.load_dataset(workspace).sha256:
        raise UserError(
            f"{path} was made from other data ({record['data'].get('source')}) than lies in {workspace.input}: "
            "bring that data back with `make data SOURCE=... FORCE=1`"
        )


def _score_instead(path: Path, record: dict[str, Any], workspace: Workspace) -> SubmissionResult:
    data = record["data"]
    contains = ", which contains the competition's test images" if data.get("contains_competition_test") else ""
    reason = f"made from {data.get('source')}{contains}, not from the competition's files, so it can't be sent"
    if dataset.load_test_labels(workspace) is None:
        raise UserError(f"{path} was {reason}: `make data SOURCE=kaggle FORCE=1` brings those, then train on them")
    return SubmissionResult(
        "local", record.get("oof_accuracy"), local=score_locally(path, workspace), not_sent=f"not sent: {reason}"
    )


def _refuse_repetition(entry: Entry, workspace: Workspace) -> None:
    for earlier in ledger.read_ledger(workspace):
        if earlier.sha256 != entry.sha256 or earlier.status.lower() == "refused":
            continue
        if earlier.status.lower() == "sending" and ledger.settle(workspace, earlier).status == "refused":
            continue  # that attempt never arrived
        score = f"score {earlier.public_score}" if earlier.public_score else "its score: `digit-recognizer ledger --refresh`"
        raise UserError(
            f"{entry.file}: exactly these predictions were submitted before ({earlier.time}, {score}): submit others, "
            "as of more seeds or another blend"
        )


def _refuse_without_allowance(path: Path) -> None:
    left = kaggle_client.submissions_left()
    if left is not None and left <= 0:
        now = datetime.now(UTC)
        wait = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC) - now
        hours, minutes = divmod(int(wait.total_seconds()) // 60, 60)
        raise UserError(
            f"{path.name}: no submission is left today: the next can be made after midnight UTC, in {hours} h {minutes} min, "
            "by the same command"
        )
