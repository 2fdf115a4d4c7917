"""Atomic writes, and the detection of damaged files."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from bad_disk import full_disk

from digit_recognizer import files
from digit_recognizer.errors import DamagedError, UserError


def hidden(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_reader_sees_the_old_file_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "deep" / "file.json"
    files.write_text(path, "old")
    with files.atomic(path) as temporary:
        assert temporary.suffix == ".json"
        temporary.write_text("half of the n")
        assert path.read_text() == "old"
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert not hidden(path.parent)


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.npz"
    files.write_npz(path, values=np.arange(3))
    with pytest.raises(RuntimeError), files.atomic(path) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    with full_disk(100), pytest.raises(OSError):
        files.write_npz(path, values=np.arange(1000))
    assert np.array_equal(files.read_npz(path)["values"], np.arange(3))
    assert not hidden(tmp_path)


def test_error_of_a_write_names_the_file_and_not_its_temporary_one(tmp_path):
    with pytest.raises(IsADirectoryError) as caught, files.atomic(tmp_path / "a.txt") as temporary:
        temporary.mkdir()
        try:
            temporary.write_text("x")
        finally:
            temporary.rmdir()
    assert caught.value.filename == str(tmp_path / "a.txt")


def test_what_is_written_is_flushed_before_it_is_renamed(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: order.append("fsync"))
    replace = type(tmp_path).replace
    monkeypatch.setattr(type(tmp_path), "replace", lambda self, target: order.append("rename") or replace(self, target))
    files.write_text(tmp_path / "file.txt", "text")
    assert order == ["fsync", "rename", "fsync"]  # the file, then its folder


def test_only_temporary_files_of_ended_processes_are_removed(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    folder = tmp_path / "deep"
    folder.mkdir()
    stale = [folder / f".state.{dead.pid}.npz", tmp_path / f".log.{dead.pid}"]
    kept = [tmp_path / name for name in (".lock", ".cache.npz", f".state.{os.getpid()}.npz", f"file.{dead.pid}.npz")]
    for path in (*stale, *kept):
        path.write_text("x")
    files.remove_temporaries(tmp_path)
    assert not any(path.exists() for path in stale)
    assert all(path.exists() for path in kept)


def test_temporary_files_of_a_zombie_process_are_removed(tmp_path):
    zombie = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    stale = tmp_path / f".state.{zombie.pid}.npz"
    stale.write_text("x")
    files.remove_temporaries(tmp_path)
    zombie.wait()
    assert not stale.exists()


@pytest.mark.parametrize(
    "harm",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:200] + bytes([content[200] ^ 255]) + content[201:],
        lambda content: b"<html>not found</html>",
    ],
    ids=["empty", "cut", "one byte flipped", "html"],
)
def test_damaged_npz_is_found(tmp_path, harm):
    path = tmp_path / "file.npz"
    files.write_npz(path, values=np.arange(1000))
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(UserError, match=r"file\.npz is damaged"):
        files.read_npz(path)


def test_npz_with_python_objects_is_refused(tmp_path):
    np.savez(tmp_path / "file.npz", values=np.array([{}], dtype=object))
    with pytest.raises(UserError, match="is damaged"):
        files.read_npz(tmp_path / "file.npz")


def test_missing_npz_is_named(tmp_path):
    with pytest.raises(UserError, match="nothing is missing"):
        files.read_npz(tmp_path / "nothing")


def test_hash_of_arrays_depends_on_values_shape_and_type():
    values = np.arange(6, dtype=np.int64)
    others = [values + 1, values.reshape(2, 3), values.astype(np.int32)]
    assert len({files.sha256_of_arrays(array) for array in (values, *others)}) == 4
    assert files.sha256_of_arrays(values.reshape(2, 3).T) == files.sha256_of_arrays(values.reshape(2, 3).T.copy())


@dataclass(frozen=True)
class Part:
    name: str
    sizes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Record:
    """A record like those of runs: nested, with optional and free-form fields."""

    count: int
    share: float
    fold: int | None
    part: Part
    changes: dict[str, Any]
    accuracy: float | None = None


RECORD = Record(count=3, share=0.1, fold=None, part=Part("ä", (1, 2)), changes={"seeds": [0, 1], "keep": None})


def test_record_is_the_same_after_reading(tmp_path):
    path = tmp_path / "record.json"
    files.write_record(path, RECORD)
    assert files.read_record(path, Record, "mend it") == RECORD
    text = path.read_text("utf-8")
    written = json.loads(text)
    assert "accuracy" not in written and written["fold"] is None
    assert text.index("count") < text.index("changes") and "ä" in text and text.endswith("}\n")
    files.write_record(path, replace(RECORD, accuracy=0.5))
    assert files.read_record(path, Record, "mend it").accuracy == 0.5


HARM = {
    "a changed value": (lambda text: text.replace('"count": 3', '"count": 4'), "doesn't match its checksum"),
    "a changed key": (lambda text: text.replace('"share"', '"shard"'), "doesn't match its checksum"),
    "a changed checksum": (
        lambda text: re.sub('"checksum": "[0-9a-f]{4}', '"checksum": "0000', text),
        "doesn't match its checksum",
    ),
    "no JSON": (lambda text: text[:-3], "delimiter"),
    "nothing": (lambda text: "", "Expecting value"),
    "a list": (lambda text: "[]", "holds no JSON object"),
    "no field": (lambda text: "{}", "field count: Field required"),
    "another type": (
        lambda text: json.dumps({**without_checksum(text), "part": {"name": "a", "sizes": [1, "2"]}}),
        r"field part\.sizes\.1: Input should be a valid integer",
    ),
    "a truth value for a number": (lambda text: json.dumps({**without_checksum(text), "count": True}), "field count: "),
}


def without_checksum(text):
    return {name: value for name, value in json.loads(text).items() if name != "checksum"}


@pytest.mark.parametrize("name", HARM)
def test_damaged_record_is_named_with_its_field_and_a_remedy(name, tmp_path):
    harm, words = HARM[name]
    path = tmp_path / "record.json"
    files.write_record(path, RECORD)
    path.write_text(harm(path.read_text("utf-8")), "utf-8")
    with pytest.raises(DamagedError, match=rf"record\.json is damaged .*{words}.*: mend it") as damage:
        files.read_record(path, Record, "mend it")
    assert "\n" not in str(damage.value)


def test_record_without_a_checksum_is_accepted(tmp_path):
    path = tmp_path / "record.json"
    files.write_record(path, RECORD)
    path.write_text(json.dumps(without_checksum(path.read_text("utf-8"))))
    assert files.read_record(path, Record, "mend it") == RECORD


def test_missing_record_is_named(tmp_path):
    with pytest.raises(DamagedError, match=r"record\.json is missing: mend it"):
        files.read_record(tmp_path / "record.json", Record, "mend it")


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ({"rows": "int 2"}, r"array 'rows' must be int, 2 dimensions, not int64, 1 dimensions"),
        ({"rows": "float 1"}, r"array 'rows' must be float, 1 dimensions, not int64, 1 dimensions"),
        ({"valid": "float 2"}, "it has no array 'valid'"),
    ],
)
def test_array_that_is_missing_or_of_another_type_is_named(expected, words, tmp_path):
    files.write_npz(tmp_path / "a.npz", rows=np.arange(3))
    assert files.read_npz(tmp_path / "a.npz", rows="int 1")["rows"].tolist() == [0, 1, 2]
    with pytest.raises(UserError, match=rf"a\.npz is damaged \({words}"):
        files.read_npz(tmp_path / "a.npz", **expected)
