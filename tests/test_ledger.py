"""The ledger: edits by hand and in Excel, and parallel writers."""

import subprocess
import sys

import pytest

from digit_recognizer import kaggle_client
from digit_recognizer.cli import main
from digit_recognizer.errors import UserError
from digit_recognizer.submission import ledger
from digit_recognizer.submission.ledger import Entry
from digit_recognizer.workspace import Workspace

ENTRY = Entry(
    file="fast.csv",
    sha256="ab" * 32,
    status="complete",
    time="2026-11-22T10:00:00+00:00",
    runs="fast",
    oof_accuracy="0.99610",
    rehearsed="0.99660",
    ref="4711",
    public_score="0.99650",
    message="Grüße",
)


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace(tmp_path)
    ledger.append(workspace, ENTRY)
    return workspace


def rewrite(workspace, change, encoding="utf-8"):
    path = ledger.path_of(workspace)
    path.write_bytes(change(path.read_text(encoding="utf-8")).encode(encoding))


def german(text):
    """Return the text as German Excel saves it: semicolons, decimal commas, other dates, CRLF."""
    text = text.replace(",", ";").replace("0.99650", "0,9965").replace("0.99610", "0,9961")
    return text.replace("2026-11-22T10:00:00+00:00", "22.11.2026 10:00").replace("\n", "\r\n")


EDITS = {
    "carriage returns": (lambda text: text.replace("\n", "\r\n"), "utf-8"),
    "a byte order mark": (lambda text: text, "utf-8-sig"),
    "UTF-16": (lambda text: text.replace(",", "\t"), "utf-16"),
    "tabs": (lambda text: text.replace(",", "\t"), "utf-8"),
    "German Excel": (german, "cp1252"),
    "Excel's hint": (lambda text: "sep=;\n" + german(text), "utf-8-sig"),
    "empty lines at the end": (lambda text: text + "\n\n;;;;\n,,,,,,\n", "utf-8"),
    "no end of line": (lambda text: text.rstrip("\n"), "utf-8"),
    "quoted cells": (
        lambda text: "\n".join(",".join(f'"{c}"' for c in line.split(",")) for line in text.splitlines()),
        "utf-8",
    ),
    "capitals in the header": (lambda text: text.replace("file,sha256", "File, SHA256"), "utf-8"),
}


@pytest.mark.parametrize("name", EDITS)
def test_ledger_edited_by_hand_or_in_excel_is_read(name, workspace):
    rewrite(workspace, *EDITS[name])
    (entry,) = ledger.read_ledger(workspace)
    assert (entry.file, entry.sha256, entry.status, entry.number) == ("fast.csv", "ab" * 32, "complete", 4711)
    assert (entry.score, entry.accuracy, entry.message) == (0.9965, 0.9961, "Grüße")


@pytest.mark.parametrize("name", EDITS)
def test_writing_to_an_edited_ledger_keeps_every_row(name, workspace):
    rewrite(workspace, *EDITS[name])
    ledger.append(workspace, Entry(file="b.csv", sha256="cd" * 32, status="pending"))
    assert [entry.file for entry in ledger.read_ledger(workspace)] == ["fast.csv", "b.csv"]


def test_added_and_moved_columns_are_kept(workspace):
    path = ledger.path_of(workspace)
    path.write_text("note,status,sha256,file\nmy best,complete,aa,a.csv\n")
    ledger.update(workspace, "aa", public_score="0.99700")
    (entry,) = ledger.read_ledger(workspace)
    assert entry.others == {"note": "my best"}
    assert entry.score == 0.997
    assert path.read_text().splitlines()[0].endswith(",message,note")


def test_file_checksum_and_status_are_columns_enough(workspace):
    ledger.path_of(workspace).write_text("file,sha256,status\na.csv,aa,complete\n")
    assert ledger.read_ledger(workspace) == [Entry(file="a.csv", sha256="aa", status="complete")]


def test_cells_that_are_missing_at_the_end_of_a_row_are_empty(workspace):
    ledger.path_of(workspace).write_text("file,sha256,status,message\na.csv,aa,complete\n")
    assert ledger.read_ledger(workspace) == [Entry(file="a.csv", sha256="aa", status="complete")]


def test_cells_that_are_not_numbers_are_kept(workspace):
    rewrite(workspace, lambda text: text.replace("0.99650", "about 0.9965"))
    assert ledger.read_ledger(workspace)[0].score is None
    ledger.append(workspace, Entry(file="b.csv", sha256="cd" * 32, status="pending"))
    assert ledger.read_ledger(workspace)[0].public_score == "about 0.9965"


@pytest.mark.parametrize(
    ("good", "bad", "words"),
    [
        ("complete", "complfte", r"row 2, column status: 'complfte' is none of sending, pending"),
        ("4711", "47l1", r"row 2, column ref: '47l1' is not the number"),
        ("4711", "inf", r"row 2, column ref: 'inf' is not the number"),
    ],
)
def test_invalid_status_or_number_is_named_with_its_row(good, bad, words, workspace):
    ledger.append(workspace, ENTRY)
    path = ledger.path_of(workspace)
    first, second, third = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([first, second, third.replace(good, bad)]), "utf-8")
    with pytest.raises(UserError, match=rf"ledger\.csv, {words}"):
        ledger.read_ledger(workspace)


def test_status_is_not_case_sensitive(workspace):
    rewrite(workspace, lambda text: text.replace("complete", "COMPLETE"))
    assert ledger.read_ledger(workspace)[0].status == "COMPLETE"


@pytest.mark.parametrize(
    "content",
    [
        b"\0\1\2\3" * 100,
        b"<html></html>",
        b"a,b,c\n1,2,3\n",
        b"\x89PNG\r\n\x1a\n\0\0",
        b"file,sha256,status\n" + b"x" * 200_000,
    ],
)
def test_file_that_is_not_a_ledger_is_neither_read_nor_overwritten(content, workspace):
    path = ledger.path_of(workspace)
    path.write_bytes(content)
    for attempt in (lambda: ledger.read_ledger(workspace), lambda: ledger.append(workspace, ENTRY)):
        with pytest.raises(UserError, match="is not a ledger"):
            attempt()
    assert path.read_bytes() == content


def test_scores_that_cannot_be_saved_are_printed(workspace, monkeypatch, capsys):
    ledger.append(workspace, Entry(file="b.csv", sha256="cd" * 32, status="pending", ref="4712"))
    monkeypatch.setattr(kaggle_client, "scoring", lambda ref: kaggle_client.Scoring(ref, "complete", 0.9971, ""))
    (workspace.submissions / ".ledger.lock").unlink()
    (workspace.submissions / ".ledger.lock").mkdir()  # nothing can be written then
    assert main(["--workspace", str(workspace.root), "ledger", "--refresh"]) == 1
    printed = capsys.readouterr()
    assert "0.99710" in printed.out
    assert "ledger.csv can't be written" in printed.err


def test_ledger_is_empty_before_the_first_submission(tmp_path):
    assert ledger.read_ledger(Workspace(tmp_path)) == []
    assert not (tmp_path / "submissions").exists()


def test_latest_row_of_a_file_is_updated(workspace):
    ledger.append(workspace, Entry(file="fast.csv", sha256=ENTRY.sha256, status="sending"))
    ledger.update(workspace, ENTRY.sha256, status="pending")
    assert [entry.status for entry in ledger.read_ledger(workspace)] == ["complete", "pending"]


def test_entry_is_the_same_after_reading(tmp_path):
    entry = Entry(file="a.csv", sha256="0" * 64, status="pending", time="2026-11-22", message='say "hi", twice; ok')
    ledger.append(Workspace(tmp_path), entry)
    assert ledger.read_ledger(Workspace(tmp_path)) == [entry]


def test_best_score_ignores_entries_without_a_score(workspace):
    ledger.append(workspace, Entry(file="b.csv", sha256="cd", status="complete", public_score="0.99700"))
    ledger.append(workspace, Entry(file="c.csv", sha256="ef", status="pending"))
    assert ledger.best_score(ledger.read_ledger(workspace)) == 0.997
    assert ledger.best_score([]) is None


def test_best_score_of_each_run_and_blend(workspace):
    for runs, score in (("fast", "0.99500"), ("a b", "0.99700"), ("a b", "0.99750"), ("a b", "0.99600"), ("c", "")):
        ledger.append(workspace, Entry(file="x.csv", sha256="cd", status="complete", runs=runs, public_score=score))
    assert ledger.best_scores_by_run(workspace) == {"fast": 0.9965, "a b": 0.9975}
    ledger.path_of(workspace).write_text("not a ledger")
    assert ledger.best_scores_by_run(workspace) == {}


def test_parallel_writers_lose_no_entry(workspace):
    code = """
import sys
from pathlib import Path
from digit_recognizer.submission import ledger
from digit_recognizer.workspace import Workspace
for number in range(20):
    ledger.append(Workspace(Path(sys.argv[1])), ledger.Entry(file=f"{sys.argv[2]}-{number}", sha256="x", status="pending"))
"""
    writers = [subprocess.Popen([sys.executable, "-c", code, str(workspace.root), name]) for name in "abc"]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert len({entry.file for entry in ledger.read_ledger(workspace)}) == 61
