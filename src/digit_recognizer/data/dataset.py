"""Loading input/ as a Dataset: images, labels and their source."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from digit_recognizer import files
from digit_recognizer.data import csv_format
from digit_recognizer.errors import DamagedError, UserError
from digit_recognizer.workspace import Workspace

DIGITS = tuple("0123456789")
DIGIT_SHAPE = (28, 28, 1)
FILES = ("train.csv", "test.csv", "sample_submission.csv")
TEST_LABELS = "test_labels.csv"
TEST_FILES = "test_files.csv"  # which image file each ImageId is
ALL_FILES = (*FILES, TEST_LABELS, TEST_FILES)
RECORD = "dataset.json"
MAKE_DATA = "delete it and run `make data`, which checks the files again"
_CACHE = ".cache.npz"

# Dataset.sha256 of the competition's own files, taken from Kaggle's digit-recognizer.zip.
COMPETITION_SHA256 = "984d746673cf42c08753e2a4c2241c1f62784244b4ea989121b40824961796f8"


@dataclass(frozen=True)
class Dataset:
    """Images as uint8 (n, height, width, channels), labels as int64 (n,), 0 <= label < len(classes)."""

    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray
    classes: tuple[str, ...]
    sha256: str  # of the parsed train and test arrays, so line ends and re-zipping don't matter
    source: str  # kaggle, bundled, mnist, fashion_mnist, or a path
    competition: bool  # whether these are exactly the competition's files

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.images.shape[1:]


@dataclass(frozen=True)
class FileRecord:
    """One file of `input/`."""

    bytes: int
    sha256: str
    rows: int


@dataclass(frozen=True)
class DatasetRecord:
    """dataset.json: the content of `input/`."""

    source: str
    competition: bool
    contains_competition_test: bool  # although `competition` is False
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    sha256: str  # as `Dataset.sha256`
    files: dict[str, FileRecord]
    time: str  # ISO 8601, UTC
    notes: tuple[str, ...] = ()  # such as files that were ignored


def load_dataset(workspace: Workspace) -> Dataset:
    """Return the data of `input/`, from the cache if its files have the same size and time, else from the checked CSV files.

    Raises:
        UserError: there is no data, or a file has changed since `make data`.
    """
    folder, record = workspace.input, read_record(workspace)
    stamps = _stamps(folder)
    arrays = _read_cache(folder, stamps)
    if arrays is None:
        verify_files(workspace)
        arrays = read_arrays(folder, record.classes, record.image_shape)
        _write_cache(folder, stamps, arrays)
    sha256 = str(arrays["sha256"])
    return Dataset(
        images=arrays["images"],
        labels=arrays["labels"],
        test_images=arrays["test_images"],
        classes=record.classes,
        sha256=sha256,
        source=record.source,
        competition=sha256 == COMPETITION_SHA256,
    )


def load_test_labels(workspace: Workspace) -> np.ndarray | None:
    """Return the public labels of the test images, int64 (m,), or None if there are none.

    Raises:
        UserError: the file has changed since `make data`.
    """
    record = read_record(workspace)
    if TEST_LABELS not in record.files:
        return None
    _verify_file(workspace.input / TEST_LABELS, record.files[TEST_LABELS])
    rows = record.files["test.csv"].rows
    return csv_format.read_labels(workspace.input / TEST_LABELS, record.classes, rows)


def read_arrays(folder: Path, classes: tuple[str, ...], image_shape: tuple[int, int, int]) -> dict[str, np.ndarray]:
    """Read and check the CSV files of a folder; return `images`, `labels`, `test_images` and their `sha256`.

    Raises:
        UserError: a cell, header or number of rows is wrong; the message names file, row and column.
    """
    images, labels = csv_format.read_train(folder / "train.csv", image_shape, classes)
    test_images = csv_format.read_test(folder / "test.csv", image_shape)
    for name in (FILES[2], TEST_LABELS):
        if name in FILES or (folder / name).exists():
            csv_format.read_labels(folder / name, classes, len(test_images))
    sha256 = np.array(files.sha256_of_arrays(images, labels, test_images))
    return {"images": images, "labels": labels, "test_images": test_images, "sha256": sha256}


def read_record(workspace: Workspace) -> DatasetRecord:
    """Return dataset.json.

    Raises:
        UserError: there is no data, or the record is damaged.
    """
    path = workspace.input / RECORD
    if not path.exists():
        raise UserError(f"{workspace.input} has no data yet: run `make data` (or `make demo`, which needs no account)")
    record = files.read_record(path, DatasetRecord, MAKE_DATA)
    if missing := set(FILES) - set(record.files):
        raise DamagedError(f"{path} is damaged ({min(missing)} is not among its files)", MAKE_DATA)
    return record


def verify_files(workspace: Workspace) -> None:
    """Hash all files of `input/` again and compare with dataset.json.

    Raises:
        UserError: a file is missing or has changed.
    """
    for name, known in read_record(workspace).files.items():
        if name in ALL_FILES:
            _verify_file(workspace.input / name, known)


def _verify_file(path: Path, known: FileRecord) -> None:
    try:
        intact = path.stat().st_size == known.bytes and files.sha256_of(path) == known.sha256
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run `make data`, which restores it") from None
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from error
    if not intact:
        raise UserError(f"{path} has changed since `make data`: run `make data`, which restores it")


def _stamps(folder: Path) -> np.ndarray:
    """Return size and modification time of each file, int64, by which an unchanged file is recognised without reading it."""
    stamps = {}
    for name in (*ALL_FILES, RECORD):
        if (folder / name).exists():
            status = (folder / name).stat()
            stamps[name] = [status.st_size, status.st_mtime_ns]
    return np.array(json.dumps(stamps))


def _read_cache(folder: Path, stamps: np.ndarray) -> dict[str, np.ndarray] | None:
    try:
        arrays = files.read_npz(folder / _CACHE)
        return arrays if str(arrays["stamps"]) == str(stamps) else None
    except (UserError, KeyError):  # missing, damaged or of another version: the cache is written again
        return None


def _write_cache(folder: Path, stamps: np.ndarray, arrays: dict[str, np.ndarray]) -> None:
    try:
        files.write_npz(folder / _CACHE, stamps=stamps, **arrays)
    except OSError:  # a read-only or full disk: the CSV files are read each time instead
        return
