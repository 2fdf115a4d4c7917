"""Invalid input data: each kind gives a helpful one-line error, and `input/` is unchanged."""

import contextlib
import gzip
import os
import shutil
import struct
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from bad_disk import full_disk
from PIL import Image

from digit_recognizer.data import dataset, sources
from digit_recognizer.errors import UserError
from digit_recognizer.workspace import Workspace

PIXELS = [f"pixel{number}" for number in range(784)]
TRAIN_ROWS, TEST_ROWS = 20, 4


def table(columns, rows):
    return "\n".join(",".join(map(str, row)) for row in [columns, *rows]) + "\n"


def good():
    """Return the text of three valid files."""
    rng = np.random.default_rng(0)
    return {
        "train.csv": table(["label", *PIXELS], [[row % 10, *rng.integers(0, 256, 784)] for row in range(TRAIN_ROWS)]),
        "test.csv": table(PIXELS, rng.integers(0, 256, (TEST_ROWS, 784))),
        "sample_submission.csv": table(["ImageId", "Label"], [[row + 1, 0] for row in range(TEST_ROWS)]),
    }


GOOD = good()


def write(folder, **changed):
    """Write the valid files with changes (name without .csv = text, bytes, or None to omit the file)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in GOOD.items():
        content = changed.get(name.removesuffix(".csv"), text)
        if content is not None:
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def train(change):
    return lambda folder: write(folder, train=change(GOOD["train.csv"]))


def cell(row, column, value):
    """Change one cell of train.csv; row 0 is the first after the header."""

    def change(text):
        lines = [line.split(",") for line in text.splitlines()]
        lines[row + 1][column] = value
        return "\n".join(map(",".join, lines)) + "\n"

    return train(change)


def columns(change):
    """Change the list of cells of every line of train.csv."""
    return train(lambda text: "\n".join(",".join(change(line.split(","))) for line in text.splitlines()) + "\n")


def swapped(cells):
    return [*cells[:2], cells[3], cells[2], *cells[4:]]


def sample(change):
    return lambda folder: write(folder, sample_submission=change(GOOD["sample_submission.csv"]))


def smaller(text, side):
    """The same images with `side`x`side` pixels."""
    keep = [0, *(1 + 28 * y + x for y in range(side) for x in range(side))]
    lines = [[line.split(",")[number] for number in keep] for line in text.splitlines()]
    lines[0] = ["label", *PIXELS[: side * side]]
    return "\n".join(map(",".join, lines)) + "\n"


HTML = "<!DOCTYPE html>\n<html><body>Sign in to Kaggle</body></html>\n"

# How train.csv or another file is damaged, and words that the message must contain.
CSV = {
    "no train.csv": (lambda folder: write(folder, train=None), ["no train.csv"]),
    "no test.csv": (lambda folder: write(folder, test=None), ["no test.csv"]),
    "no sample": (lambda folder: write(folder, sample_submission=None), ["no sample_submission.csv"]),
    "empty": (train(lambda text: ""), ["train.csv", "empty"]),
    "only blanks": (train(lambda text: "\n\n  \n"), ["train.csv", "empty"]),
    "only a header": (train(lambda text: text.splitlines()[0] + "\n"), ["train.csv", "no row"]),
    "only a header, no line end": (train(lambda text: text.splitlines()[0]), ["train.csv", "no row"]),
    "no header": (train(lambda text: text.partition("\n")[2]), ["train.csv, line 1"]),
    "cut in a row": (train(lambda text: text[: len(text) - 500]), ["train.csv, row 20 (line 21)", "cells"]),
    "binary": (train(lambda text: bytes(range(256)) * 9), ["train.csv", "not plain text"]),
    "zeros in a row": (train(lambda text: text.encode()[:9000] + b"\0" * 99 + b"\n"), ["train.csv", "row"]),
    "an image": (train(lambda text: b"\x89PNG\r\n\x1a\n" + b"\0" * 99), ["train.csv", "not plain text"]),
    "HTML": (train(lambda text: HTML), ["train.csv", "web page"]),
    "HTML after a blank": (train(lambda text: " " + HTML), ["train.csv", "web page"]),
    "JSON": (train(lambda text: '{"code": 403}'), ["train.csv, line 1"]),
    "semicolons": (train(lambda text: text.replace(",", ";")), ["train.csv, line 1", "semicolons"]),
    "tabs": (train(lambda text: text.replace(",", "\t")), ["train.csv, line 1", "tabs"]),
    "byte order mark": (train(lambda text: text.encode("utf-8-sig")), ["train.csv", "byte order mark"]),
    "UTF-16": (train(lambda text: text.encode("utf-16")), ["train.csv", "UTF-16"]),
    "UTF-16 without mark": (train(lambda text: text.encode("utf-16-le")), ["train.csv", "UTF-16"]),
    "quoted header": (
        train(lambda text: '"' + text.replace("\n", '"\n', 1).replace(",pixel", '","pixel')),
        ["train.csv, line 1", "quotation marks"],
    ),
    "quoted cells": (cell(2, 5, '"7"'), ["row 3 (line 4), column pixel4"]),
    "a column twice": (columns(lambda cells: [*cells, cells[1]]), ["line 1", "786 columns", "pixel0", "785"]),
    "a column too few": (columns(lambda cells: cells[:-1]), ["line 1", "784 columns", "785"]),
    "an unknown column": (columns(lambda cells: ["id", *cells]), ["line 1", "786 columns", "'id'"]),
    "columns in another order": (columns(swapped), ["line 1, column 3", "pixel1", "pixel2"]),
    "columns renamed": (train(lambda text: text.replace("pixel9,", "px9,", 1)), ["line 1, column 11", "px9"]),
    "label last": (columns(lambda cells: [*cells[1:], cells[0]]), ["line 1, column 1", "label"]),
    "a cell too many": (cell(3, 784, "1,1"), ["row 4 (line 5)", "786 cells"]),
    "a cell too many everywhere": (
        train(lambda text: text.replace("\n", ",0\n").replace(",0\n", "\n", 1)),
        ["row 1 (line 2)", "786 cells"],
    ),
    "a cell too few": (train(lambda text: text.rstrip("\n").rpartition(",")[0] + "\n"), ["row 20 (line 21)", "784 cells"]),
    "a trailing comma": (cell(3, 784, "1,"), ["row 4 (line 5)", "786 cells"]),
    "an empty cell": (cell(4, 100, ""), ["row 5 (line 6), column pixel99", "empty"]),
    "an empty line": (train(lambda text: text.replace("\n", "\n\n", 2)), ["row 1 (line 2)"]),
    "float": (cell(0, 10, "12.5"), ["row 1 (line 2), column pixel9", "12.5"]),
    "whole float": (cell(0, 10, "12.0"), ["column pixel9", "12.0"]),
    "scientific": (cell(0, 10, "1e2"), ["column pixel9", "1e2"]),
    "negative": (cell(1, 1, "-1"), ["row 2 (line 3), column pixel0", "-1"]),
    "256": (cell(1, 784, "256"), ["row 2 (line 3), column pixel783", "256"]),
    "far too large": (cell(1, 784, "9" * 400), ["row 2 (line 3), column pixel783"]),
    "NaN": (cell(1, 7, "NaN"), ["column pixel6", "NaN"]),
    "text": (cell(1, 7, "black"), ["column pixel6", "black"]),
    "hexadecimal": (cell(1, 7, "0x1f"), ["column pixel6", "0x1f"]),
    "a blank in a cell": (cell(1, 7, " 5"), ["column pixel6", "' 5'"]),
    "other digits": (cell(1, 7, "٣"), ["column pixel6"]),
    "label 10": (cell(5, 0, "10"), ["row 6 (line 7), column label", "10"]),
    "label 255": (cell(5, 0, "255"), ["row 6 (line 7), column label"]),
    "label -1": (cell(5, 0, "-1"), ["row 6 (line 7), column label", "-1"]),
    "label as a word": (cell(5, 0, "five"), ["row 6 (line 7), column label", "five"]),
    "no label": (cell(5, 0, ""), ["row 6 (line 7), column label"]),
    "a missing digit": (train(lambda text: text.replace("\n7,", "\n1,")), ["label 7"]),
    "27x27 images": (train(lambda text: smaller(text, 27)), ["line 1", "730 columns", "785"]),
    "train as test": (lambda folder: write(folder, test=GOOD["train.csv"]), ["test.csv, line 1", "785 columns", "784"]),
    "test with a bad cell": (
        lambda folder: write(folder, test=GOOD["test.csv"].replace("\n", "\n300", 1)),
        ["test.csv, row 1 (line 2), column pixel0"],
    ),
    "more test rows than the sample": (
        lambda folder: write(folder, test=GOOD["test.csv"] + GOOD["test.csv"].splitlines()[1] + "\n"),
        ["sample_submission.csv", "4 rows", "5"],
    ),
    "sample with another header": (sample(lambda text: text.replace("ImageId", "Id")), ["sample_submission.csv, line 1"]),
    "sample with ids from 0": (sample(lambda text: text.replace("\n1,", "\n0,")), ["row 1 (line 2), column ImageId"]),
    "sample in another order": (
        sample(lambda text: text.replace("\n1,", "\n9,").replace("\n2,", "\n1,")),
        ["row 1 (line 2), column ImageId"],
    ),
    "sample with label 10": (sample(lambda text: text.replace("\n2,0", "\n2,10")), ["row 2 (line 3), column Label"]),
    "sample empty": (sample(lambda text: ""), ["sample_submission.csv", "empty"]),
    "sample in Latin-1": (sample(lambda text: text.encode() + "é".encode("latin-1")), ["sample_submission.csv", "text"]),
    "a folder for a file": (lambda folder: (write(folder, train=None) / "train.csv").mkdir(), ["no train.csv"]),
}


def zipped(compression=zipfile.ZIP_DEFLATED, **options):
    """Return a function that makes digit-recognizer.zip from the good files, with changes given as name=content."""

    def make(folder):
        folder.mkdir()
        with zipfile.ZipFile(folder / "digit-recognizer.zip", "w", compression) as archive:
            for name, content in (GOOD | options).items():
                if content is not None:
                    archive.writestr(name, content)
        return folder / "digit-recognizer.zip"

    return make


def damaged_zip(change, compression=zipfile.ZIP_DEFLATED):
    """Return a function that makes a good zip and then changes its bytes."""

    def make(folder):
        path = zipped(compression)(folder)
        path.write_bytes(change(path.read_bytes()))
        return path

    return make


def with_password(content):
    """Set the encryption bit of every entry, as a zip with a password has it."""
    content = bytearray(content)
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = content.find(signature)
        while start >= 0:
            content[start + offset] |= 1
            start = content.find(signature, start + 4)
    return bytes(content)


def bomb(folder):
    """Write a zip whose header states a size of 20 GB."""
    path = zipped()(folder)
    content = bytearray(path.read_bytes())
    start = content.find(b"PK\1\2")
    content[start + 24 : start + 28] = struct.pack("<I", 0xF0000000)
    path.write_bytes(content)
    return path


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes(255 - byte for byte in content[middle : middle + 50]) + content[middle + 50 :]


ZIPS = {
    "empty": (damaged_zip(lambda content: b""), ["empty"]),
    "cut": (damaged_zip(lambda content: content[: len(content) // 2]), ["incomplete or damaged"]),
    "damaged inside": (damaged_zip(flipped), ["damaged"]),
    "HTML": (damaged_zip(lambda content: HTML.encode()), ["web page"]),
    "damaged inside, with LZMA": (damaged_zip(flipped, zipfile.ZIP_LZMA), ["damaged"]),
    "damaged inside, with bzip2": (damaged_zip(flipped, zipfile.ZIP_BZIP2), ["digit-recognizer.zip is incomplete or damaged"]),
    "something else": (damaged_zip(lambda content: b"x" * 999), ["not a zip"]),
    "a password": (damaged_zip(with_password), ["password"]),
    "a bomb": (bomb, ["MB", "not Kaggle's archive"]),
    "a file missing": (zipped(**{"test.csv": None}), ["no test.csv"]),
    "a file twice": (zipped(**{"old/test.csv": "x"}), ["2 test.csv"]),
    "../ in a name": (zipped(**{"train.csv": None, "../train.csv": GOOD["train.csv"]}), ["unsafe name"]),
    "an absolute name": (zipped(**{"train.csv": None, "/tmp/train.csv": GOOD["train.csv"]}), ["unsafe name"]),
    "a bad file inside": (zipped(**{"train.csv": "label\n"}), ["train.csv, line 1"]),
}

IMAGES, LABELS = np.zeros((20, 28, 28), np.uint8), np.arange(20) % 10


def npz(**changed):
    def make(folder):
        folder.mkdir()
        arrays = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:3], "y_test": LABELS[:3]} | changed
        np.savez(folder / "a.npz", **{name: array for name, array in arrays.items() if array is not None})
        return folder / "a.npz"

    return make


def idx(**changed):
    def make(folder):
        folder.mkdir()
        files = {
            "train-images-idx3-ubyte": struct.pack(">4I", 0x0803, *IMAGES.shape) + IMAGES.tobytes(),
            "train-labels-idx1-ubyte": struct.pack(">2I", 0x0801, 20) + LABELS.astype(np.uint8).tobytes(),
            "t10k-images-idx3-ubyte": struct.pack(">4I", 0x0803, 3, 28, 28) + IMAGES[:3].tobytes(),
        }
        for name, content in files.items():
            content = changed.get(name.partition("-idx")[0].replace("-", "_"), lambda content: content)(content)
            if content is not None:
                (folder / (name + ".gz" * content.startswith(b"\x1f\x8b"))).write_bytes(content)
        return folder

    return make


def pickled(folder):
    folder.mkdir()
    np.savez(folder / "a.npz", x_train=np.array([{"a": 1}], dtype=object), y_train=LABELS, x_test=IMAGES)
    return folder / "a.npz"


def tree(change):
    """Write image folders of two classes and a test folder, then change them."""

    def make(folder):
        for name in ("train/a", "train/b", "test"):
            (folder / name).mkdir(parents=True)
            for number in range(10):
                Image.fromarray(IMAGES[0]).save(folder / name / f"{number}.png")
        change(folder)
        return folder

    return make


def picture(size=(28, 28), mode="L", name="train/a/x.png", **options):
    return tree(lambda folder: Image.new(mode, size).save(folder / name, **options))


def resized(side):
    """Resize all images to this width and height."""

    def change(folder):
        for path in folder.rglob("*.png"):
            Image.new("L", side).save(path)

    return tree(change)


OTHERS = {
    "npz without x_test": (npz(x_test=None), ["no array x_test"]),
    "npz with floats": (npz(x_train=IMAGES / 255), ["float64", "uint8"]),
    "npz with labels as floats": (npz(y_train=LABELS * 1.0), ["whole numbers"]),
    "npz with too few labels": (npz(y_train=LABELS[:-1]), ["20 training images"]),
    "npz with negative labels": (npz(y_train=LABELS - 1), ["from 0"]),
    "npz with a class missing": (npz(y_train=LABELS * 2), ["label 1"]),
    "npz with one class": (npz(y_train=LABELS * 0), ["1 classes"]),
    "npz with 101 classes": (npz(y_train=np.r_[LABELS[:-1], 100]), ["101 classes"]),
    "npz with no images": (npz(x_test=IMAGES[:0], y_test=None), ["no test images"]),
    "npz with images that are not square": (npz(x_train=IMAGES[:, 1:]), ["27x28", "square"]),
    "npz with small images": (npz(x_train=IMAGES[:, :15, :15]), ["15x15", "16"]),
    "npz with two channels": (npz(x_train=np.stack([IMAGES] * 2, -1)), ["28x28x2", "channels"]),
    "npz with flat images": (npz(x_train=IMAGES.reshape(20, 784)), ["784", "square"]),
    "npz with other test images": (npz(x_test=np.zeros((3, 16, 16), np.uint8)), ["different shapes"]),
    "npz with test label 10": (npz(y_test=LABELS[:3] + 10), ["test labels", "from 0 to 9"]),
    "npz of pickles": (pickled, ["damaged"]),
    "npz cut": (lambda folder: cut(npz()(folder)), ["damaged"]),
    "idx without labels": (idx(train_labels=lambda content: None), ["no train-labels"]),
    "idx of another kind": (idx(train_images=lambda content: b"\0\0\x0d\3" + content[4:]), ["not an IDX file"]),
    "idx cut": (idx(train_images=lambda content: content[:-1]), ["damaged", "less"]),
    "idx too long": (idx(train_images=lambda content: content + b"x"), ["damaged", "more"]),
    "idx without its head": (idx(train_images=lambda content: content[:10]), ["incomplete or damaged"]),
    "idx bomb": (idx(train_images=lambda content: struct.pack(">4I", 0x0803, *[1 << 30] * 3)), ["states"]),
    "idx.gz cut": (idx(train_images=lambda content: gzip.compress(content)[:-12]), ["incomplete or damaged"]),
    "idx.gz damaged": (idx(train_images=lambda content: gzip.compress(content)[:14] + b"x" * 40), ["incomplete or damaged"]),
    "tree with one class": (tree(lambda folder: shutil.rmtree(folder / "train" / "b")), ["at least two"]),
    "tree with an empty class": (tree(lambda folder: (folder / "train" / "c").mkdir()), ["c: contains no images"]),
    "tree with an empty test": (
        tree(lambda folder: (shutil.rmtree(folder / "test"), (folder / "test").mkdir())),
        ["test: contains no images"],
    ),
    "tree with an unknown test class": (tree(lambda folder: (folder / "test" / "c").mkdir()), ["no such class"]),
    "tree with too few images": (
        tree(lambda folder: [shutil.rmtree(folder / "test"), *map(Path.unlink, folder.glob("train/a/[1-9].png"))]),
        ["too few images"],
    ),
    "a comma in a class": (tree(lambda folder: (folder / "train" / "a").rename(folder / "train" / "a,b")), ["comma"]),
    "an image that is none": (tree(lambda folder: (folder / "train/a/x.png").write_text("no")), ["x.png", "as an image"]),
    "an image cut": (tree(lambda folder: cut(folder / "train/a/3.png")), ["3.png", "as an image"]),
    "an image of another size": (picture((27, 28)), ["x.png", "27x28", "same size"]),
    "images that are not square": (resized((28, 20)), ["20x28", "square"]),
    "images that are small": (resized((12, 12)), ["12x12", "16x16"]),
    "an empty folder": (lambda folder: folder.mkdir(), ["holds no data"]),
    "nothing there": (lambda folder: None, ["no such file or folder", "bundled"]),
}


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


KINDS = {"csv": CSV, "zip": ZIPS, "other": OTHERS}
ALL = {f"{kind}: {name}": case for kind, cases in KINDS.items() for name, case in cases.items()}


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """A workspace with valid data."""
    folder = tmp_path_factory.mktemp("there")
    workspace = Workspace(folder / "work")
    sources.fetch(str(write(folder / "source")), workspace)
    return workspace


def content_of(workspace):
    return {path.name: path.read_bytes() for path in workspace.input.iterdir()}


@pytest.mark.parametrize("name", ALL)
def test_bad_data_is_refused_in_one_line_and_the_good_data_stays(name, there, tmp_path):
    make, words = ALL[name]
    folder = tmp_path / "größere Daten"
    source = make(folder)
    source = source if isinstance(source, Path) else folder
    before = content_of(there)
    with pytest.raises(UserError) as caught:
        sources.fetch(str(source), there, force=True)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    assert str(tmp_path) in message
    assert "fetching-" not in message
    assert [word for word in words if word not in message] == [], message
    assert content_of(there) == before
    assert dataset.load_dataset(there).images.shape == (TRAIN_ROWS, 28, 28, 1)
    (there.input / ".cache.npz").unlink()


FINE = {
    "LF": lambda text: text,
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "no line end after the last row": lambda text: text.rstrip("\n"),
}


@pytest.mark.parametrize("name", FINE)
def test_all_kinds_of_line_ends_are_accepted(name, there, tmp_path):
    texts = {name_.removesuffix(".csv"): FINE[name](text) for name_, text in GOOD.items()}
    workspace = Workspace(tmp_path)
    sources.fetch(str(write(tmp_path / "source", **texts)), workspace)
    assert dataset.load_dataset(workspace).sha256 == dataset.load_dataset(there).sha256


@contextlib.contextmanager
def somebody():
    """Run the block as a user without root's permissions."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.fixture
def open_folder():
    """A folder that all users can access, unlike pytest's folders."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("forbidden", ["", "train.csv"])
def test_a_source_without_read_permission_is_named(forbidden, open_folder):
    source = write(open_folder / "source")
    (source / forbidden).chmod(0)
    with somebody(), pytest.raises(UserError, match="Permission denied") as caught:
        sources.fetch(str(source), Workspace(open_folder))
    assert "source" in str(caught.value)


def test_a_workspace_without_write_permission_is_named(open_folder):
    source = write(open_folder / "source")
    (open_folder / "work").mkdir(mode=0o555)
    with somebody(), pytest.raises(UserError, match=r"input: Permission denied"):
        sources.fetch(str(source), Workspace(open_folder / "work"))


def test_data_in_a_read_only_folder_is_loaded_without_a_cache(open_folder):
    workspace = Workspace(open_folder)
    sources.fetch(str(write(open_folder / "source")), workspace)
    workspace.input.chmod(0o555)
    with somebody():
        assert not sources.fetch(None, workspace).fetched
        assert len(dataset.load_dataset(workspace).images) == TRAIN_ROWS
    assert not (workspace.input / ".cache.npz").exists()


def test_a_file_where_input_should_be_is_named(tmp_path):
    source = write(tmp_path / "source")
    (tmp_path / "input").write_text("")
    with pytest.raises(UserError, match=r"input: (File exists|Not a directory)"):
        sources.fetch(str(source), Workspace(tmp_path))


@pytest.mark.parametrize("limit", [0, 1000, 30_000])
def test_a_full_disk_leaves_the_good_data(limit, there, tmp_path):
    source = write(tmp_path / "source")
    before = content_of(there)
    with full_disk(limit), pytest.raises(UserError, match=r"nothing in .* was changed"):
        sources.fetch(str(source), there, force=True)
    assert content_of(there) == before


def test_a_full_disk_only_prevents_the_cache(tmp_path):
    workspace = Workspace(tmp_path)
    sources.fetch(str(write(tmp_path / "source")), workspace)
    with full_disk(1000):
        assert len(dataset.load_dataset(workspace).images) == TRAIN_ROWS
    assert not (workspace.input / ".cache.npz").exists()
