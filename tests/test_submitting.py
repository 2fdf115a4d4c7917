"""Submitting to a server on loopback with the unmodified client, or scoring on known labels; the ledger has all submissions."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from bad_disk import full_disk
from kaggle_server import BLEND, ENDING, PRELUDE, Answer, KaggleServer, call, environment

from digit_recognizer import files, kaggle_client
from digit_recognizer.data import dataset, sources
from digit_recognizer.errors import UserError
from digit_recognizer.metrics import SUSPICIOUS_ACCURACY
from digit_recognizer.submission import ledger, submitting
from digit_recognizer.submission.record import read_submission_record
from digit_recognizer.submission.submission_file import write_submission
from digit_recognizer.workspace import Workspace, git_commit


@pytest.fixture
def server():
    with KaggleServer() as running:
        yield running


def test_bundled_data_is_scored_locally(submission, bundled_copy):
    result = submitting.submit(submission, bundled_copy)
    assert result.status == "local"
    assert result.local == (357 / 360, 357, 360)
    assert result.oof_accuracy == 0.9961
    assert "bundled" in result.not_uploaded
    assert ledger.read_ledger(bundled_copy) == []


def test_data_without_public_labels_can_be_neither_uploaded_nor_scored(submission, bundled_copy, bundled, tmp_path):
    other = Workspace(tmp_path / "other")
    other.input.mkdir(parents=True)
    for name in dataset.FILES:
        (other.input / name).write_bytes((bundled.input / name).read_bytes())
    sources.fetch(None, other)
    with pytest.raises(UserError, match="not from the competition's files"):
        submitting.submit(submission, other)


def test_file_from_elsewhere_or_changed_since_is_refused(submission, bundled_copy):
    text = submission.read_text()
    submission.write_text(text.replace("\n1,", "\n1,0", 1))
    with pytest.raises(UserError, match="one was changed"):
        submitting.submit(submission, bundled_copy)
    submission.write_text(text)
    submission.with_suffix(".json").write_text("[]")
    with pytest.raises(UserError, match=r"baseline\.json is damaged .*: run `make ensemble` again"):
        submitting.submit(submission, bundled_copy)
    submission.with_suffix(".json").unlink()
    with pytest.raises(UserError, match="only files written by `make ensemble` are submitted"):
        submitting.submit(submission, bundled_copy)


def test_missing_file_is_an_error_with_a_remedy(bundled_copy):
    with pytest.raises(UserError, match="`make ensemble` writes it"):
        submitting.submit(bundled_copy.submissions / "none.csv", bundled_copy)


def test_file_made_from_other_data_than_input_is_refused(submission, bundled_copy):
    record = read_submission_record(submission)
    files.write_record(submission.with_suffix(".json"), replace(record, data=replace(record.data, sha256="0" * 64)))
    with pytest.raises(UserError, match="made from other data"):
        submitting.submit(submission, bundled_copy)


def submitting_lines(path: Path, workspace: Workspace, message: str = "", timeout: float = 5) -> str:
    """Return code that submits as if the workspace's data were the competition's, and prints the result."""
    return f"""
workspace = Workspace(Path({str(workspace.root)!r}))
dataset.COMPETITION_SHA256 = dataset.load_dataset(workspace).sha256
result = submitting.submit(Path({str(path)!r}), workspace, {message!r}, progress.append, {timeout})
print(json.dumps([result.status, result.public_score, result.best_score, result.oof_accuracy]))
"""


def test_submission_is_uploaded_scored_and_recorded(submission, bundled_copy, server, tmp_path):
    done = call(submitting_lines(submission, bundled_copy, "first try"), environment(server, tmp_path))
    assert json.loads(done.stdout) == ["complete", 0.9965, 0.9965, 0.9961], done.stderr
    assert server.uploads == [submission.read_bytes()]
    (entry,) = ledger.read_ledger(bundled_copy)
    assert (entry.file, entry.sha256, entry.status) == (submission.name, files.sha256_of(submission), "complete")
    assert (entry.runs, entry.git_commit, entry.message) == ("fast baseline", git_commit(), "first try")
    assert (entry.score, entry.accuracy, entry.number) == (0.9965, 0.9961, 4711)


def test_ledger_has_the_submission_before_it_is_sent(submission, bundled_copy, server, tmp_path):
    """The process is killed while Kaggle answers slowly; a refresh detects that the submission arrived."""
    server.answers["CreateSubmission"] = Answer(delay=30)
    code = (
        PRELUDE.replace("TIMEOUT, kaggle_client", "_, kaggle_client")
        + submitting_lines(submission, bundled_copy).replace("\n", "\n    ")
        + ENDING
    )
    process = subprocess.Popen([sys.executable, "-c", code], env=environment(server, tmp_path))
    wait_for(lambda: "CreateSubmission" in server.names())
    process.kill()
    process.wait()
    (entry,) = ledger.read_ledger(bundled_copy)
    assert entry.status == "sending"
    server.submissions = [
        {"ref": 10, "description": f"{entry.message} [0123456789ab]", "status": "COMPLETE", "publicScore": "0.98"},
        {"ref": 9, "description": f"{entry.message} {entry.tag}", "status": "COMPLETE", "publicScore": "0.99"},
        {"ref": 8, "description": None, "status": "COMPLETE", "publicScore": "0.97"},
    ]
    assert refresh(bundled_copy, server, tmp_path) == [["complete", 0.99]]


def test_ctrl_c_while_waiting_keeps_the_submission_in_the_ledger(submission, bundled_copy, server, tmp_path):
    server.answers["GetSubmission"] = Answer({"ref": 4711, "status": "PENDING"})
    code = PRELUDE + submitting_lines(submission, bundled_copy, timeout=60).replace("\n", "\n    ") + ENDING
    process = subprocess.Popen([sys.executable, "-c", code], env=environment(server, tmp_path), stderr=subprocess.PIPE)
    wait_for(lambda: "GetSubmission" in server.names())
    process.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in process.communicate(timeout=120)[1]
    assert ledger.read_ledger(bundled_copy)[0].status == "pending"
    del server.answers["GetSubmission"]
    assert refresh(bundled_copy, server, tmp_path) == [["complete", 0.9965]]


def wait_for(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def refresh(workspace: Workspace, server: KaggleServer, tmp_path: Path) -> list:
    code = f"""
workspace = Workspace(Path({str(workspace.root)!r}))
changed = ledger.ask_kaggle(ledger.read_ledger(workspace))
for entry in changed:
    ledger.record(workspace, entry)
print(json.dumps([[entry.status, entry.score] for entry in changed]))
"""
    done = call(code, environment(server, tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_no_score_before_the_deadline_leaves_it_pending(submission, bundled_copy, server, tmp_path):
    server.answers["GetSubmission"] = Answer({"ref": 4711, "status": "PENDING"})
    done = call(submitting_lines(submission, bundled_copy, timeout=0.5), environment(server, tmp_path))
    assert json.loads(done.stdout) == ["pending", None, None, 0.9961]


def test_waiting_continues_after_temporary_server_errors(submission, bundled_copy, server, tmp_path):
    server.answers["GetSubmission"] = [Answer(status=503), Answer(status=429), Answer({"status": "PENDING", "ref": 4711})]
    assert json.loads(call(submitting_lines(submission, bundled_copy), environment(server, tmp_path)).stdout)[0] == "complete"


def test_same_predictions_are_not_uploaded_twice(submission, bundled_copy, server, tmp_path):
    env = environment(server, tmp_path)
    assert call(submitting_lines(submission, bundled_copy), env).returncode == 0
    again = call(submitting_lines(submission, bundled_copy), env)
    assert again.returncode == 1
    assert "submitted before" in again.stdout and "0.99650" in again.stdout and "submit others" in again.stdout
    assert server.names().count("CreateSubmission") == 1


def test_suspicious_score_gives_a_warning():
    assert "leak" in submitting.SubmissionResult("complete", 0.997, public_score=0.9990).warning
    assert submitting.SubmissionResult("complete", 0.997, public_score=0.9975).warning is None
    assert submitting.SubmissionResult("complete", 0.997, public_score=SUSPICIOUS_ACCURACY).warning is None
    assert submitting.SubmissionResult("pending", 0.997).warning is None


# Answers of the server, words that the error must contain, and the status in the ledger afterwards (None: no row).
FAILURES = {
    "no submission left": (
        {"GetSubmissionLimits": Answer({"numToday": 10, "numTotal": 40, "numAllowedNow": 0})},
        ["no submission is left", "midnight UTC"],
        None,
    ),
    "rules not accepted": (
        {"StartSubmissionUpload": Answer({"code": 403, "message": "accept the rules"}, 403)},
        ["/rules", "phone"],
        "refused",
    ),
    "wrong token": ({"IntrospectToken": Answer({"active": False})}, ["does not accept"], None),
    "upload refused": ({"PUT": Answer(status=403)}, ["did not take the upload", "nothing was submitted"], "refused"),
    "daily limit at the last step": (
        {"CreateSubmission": Answer({"code": 400, "message": "Submission not allowed: daily limit"}, 400)},
        ["daily limit"],
        "refused",
    ),
    "problem at the last step": ({"CreateSubmission": Answer(status=500)}, ["500", "ledger --refresh"], "sending"),
    "no answer at the last step": ({"CreateSubmission": Answer(delay=3)}, ["no answer", "ledger --refresh"], "sending"),
    "scored as an error": (
        {"GetSubmission": Answer({"ref": 4711, "status": "ERROR", "errorDescription": "wrong number of rows"})},
        ["could not score", "wrong number of rows"],
        "error",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_each_failure_is_a_one_line_error_with_its_status_in_the_ledger(name, submission, bundled_copy, server, tmp_path):
    answers, words, status = FAILURES[name]
    server.answers.update(answers)
    done = call(submitting_lines(submission, bundled_copy), environment(server, tmp_path))
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1 and done.stderr == ""
    assert all(word in done.stdout for word in words), done.stdout
    assert [entry.status for entry in ledger.read_ledger(bundled_copy)] == ([status] if status else [])


def test_error_without_credentials_names_the_file_for_the_browser(submission, bundled_copy, server, tmp_path):
    done = call(submitting_lines(submission, bundled_copy), {**environment(server, tmp_path), "KAGGLE_API_TOKEN": ""})
    assert done.returncode == 1
    assert f"or upload {submission} in a browser at https://" in done.stdout


def test_submission_that_did_not_arrive_can_be_uploaded_again(submission, bundled_copy, server, tmp_path):
    server.answers["CreateSubmission"] = [Answer(status=500)]
    env = environment(server, tmp_path)
    assert call(submitting_lines(submission, bundled_copy), env).returncode == 1
    assert json.loads(call(submitting_lines(submission, bundled_copy), env).stdout)[0] == "complete"
    assert [entry.status for entry in ledger.read_ledger(bundled_copy)] == ["refused", "complete"]


def test_submission_that_arrived_without_an_answer_is_not_sent_twice(submission, bundled_copy, server, tmp_path):
    server.answers["CreateSubmission"] = [Answer(status=500)]
    env = environment(server, tmp_path)
    assert call(submitting_lines(submission, bundled_copy), env).returncode == 1
    (entry,) = ledger.read_ledger(bundled_copy)
    description = f"{entry.message} {entry.tag}"
    server.submissions = [{"ref": 9, "description": description, "status": "COMPLETE", "publicScore": "0.99"}]
    again = call(submitting_lines(submission, bundled_copy), env)
    assert again.returncode == 1
    assert "submitted before" in again.stdout and "score 0.99000" in again.stdout
    assert server.names().count("CreateSubmission") == 1
    assert [(entry.status, entry.number) for entry in ledger.read_ledger(bundled_copy)] == [("complete", 9)]


@pytest.mark.parametrize(("now", "wait"), [((21, 30), "2 h 30 min"), ((23, 0), "60 min"), ((23, 59, 30), "30 s")])
def test_error_at_the_daily_limit_says_how_long_to_wait(submission, bundled_copy, monkeypatch, now, wait):
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 12, 31, *now, tzinfo=tz)

    monkeypatch.setattr(dataset, "COMPETITION_SHA256", dataset.load_dataset(bundled_copy).sha256)
    monkeypatch.setattr(kaggle_client, "submissions_left", lambda path: 0)
    monkeypatch.setattr(submitting, "datetime", Clock)
    with pytest.raises(UserError, match=f"no submission is left today: run the same command after midnight UTC, in {wait}$"):
        submitting.submit(submission, bundled_copy)


def test_last_submission_of_a_day_is_used(submission, bundled_copy, server, tmp_path):
    server.answers["GetSubmissionLimits"] = Answer({"numToday": 9, "numTotal": 40, "numAllowedNow": 1})
    assert call(submitting_lines(submission, bundled_copy), environment(server, tmp_path)).returncode == 0


def test_first_submission_is_not_refused_for_the_daily_limit(submission, bundled_copy, server, tmp_path):
    server.answers["GetSubmissionLimits"] = Answer({"numToday": 0, "numTotal": 0, "numAllowedNow": 0})
    assert call(submitting_lines(submission, bundled_copy), environment(server, tmp_path)).returncode == 0


def test_no_file_contains_a_secret(submission, bundled_copy, server, tmp_path):
    from kaggle_server import TOKEN

    server.answers["GetSubmission"] = Answer({"ref": 4711, "status": "ERROR", "errorDescription": f"echo {TOKEN}"})
    call(submitting_lines(submission, bundled_copy), environment(server, tmp_path))
    written = [Path(folder) / name for folder, _, names in os.walk(bundled_copy.root) for name in names]
    assert written
    assert not any(TOKEN.encode() in file.read_bytes() for file in written)


def test_full_disk_keeps_ledger_and_submission(submission, bundled_copy):
    ledger.append(bundled_copy, ledger.Entry(file="a.csv", sha256="0", status="complete"))
    before = {file.name: file.read_bytes() for file in bundled_copy.submissions.iterdir()}
    with full_disk(100):
        with pytest.raises(UserError, match=r"ledger\.csv can't be written"):
            ledger.append(bundled_copy, ledger.Entry(file="b.csv", sha256="1", status="sending"))
        with pytest.raises(UserError, match=r"fast\+baseline\.csv can't be written"):
            write_submission(submission, np.eye(10)[np.zeros(360, dtype=int)], bundled_copy, BLEND)
    assert {file.name: file.read_bytes() for file in bundled_copy.submissions.iterdir()} == before
