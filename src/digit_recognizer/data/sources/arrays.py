"""Arrays of images, from .npz or IDX files among others: checking them and writing them in the competition's format."""

import gzip
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from digit_recognizer import files
from digit_recognizer.data import csv_format, dataset
from digit_recognizer.errors import UserError, first_line

_IDX_PARTS = {
    "images": ("train-images", 3),
    "labels": ("train-labels", 1),
    "test_images": ("t10k-images", 3),
    "test_labels": ("t10k-labels", 1),
}  # the beginning of the file's name, and the number of dimensions
_LIMIT = 4 << 30  # bytes of an array


@dataclass(frozen=True)
class ImageArrays:
    """Images uint8 (n, side, side, channels), class numbers (n,); the same for the test set, whose labels may be unknown."""

    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray | None
    classes: tuple[str, ...]
    test_files: list[str] | None = None  # the file of each test image, if they were read from image files
    notes: list[str] = field(default_factory=list)  # such as files that were ignored

    def check(self, source: str) -> None:
        """Raise UserError if a shape, dtype or label is not supported."""
        for name, images in (("training", self.images), ("test", self.test_images)):
            if images.dtype != np.uint8:
                raise UserError(f"{source}: the {name} images are {images.dtype}, but must be uint8 (0..255)")
            if images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[1] < 16 or images.shape[3] not in (1, 3):
                shape = "x".join(map(str, images.shape[1:]))
                raise UserError(
                    f"{source}: the {name} images are {shape}, but must be square, at least 16x16, with 1 or 3 channels"
                )
            if not len(images):
                raise UserError(f"{source}: there are no {name} images")
        if self.images.shape[1:] != self.test_images.shape[1:]:
            raise UserError(f"{source}: training and test images have different shapes")
        if not 2 <= len(self.classes) <= 100:
            raise UserError(f"{source}: {len(self.classes)} classes, but there must be 2 to 100")
        if len(set(self.classes)) < len(self.classes):
            raise UserError(f"{source}: two classes have the same name")
        self._check_labels(source, "training", self.labels, len(self.images))
        if self.test_labels is not None:
            self._check_labels(source, "test", self.test_labels, len(self.test_images))

    def _check_labels(self, source: str, name: str, labels: np.ndarray, rows: int) -> None:
        if labels.shape != (rows,) or not np.issubdtype(labels.dtype, np.integer):
            raise UserError(f"{source}: {rows} {name} images need as many whole-number labels, not {labels.shape}")
        if labels.min() < 0 or labels.max() >= len(self.classes):
            raise UserError(f"{source}: the {name} labels must go from 0 to {len(self.classes) - 1}")

    def write(self, folder: Path) -> None:
        """Write train.csv, test.csv, sample_submission.csv and, if known, test_labels.csv and test_files.csv."""
        train, test, sample = (folder / name for name in dataset.FILES)
        csv_format.write_train(train, self.images, self.labels)
        csv_format.write_test(test, self.test_images)
        csv_format.write_labels(sample, np.zeros(len(self.test_images), dtype=int), self.classes)
        if self.test_labels is not None:
            csv_format.write_labels(folder / dataset.TEST_LABELS, self.test_labels, self.classes)
        if self.test_files is not None:
            csv_format.write_test_files(folder / dataset.TEST_FILES, self.test_files)


def from_parts(parts: dict[str, np.ndarray], source: str) -> ImageArrays:
    """Return images (n, h, w) or (n, h, w, c) and whole-number labels as ImageArrays; a class is named by its number."""
    labels = parts["labels"]
    if not labels.size or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(f"{source}: the labels must be whole numbers, and there must be some")
    return ImageArrays(
        images=_with_channel(parts["images"]),
        labels=labels,
        test_images=_with_channel(parts["test_images"]),
        test_labels=parts.get("test_labels"),
        classes=tuple(str(number) for number in range(int(labels.max()) + 1)),
    )


def _with_channel(images: np.ndarray) -> np.ndarray:
    return images[..., np.newaxis] if images.ndim == 3 else images


def load_npz(path: Path) -> ImageArrays:
    """Read an .npz in Keras's format: x_train, y_train, x_test and perhaps y_test."""
    archive = files.read_npz(path)
    names = {"images": "x_train", "labels": "y_train", "test_images": "x_test", "test_labels": "y_test"}
    missing = [name for name in list(names.values())[:3] if name not in archive]
    if missing:
        raise UserError(f"{path} holds no array {missing[0]}; it has {', '.join(archive) or 'none'}")
    return from_parts({part: archive[name] for part, name in names.items() if name in archive}, str(path))


def load_idx(folder: Path) -> ImageArrays:
    """Read the IDX files of MNIST's format (train-images-idx3-ubyte and so on), plain or .gz, from a folder.

    Format: http://yann.lecun.com/exdb/mnist/
    """
    found = {part: _idx_file(folder, *key) for part, key in _IDX_PARTS.items()}
    missing = [part for part, path in found.items() if path is None and part != "test_labels"]
    if len(missing) == 3:
        raise UserError(
            f"{folder} holds no data: expected {', '.join(dataset.FILES)}, digit-recognizer.zip, "
            "train/<class>/*.png, or IDX files such as train-images-idx3-ubyte.gz"
        )
    if missing:
        name, dimensions = _IDX_PARTS[missing[0]]
        raise UserError(f"{folder} has no {name}-idx{dimensions}-ubyte (or .gz)")
    return from_parts({part: _read_idx(path, _IDX_PARTS[part][1]) for part, path in found.items() if path}, str(folder))


def _idx_file(folder: Path, name: str, dimensions: int) -> Path | None:
    return min(folder.glob(f"{name}?idx{dimensions}-ubyte*"), default=None)


def _read_idx(path: Path, dimensions: int) -> np.ndarray:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            magic, *shape = struct.unpack(f">{1 + dimensions}I", file.read(4 + 4 * dimensions))
            if magic != 0x0800 + dimensions:
                raise UserError(f"{path} is not an IDX file of unsigned bytes with {dimensions} dimensions")
            size = int(np.prod(shape, dtype=object))
            if size > _LIMIT:
                raise UserError(f"{path} is damaged: its header states {size:,} bytes")
            content = file.read(size + 1)
    except (struct.error, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is incomplete or damaged ({first_line(error)})") from error
    if len(content) != size:
        raise UserError(
            f"{path} is damaged: its header states {size:,} bytes but it has {'more' if len(content) > size else 'less'}"
        )
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)
