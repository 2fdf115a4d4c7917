"""Loading input/: the dataset, its cache, and errors in files that have changed."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from digit_recognizer import files
from digit_recognizer.data import dataset, sources
from digit_recognizer.errors import UserError
from digit_recognizer.workspace import Workspace


@pytest.fixture
def workspace(bundled, tmp_path):
    """A workspace with the bundled digits that was not loaded before."""
    workspace = Workspace(tmp_path)
    workspace.input.mkdir()
    for name in (*dataset.FILES, dataset.TEST_LABELS, dataset.RECORD):
        (workspace.input / name).write_bytes((bundled.input / name).read_bytes())
    return workspace


def counting(monkeypatch):
    """Count how often the CSV files are read."""
    reads, read = [], dataset.read_arrays
    monkeypatch.setattr(dataset, "read_arrays", lambda *arguments: reads.append(1) or read(*arguments))
    return reads


def test_images_are_channels_last_bytes_and_labels_class_numbers(workspace):
    data = dataset.load_dataset(workspace)
    assert (data.images.shape, data.images.dtype) == ((1437, 28, 28, 1), np.uint8)
    assert (data.labels.shape, data.labels.dtype) == ((1437,), np.int64)
    assert data.test_images.shape == (360, 28, 28, 1)
    assert data.image_shape == (28, 28, 1)
    assert data.classes == tuple("0123456789")
    assert (data.source, data.competition) == ("bundled", False)


def test_pixels_are_in_row_major_order(workspace):
    line = (workspace.input / "train.csv").read_text().splitlines()[1].split(",")
    data = dataset.load_dataset(workspace)
    assert data.labels[0] == int(line[0])
    assert data.images[0, 2, 20, 0] == int(line[1 + 2 * 28 + 20])
    assert np.array_equal(data.images[0].ravel(), np.array(line[1:], dtype=int))


def test_public_test_labels_are_class_numbers(workspace):
    labels = dataset.load_test_labels(workspace)
    assert (labels.shape, labels.dtype) == ((360,), np.int64)
    assert np.bincount(labels).tolist() == [36, 36, 35, 37, 36, 37, 36, 36, 35, 36]


def test_public_test_labels_are_checked_with_the_other_files(workspace):
    path = workspace.input / dataset.TEST_LABELS
    path.write_text(path.read_text().replace("\n2,", "\n9,", 1))
    with pytest.raises(UserError, match=r"test_labels\.csv, row 2 \(line 3\), column ImageId: must be 2, not '9'"):
        dataset.read_arrays(workspace.input, dataset.DIGITS, dataset.DIGIT_SHAPE)


def test_the_second_load_reads_no_csv_and_gives_the_same(workspace, monkeypatch):
    reads = counting(monkeypatch)
    first, second = dataset.load_dataset(workspace), dataset.load_dataset(workspace)
    assert len(reads) == 1
    assert first.sha256 == second.sha256
    assert all(np.array_equal(getattr(first, name), getattr(second, name)) for name in ("images", "labels", "test_images"))


def test_a_new_modification_time_makes_it_read_the_files_again(workspace, monkeypatch):
    reads = counting(monkeypatch)
    first = dataset.load_dataset(workspace)
    os.utime(workspace.input / "train.csv", (1, 1))
    assert dataset.load_dataset(workspace).sha256 == first.sha256
    assert len(reads) == 2


def test_a_damaged_cache_is_written_again(workspace, monkeypatch):
    reads = counting(monkeypatch)
    first = dataset.load_dataset(workspace)
    cache = workspace.input / ".cache.npz"
    content = bytearray(cache.read_bytes())
    content[len(content) // 2] ^= 255
    cache.write_bytes(content)
    assert dataset.load_dataset(workspace).sha256 == first.sha256
    assert len(reads) == 2


def test_a_changed_file_is_refused_even_if_its_content_is_valid(workspace):
    dataset.load_dataset(workspace)
    path = workspace.input / "train.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    with pytest.raises(UserError, match=r"train\.csv has changed since `make data`"):
        dataset.load_dataset(workspace)


def test_line_ends_do_not_change_the_hash_of_the_data(workspace, bundled, tmp_path):
    for name in dataset.FILES:
        path = workspace.input / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    other = Workspace(tmp_path / "other")
    sources.fetch(str(workspace.input), other)
    assert dataset.load_dataset(other).sha256 == dataset.load_dataset(bundled).sha256


def test_competition_is_decided_by_the_data_not_by_the_record(workspace):
    path = workspace.input / dataset.RECORD
    claims = replace(dataset.read_record(workspace), competition=True, sha256=dataset.COMPETITION_SHA256)
    files.write_record(path, claims)
    assert not dataset.load_dataset(workspace).competition


@pytest.mark.parametrize("name", [*dataset.FILES, dataset.TEST_LABELS])
def test_a_missing_file_is_an_error_with_a_remedy(name, workspace):
    (workspace.input / name).unlink()
    with pytest.raises(UserError, match=f"{name} is missing: run `make data`"):
        dataset.load_dataset(workspace)
    assert sources.fetch(None, workspace).fetched
    assert dataset.load_dataset(workspace)


def test_no_data_is_an_error_with_a_remedy(tmp_path):
    with pytest.raises(UserError, match="run `make data`"):
        dataset.load_dataset(Workspace(tmp_path))


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", "{}", '{"source": 1}', '{"files": {}}', '{"classes": 3, "files": []}', "\0\0"]
)
def test_a_damaged_record_is_an_error_with_a_remedy(content, workspace):
    (workspace.input / dataset.RECORD).write_text(content)
    with pytest.raises(UserError, match=r"delete it and run") as caught:
        dataset.load_dataset(workspace)
    assert "\n" not in str(caught.value)
    (workspace.input / dataset.RECORD).unlink()
    assert sources.fetch(None, workspace).record.files["train.csv"].rows == 1437


def test_import_does_not_load_pandas():
    code = (
        "import sys; from digit_recognizer.data import dataset, sources; from digit_recognizer.submission import submitting; "
    )
    heavy = "{'pandas', 'sklearn', 'keras', 'tensorflow', 'kaggle', 'PIL', 'requests'}"
    subprocess.run([sys.executable, "-c", code + f"assert not {heavy} & set(sys.modules)"], check=True)
