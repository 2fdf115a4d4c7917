"""A study's journal: reading without write permission, kills while writing, damaged files."""

import json
import random

import optuna
import pytest

from digit_recognizer import files
from digit_recognizer.errors import UserError
from digit_recognizer.tuning import journal
from digit_recognizer.tuning.overview import study_statuses
from digit_recognizer.workspace import Workspace


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture
def path(tmp_path):
    """A journal with two trials."""
    path = tmp_path / "studies" / "fast.journal"
    study = optuna.create_study(study_name="fast", storage=journal.open_journal(path))
    study.set_user_attr("identity", {"data": "é"})
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    return path


def values(path):
    study = optuna.load_study(study_name="fast", storage=journal.open_journal(path))
    return [trial.value for trial in study.get_trials()]


def add_trial(path):
    study = optuna.load_study(study_name="fast", storage=journal.open_journal(path))
    study.add_trial(optuna.create_trial(value=0.5))


def test_optuna_can_read_the_file(path):
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    assert [trial.value for trial in optuna.load_study(study_name="fast", storage=storage).get_trials()] == values(path)


def test_entries_of_one_storage_are_read_by_another(path):
    reader = optuna.load_study(study_name="fast", storage=journal.open_journal(path))
    assert len(reader.get_trials()) == 2
    for count in (3, 4):
        add_trial(path)
        assert len(reader.get_trials()) == count


def test_reading_needs_no_write_permission_and_does_not_change_the_file(path):
    before, modified = path.read_bytes(), path.stat().st_mtime_ns
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        assert len(values(path)) == 2
        (status,) = study_statuses(Workspace(path.parents[1]))
    finally:
        path.parent.chmod(0o755)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, modified)
    assert status.name == "fast"


def test_journal_that_cannot_be_written_is_a_one_line_error(path, monkeypatch):
    def refuse(path):
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(files, "open_to_append", refuse)
    assert len(values(path)) == 2
    with pytest.raises(UserError, match="can't be written: Read-only file system"):
        add_trial(path)


@pytest.mark.parametrize("blank", ["\n", "\n\n", "  \n", "\r\n"])
def test_blank_lines_are_skipped(path, blank):
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], blank, *lines[1:], blank]))
    add_trial(path)
    assert len(values(path)) == 3


def test_incomplete_last_line_is_removed(path):
    with path.open("ab") as file:
        file.write(b'{"op_code":6,"worker_id":"' + b"x" * 10_000)
    assert len(values(path)) == 2
    add_trial(path)
    assert len(values(path)) == 3
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_flipped_bits_are_found_or_harmless(path):
    intact, expected = path.read_bytes(), values(path)
    dice = random.Random(0)
    found = 0
    for _ in range(200):
        damaged = bytearray(intact)
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        try:
            assert values(path) == expected
        except UserError as error:
            assert "is damaged" in str(error)
            assert "\n" not in str(error)
            found += 1
    assert found > 180


def test_file_that_is_not_a_journal_is_refused(path):
    for content in ("[1]\n", "{}\n", "hello\n", '{"op_code": 99}\n'):
        path.write_text(content)
        with pytest.raises(UserError, match="is damaged"):
            journal.open_journal(path)
