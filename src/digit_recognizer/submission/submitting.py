"""Uploading a checked submission to Kaggle, or scoring it locally if the data is not the competition's."""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from digit_recognizer import files, kaggle_client
from digit_recognizer.data import dataset
from digit_recognizer.errors import UserError
from digit_recognizer.files import OnProgress
from digit_recognizer.formatting import decimals, duration
from digit_recognizer.metrics import SUSPICIOUS_ACCURACY
from digit_recognizer.submission import ledger
from digit_recognizer.submission.ledger import Entry
from digit_recognizer.submission.local_scoring import LocalScore, score_locally
from digit_recognizer.submission.record import ENSEMBLE_AGAIN, SubmissionRecord, read_submission_record
from digit_recognizer.submission.submission_file import check_submission
from digit_recognizer.workspace import Workspace

POLL_SECONDS = 5.0


@dataclass(frozen=True)
class SubmissionResult:
    """The outcome of `submit`. Without the competition's data only `oof_accuracy`, `local` and `not_uploaded` are set."""

    status: str  # complete, pending (no score before the deadline: `digit-recognizer ledger --refresh`), local
    oof_accuracy: float
    public_score: float | None = None
    best_score: float | None = None  # of all so far, this one included
    local: LocalScore | None = None
    not_uploaded: str = ""  # why it was scored locally

    @property
    def warning(self) -> str | None:
        """A warning if the score is too high to be plausible, else None."""
        if self.public_score is None or self.public_score <= SUSPICIOUS_ACCURACY:
            return None
        return (
            f"{self.public_score:.5f} is above {SUSPICIOUS_ACCURACY}, about the highest that wrong and ambiguous labels allow: "
            "check for label leakage, such as training on the full MNIST set, which contains the competition's test images"
        )


def submit(
    path: Path,
    workspace: Workspace,
    message: str = "",
    on_progress: OnProgress = lambda text: None,
    timeout: float = 600.0,
    rehearsed: float | None = None,
) -> SubmissionResult:
    """Upload a submission made from the competition's data to Kaggle and wait up to `timeout` seconds for its score.

    It is added to the ledger before the upload, so that no submission is lost if the command is interrupted. A submission made
    from other data is scored on that data's public labels instead.

    Raises:
        UserError: the file is invalid, has no record or was submitted before; no submission is left today; Kaggle can't be
            reached, refuses it or can't score it.
    """
    record = _read_record(path)
    _check_data(path, record, workspace)
    check_submission(path, workspace)
    if record.data.sha256 != dataset.COMPETITION_SHA256:
        return _score_instead(path, record, workspace)
    entry = Entry(
        file=path.name,
        sha256=record.sha256,
        status="sending",
        runs=" ".join(record.runs),
        git_commit=record.git_commit,
        oof_accuracy=decimals(record.oof_accuracy),
        rehearsed=decimals(rehearsed),
        message=" ".join(message.split()) or "+".join(record.runs),
    )
    _check_not_submitted(entry, workspace)
    _check_allowance(path)
    ledger.append(workspace, entry)
    on_progress(f"uploading {path.name}")
    entry = _upload(path, entry, workspace)
    entry = _wait_for_score(entry, workspace, on_progress, timeout)
    best = ledger.best_score(ledger.read_ledger(workspace))
    return SubmissionResult(entry.status, record.oof_accuracy, entry.score, best)


def _upload(path: Path, entry: Entry, workspace: Workspace) -> Entry:
    """Upload the file and return the entry with Kaggle's number."""
    try:
        ref = kaggle_client.upload(path, f"{entry.message} {entry.tag}")
    except kaggle_client.UnreachableError as error:
        raise UserError(f"{error}; `digit-recognizer ledger --refresh` checks whether it arrived") from error
    except UserError:
        ledger.update(workspace, entry.sha256, status="refused")
        raise
    ledger.update(workspace, entry.sha256, status="pending", ref=str(ref))
    return replace(entry, status="pending", ref=str(ref))


def _wait_for_score(entry: Entry, workspace: Workspace, on_progress: OnProgress, timeout: float) -> Entry:
    deadline = time.monotonic() + timeout
    on_progress(f"waiting for the score of {entry.file}")
    while time.monotonic() < deadline:
        try:
            scoring = kaggle_client.scoring(entry.number)
            entry = ledger.with_scoring(entry, scoring)
            ledger.record(workspace, entry)
            if entry.status == "error":
                reason = scoring.problem or "Kaggle gives no reason"
                raise UserError(f"{entry.file}: Kaggle could not score submission {entry.ref}: {reason}")
            if entry.status == "complete":
                break
        except kaggle_client.UnreachableError as error:
            on_progress(str(error))
        time.sleep(min(POLL_SECONDS, max(0.0, deadline - time.monotonic())))
    return entry


def _read_record(path: Path) -> SubmissionRecord:
    if not path.is_file():
        raise UserError(f"there is no {path}: `make ensemble` writes it")
    if not path.with_suffix(".json").exists():
        raise UserError(
            f"{path} has no {path.stem}.json, which records its data: only files written by `make ensemble` are submitted"
        )
    record = read_submission_record(path)
    if record.sha256 != files.sha256_of(path):
        raise UserError(f"{path} is not the file that {path.stem}.json describes (one was changed): {ENSEMBLE_AGAIN}")
    return record


def _check_data(path: Path, record: SubmissionRecord, workspace: Workspace) -> None:
    if record.data.sha256 != dataset.load_dataset(workspace).sha256:
        raise UserError(
            f"{path} was made from other data ({record.data.source}) than that in {workspace.input}: "
            "fetch that data again with `make data SOURCE=... FORCE=1`"
        )


def _score_instead(path: Path, record: SubmissionRecord, workspace: Workspace) -> SubmissionResult:
    contains = " with the competition's test images in it" if record.data.contains_competition_test else ""
    if dataset.load_test_labels(workspace) is None:
        raise UserError(
            f"{path} can't be uploaded: it was made from {record.data.source}{contains}, not from the competition's files: "
            "`make data SOURCE=kaggle FORCE=1` fetches those, then train on them"
        )
    reason = f"not uploaded: practice data ({record.data.source}{contains}), not the competition's"
    return SubmissionResult("local", record.oof_accuracy, local=score_locally(path, workspace), not_uploaded=reason)


def _check_not_submitted(entry: Entry, workspace: Workspace) -> None:
    for earlier in ledger.read_ledger(workspace):
        if earlier.sha256 != entry.sha256 or earlier.status.lower() == "refused":
            continue
        if earlier.status.lower() == "sending":
            earlier = ledger.with_answer(earlier)
            ledger.record(workspace, earlier)
            if earlier.status == "refused":
                continue  # that upload did not arrive
        score = f"score {earlier.public_score}" if earlier.public_score else "its score: `digit-recognizer ledger --refresh`"
        raise UserError(
            f"{entry.file}: exactly these predictions were submitted before ({earlier.time}, {score}): submit others, "
            "such as those of more seeds or of another blend"
        )


def _check_allowance(path: Path) -> None:
    left = kaggle_client.submissions_left(path)
    if left is not None and left <= 0:
        now = datetime.now(UTC)
        midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
        wait = duration((midnight - now).total_seconds())
        raise UserError(f"{path.name}: no submission is left today: run the same command after midnight UTC, in {wait}")
