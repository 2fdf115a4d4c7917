"""CSV files in the competition's format: written exactly and read strictly; messages name the first fault."""

import numpy as np
import pytest

from digit_recognizer.data import csv_format
from digit_recognizer.errors import UserError

SHAPE, CLASSES = (2, 2, 1), ("ant", "bee", "cat")
HEADER = "label,pixel0,pixel1,pixel2,pixel3"


def message_of(read, path, text, *arguments):
    """Write the file, read it, and return the message of the error without the path."""
    path.write_text(text)
    with pytest.raises(UserError) as refused:
        read(path, *arguments)
    return str(refused.value).removeprefix(str(path))


def train_message(tmp_path, *lines):
    """Read a train.csv with these lines, of which the first is the header; return the error's message without the path."""
    return message_of(csv_format.read_train, tmp_path / "train.csv", "\n".join(lines) + "\n", SHAPE, CLASSES)


def labels_message(tmp_path, text, classes=CLASSES, rows=2):
    return message_of(csv_format.read_labels, tmp_path / "labels.csv", text, classes, rows)


def test_written_images_and_labels_are_read_back(tmp_path):
    images = np.arange(3 * 256, dtype=np.uint8).reshape(3, 16, 16, 1)  # every value of a pixel
    labels = np.array([2, 0, 1])
    csv_format.write_train(tmp_path / "train.csv", images, labels)
    read = csv_format.read_train(tmp_path / "train.csv", (16, 16, 1), CLASSES)
    assert np.array_equal(read[0], images) and np.array_equal(read[1], labels)
    csv_format.write_test(tmp_path / "test.csv", images)
    assert np.array_equal(csv_format.read_test(tmp_path / "test.csv", (16, 16, 1)), images)
    csv_format.write_labels(tmp_path / "labels.csv", labels, CLASSES)
    assert (tmp_path / "labels.csv").read_text() == "ImageId,Label\n1,cat\n2,ant\n3,bee\n"
    assert np.array_equal(csv_format.read_labels(tmp_path / "labels.csv", CLASSES, 3), labels)


def test_file_names_of_test_images_are_numbered_from_1_and_quoted_if_necessary(tmp_path):
    csv_format.write_test_files(tmp_path / "test_files.csv", ["a.png", "b, c.png"])
    assert (tmp_path / "test_files.csv").read_text() == 'ImageId,file\n1,a.png\n2,"b, c.png"\n'


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("1,256,0,0,0", "column pixel0: '256' is not a whole number from 0 to 255"),
        ("1,255,0,256,-1", "column pixel2: '256' is not a whole number from 0 to 255"),
        ("1,0,0,0,999999999999999999999", "column pixel3: '999999999999999999999' is not a whole number"),
        ("1,0,,0,0", "column pixel1: an empty cell is not a whole number"),
        ("x,0,0,0,0", "column label: 'x' is not a whole number"),
        ("3,0,0,0,0", "column label: 3 is not a label: labels are 0 to 2"),
        ("1,0,0,0", "column pixel3: 4 cells, but there must be 5"),
        ("1,0", "column pixel1: 2 cells, but there must be 5"),
        ("1,0,0,0,0,0", "column pixel3: 6 cells, but there must be 5"),
        ("1,0,0,0,0,0,x", "column pixel3: 7 cells, but there must be 5"),
    ],
)
def test_message_names_row_line_and_column_of_the_first_wrong_cell(tmp_path, line, fault):
    message = train_message(tmp_path, HEADER, "0,255,0,255,0", line, "9,0,0,0,0")
    assert message.startswith(f", row 2 (line 3), {fault}")


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ("label;pixel0;pixel1;pixel2;pixel3", "the cells are separated by semicolons instead of commas"),
        ("label,pixel0,pixel1,pixel2", "4 columns, but there must be 5"),
        (f"{HEADER},pixel4", "6 columns, among them 'pixel4', but there must be 5"),
        (f"{HEADER},pixel1", "6 columns, among them 'pixel1', but there must be 5"),
        ("label,pixel0,pixel2,pixel1,pixel3", "column 3: the name must be pixel1, not 'pixel2'"),
        ("label,pixel0,pixel1;pixel2,pixel3,x", "column 3: the name must be pixel1, not 'pixel1;pixel2'"),
        (f"{HEADER[:-1]}{'x' * 35}", f"column 5: the name must be pixel3, not 'pixel{'x' * 35}' "),
        (f"{HEADER[:-1]}{'x' * 36}", f"column 5: the name must be pixel3, not 'pixel{'x' * 32}...' "),
    ],
)
def test_message_names_the_wrong_column_of_the_header(tmp_path, header, fault):
    message = train_message(tmp_path, header, "0,0,0,0,0")
    assert message.startswith(f", line 1{',' if fault.startswith('column') else ':'} {fault}")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("ImageId,Label\n1,ant\n3,bee\n", ", row 2 (line 3), column ImageId: must be 2, not '3' (ids are 1 to 2, in order)"),
        ("ImageId,Label\n1,ant\n2\n", ", row 2 (line 3), column ImageId: must be 2, not '2'"),
        (
            "ImageId,Label\n1,dog\n2,ant\n",
            ", row 1 (line 2), column Label: 'dog' is not a class; the classes are ant, bee, cat",
        ),
        ("ImageId,Label\n1,ant\n", ": 1 rows, but test.csv has 2: there must be one row per image"),
        ("ImageId,Label\n1,ant\n2,ant\n3,ant\n", ": 3 rows, but test.csv has 2"),
        ("1,ant\n2,bee\n", ", line 1: the header must be ImageId,Label, not '1,ant'"),
    ],
)
def test_message_names_the_fault_of_a_file_of_labels(tmp_path, text, fault):
    assert labels_message(tmp_path, text).startswith(fault)


def test_up_to_12_classes_are_listed_in_full(tmp_path):
    names = tuple(f"c{number}" for number in range(13))
    text = "ImageId,Label\n1,x\n"
    assert labels_message(tmp_path, text, names[:12], rows=1).endswith(f"the classes are {', '.join(names[:12])}")
    assert labels_message(tmp_path, text, names, rows=1).endswith("the classes are c0, c1, ... c12")


@pytest.mark.parametrize(
    ("encoding", "fault"),
    [
        ("utf-16", "is not plain text (binary, or UTF-16 as Excel saves it)"),
        ("utf-16-le", "is not plain text (binary, or UTF-16 as Excel saves it)"),
        ("utf-8-sig", "begins with a byte order mark, so another program has changed it"),
    ],
)
def test_file_that_another_program_has_saved_in_its_encoding_is_refused(tmp_path, encoding, fault):
    path = tmp_path / "train.csv"
    path.write_text(f"{HEADER}\n0,0,0,0,0\n", encoding=encoding)
    with pytest.raises(UserError) as refused:
        csv_format.read_train(path, SHAPE, CLASSES)
    assert str(refused.value) == f"{path} {fault}"


@pytest.mark.parametrize("end", ["", "\n"])
def test_header_without_a_row_is_an_error(tmp_path, end):
    assert message_of(csv_format.read_test, tmp_path / "test.csv", HEADER[6:] + end, SHAPE) == ": there is a header but no row"


def test_class_without_a_row_is_named(tmp_path):
    message = train_message(tmp_path, HEADER, "0,0,0,0,0", "2,0,0,0,0")
    assert message == ": no row has the label bee; each of the 3 classes must occur"
