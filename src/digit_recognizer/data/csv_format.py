"""CSV files in the competition's format, read strictly (every cell is checked) and written exactly.

train.csv is `label,pixel0,...`, test.csv is `pixel0,...`, sample submission, submissions and test labels are `ImageId,Label`.
Pixels are in row-major order, channels last. `label` is the number of the class, `Label` its name; for digits both are equal.
"""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from digit_recognizer import files
from digit_recognizer.data.image_files import printable
from digit_recognizer.errors import UserError

LABEL_HEADER = "ImageId,Label"


def read_train(path: Path, image_shape: tuple[int, int, int], classes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 (n, height, width, channels) and labels int64 (n,).

    Raises:
        UserError: the file is missing, or a header, cell or label is wrong; the message names row and column.
    """
    table = _read_table(path, ["label", *_pixel_columns(image_shape)])
    labels = table[:, 0].astype(np.int64)
    wrong = np.flatnonzero(labels >= len(classes))
    if len(wrong):
        _fail(path, wrong[0], "label", f"{labels[wrong[0]]} is not a label: labels are 0 to {len(classes) - 1}")
    missing = [name for label, name in enumerate(classes) if label not in labels]
    if missing:
        raise UserError(f"{path}: no row has the label {missing[0]}; each of the {len(classes)} classes must occur")
    return np.ascontiguousarray(table[:, 1:]).reshape(-1, *image_shape), labels


def read_test(path: Path, image_shape: tuple[int, int, int]) -> np.ndarray:
    """Return images uint8 (n, height, width, channels); raises as `read_train`."""
    return np.ascontiguousarray(_read_table(path, _pixel_columns(image_shape))).reshape(-1, *image_shape)


def read_labels(path: Path, classes: tuple[str, ...], rows: int) -> np.ndarray:
    """Return the labels of an `ImageId,Label` file with ids 1..rows in order, as class numbers int64 (rows,).

    Raises:
        UserError: the header, the number of rows, an id or a label is wrong.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    header, *lines = _text(path).splitlines()
    if header != LABEL_HEADER:
        raise UserError(f"{path}, line 1: the header must be {LABEL_HEADER}, not {_short(header)}")
    if len(lines) != rows:
        raise UserError(f"{path}: {len(lines)} rows, but test.csv has {rows}: there must be one row per image")
    labels = np.empty(rows, dtype=np.int64)
    for row, line in enumerate(lines):
        image_id, comma, name = line.partition(",")
        if not comma or image_id != str(row + 1):
            _fail(path, row, "ImageId", f"must be {row + 1}, not {_short(image_id)} (ids are 1 to {rows}, in order)")
        if name not in numbers:
            _fail(path, row, "Label", f"{_short(name)} is not a class; the classes are {_listed(classes)}")
        labels[row] = numbers[name]
    return labels


def write_train(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write uint8 images (n, height, width, channels) and their class numbers (n,)."""
    table = np.column_stack([labels.astype(np.uint8), images.reshape(len(images), -1)])
    _write_table(path, ["label", *_pixel_columns(images.shape[1:])], table)


def write_test(path: Path, images: np.ndarray) -> None:
    """Write uint8 images (n, height, width, channels)."""
    _write_table(path, _pixel_columns(images.shape[1:]), images.reshape(len(images), -1))


def write_labels(path: Path, labels: np.ndarray, classes: tuple[str, ...]) -> None:
    """Write class numbers (n,) as `ImageId,Label` with ids from 1 and the names of the classes."""
    lines = (f"{row},{classes[label]}" for row, label in enumerate(labels, start=1))
    files.write_text(path, "\n".join([LABEL_HEADER, *lines]) + "\n")


def write_test_files(path: Path, names: Sequence[str]) -> None:
    """Write the file name of each image of test.csv, as `ImageId,file` with ids from 1."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("ImageId", "file"), *enumerate(map(printable, names), start=1)])
    files.write_text(path, text.getvalue())


def _pixel_columns(image_shape: tuple[int, ...]) -> list[str]:
    return [f"pixel{number}" for number in range(int(np.prod(image_shape)))]


def _write_table(path: Path, columns: list[str], table: np.ndarray) -> None:
    digits = [str(value) for value in range(256)]
    lines = (",".join([digits[value] for value in row]) for row in table.tolist())
    with files.atomic(path) as temporary, temporary.open("w", encoding="ascii", newline="") as file:
        file.write(",".join(columns) + "\n")
        file.writelines(line + "\n" for line in lines)


def _read_table(path: Path, columns: list[str]) -> np.ndarray:
    """Return all cells, uint8 (rows, columns), read with pandas after a check that all cells are whole numbers."""
    import pandas as pd

    content = _content(path)
    end = content.find(b"\n") + 1
    _check_header(path, content[: end or None], columns)
    if not end or end == len(content):
        raise UserError(f"{path}: there is a header but no row")
    try:
        if content[end:].translate(None, b"0123456789,\r\n"):
            raise ValueError("characters other than digits")
        table = pd.read_csv(
            io.BytesIO(content), dtype=np.uint8, na_filter=False, skip_blank_lines=False, quoting=3, encoding="ascii"
        ).to_numpy()
        if table.shape[1] != len(columns) or content.count(b",", end) != len(table) * (len(columns) - 1):
            raise ValueError("rows of different length")
    except (ValueError, OverflowError) as error:  # pandas' ParserError is a ValueError
        _find_fault(path, content[end:], columns)
        raise UserError(f"{path} can't be read ({_short(str(error))})") from error
    return table


def _find_fault(path: Path, body: bytes, columns: list[str]) -> None:
    """Raise a UserError for the first cell that is wrong; slow, so only called when there is one."""
    for row, line in enumerate(body.decode("utf-8", "replace").splitlines()):
        cells = line.split(",")
        for column, cell in zip(columns, cells, strict=False):
            if not re.fullmatch("[0-9]+", cell) or int(cell[:20]) > 255:
                _fail(path, row, column, f"{_short(cell) if cell else 'an empty cell'} is not a whole number from 0 to 255")
        if len(cells) != len(columns):
            _fail(
                path, row, columns[min(len(cells), len(columns) - 1)], f"{len(cells)} cells, but there must be {len(columns)}"
            )


def _check_header(path: Path, line: bytes, columns: list[str]) -> None:
    names = line.decode("utf-8", "replace").rstrip("\r\n").split(",")
    if names == columns:
        return
    text = ",".join(names)
    if text.lstrip().startswith("<"):
        raise UserError(f"{path} is a web page (HTML), not a CSV file: download the data itself, signed in to Kaggle")
    for character, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if text.count(character) >= len(columns) - 1:
            raise UserError(f"{path}, line 1: the cells are separated by {name} instead of commas")
    if '"' in text:
        raise UserError(f"{path}, line 1: the header is in quotation marks; it must be {_short(','.join(columns))}")
    if len(names) != len(columns):
        extra = sorted(set(names) - set(columns)) or sorted({name for name in names if names.count(name) > 1})
        which = f", among them {_short(extra[0])}" if extra else ""
        raise UserError(f"{path}, line 1: {len(names)} columns{which}, but there must be {len(columns)}")
    place = next(number for number, name in enumerate(names) if name != columns[number])
    raise UserError(
        f"{path}, line 1, column {place + 1}: the name must be {columns[place]}, not {_short(names[place])} "
        f"(duplicated, renamed or in another order)"
    )


def _text(path: Path) -> str:
    content = _content(path)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text file") from None


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run `make data`") from None
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from error
    if not content.strip():
        raise UserError(f"{path} is empty")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content[:1000]:
        raise UserError(f"{path} is not plain text (binary, or UTF-16 as Excel saves it)")
    if content.startswith(b"\xef\xbb\xbf"):
        raise UserError(f"{path} begins with a byte order mark, so another program has changed it")
    return content


def _fail(path: Path, row: int, column: str, problem: str) -> None:
    raise UserError(f"{path}, row {row + 1} (line {row + 2}), column {column}: {problem}")


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _listed(classes: tuple[str, ...]) -> str:
    return ", ".join(classes) if len(classes) <= 12 else f"{classes[0]}, {classes[1]}, ... {classes[-1]}"
