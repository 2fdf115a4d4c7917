"""Submission files: written from probabilities in the competition's format, with a record, and checked."""

import json
from pathlib import Path

import numpy as np
import pytest
from kaggle_server import BLEND

from digit_recognizer import files
from digit_recognizer.data import sources
from digit_recognizer.errors import UserError
from digit_recognizer.submission.submission_file import check_submission, write_submission
from digit_recognizer.workspace import Workspace


def test_the_file_has_the_competitions_format_and_a_record(submission, nearly_right):
    lines = submission.read_text().splitlines()
    assert lines[0] == "ImageId,Label"
    assert lines[1] == f"1,{nearly_right[0].argmax()}"
    assert len(lines) == 361
    record = json.loads(submission.with_suffix(".json").read_text())
    assert record["sha256"] == files.sha256_of(submission)
    assert record["runs"] == ["fast", "baseline"]
    assert record["data"]["competition"] is False


def test_the_same_probabilities_give_the_same_bytes(submission, bundled_copy, nearly_right):
    before = submission.read_bytes()
    write_submission(submission, nearly_right, bundled_copy, BLEND)
    assert submission.read_bytes() == before


def test_other_classes_are_written_by_name(tmp_path):
    rng = np.random.default_rng(0)
    found = sources.arrays.ImageArrays(
        rng.integers(0, 256, (9, 16, 16, 3), dtype=np.uint8),
        np.arange(9) % 3,
        rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8),
        None,
        ("cat", "dog", "eel"),
    )
    make_data(tmp_path, found)
    path = tmp_path / "submissions" / "a.csv"
    write_submission(path, np.array([[0, 0, 1], [0, 1, 0.0]]), Workspace(tmp_path), BLEND)
    assert path.read_text() == "ImageId,Label\n1,eel\n2,dog\n"


def make_data(root: Path, found) -> None:
    """Write arrays to input/ as `fetch` does."""
    from PIL import Image

    for number, (image, label) in enumerate(zip(found.images, found.labels, strict=True)):
        folder = root / "tree" / "train" / found.classes[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    (root / "tree" / "test").mkdir()
    for number, image in enumerate(found.test_images):
        Image.fromarray(image).save(root / "tree" / "test" / f"{number}.png")
    sources.fetch(str(root / "tree"), Workspace(root))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values: values[:-1], ["(359, 10)", "(360, 10)"]),
        (lambda values: values[:, :9], ["(360, 9)"]),
        (lambda values: np.where(np.arange(360)[:, None] < 5, np.nan, values), ["5 test images have no prediction"]),
    ],
)
def test_probabilities_that_do_not_fit_are_refused(change, words, bundled_copy, nearly_right, tmp_path):
    with pytest.raises(UserError) as caught:
        write_submission(tmp_path / "x.csv", change(nearly_right), bundled_copy, BLEND)
    assert all(word in str(caught.value) for word in words)
    assert not (tmp_path / "x.csv").exists()


def test_the_record_contains_no_path_of_the_machine(tmp_path, bundled):
    other = Workspace(tmp_path / "other")
    sources.fetch(str(bundled.input), other)
    write_submission(tmp_path / "a.csv", np.eye(10)[np.zeros(360, dtype=int)], other, BLEND)
    assert str(bundled.input.parent) not in (tmp_path / "a.json").read_text()


BAD_SUBMISSIONS = {
    "empty": (lambda text: "", "is empty"),
    "another header": (lambda text: text.replace("ImageId", "Id", 1), "line 1"),
    "semicolons": (lambda text: text.replace(",", ";"), "line 1"),
    "a row too few": (lambda text: text.rsplit("\n", 2)[0] + "\n", "359 rows"),
    "a row too many": (lambda text: text + "361,0\n", "361 rows"),
    "an id twice": (lambda text: text.replace("\n2,", "\n1,", 1), "row 2 (line 3), column ImageId"),
    "ids from zero": (lambda text: text.replace("\n1,", "\n0,", 1), "row 1 (line 2), column ImageId"),
    "label 10": (lambda text: text.replace("\n1,", "\n1,1", 1), "row 1 (line 2), column Label"),
    "a float label": (lambda text: text.replace("\n2,", "\n2,0.", 1), "row 2 (line 3), column Label"),
    "no label": (lambda text: text.replace("\n3,", "\n3,\n", 1), "361 rows"),
    "HTML": (lambda text: "<html></html>", "line 1"),
    "binary": (lambda text: "\0\1\2" * 50, "not plain text"),
}


@pytest.mark.parametrize("name", BAD_SUBMISSIONS)
def test_an_invalid_submission_is_an_error_with_row_and_column(name, submission, bundled_copy):
    change, words = BAD_SUBMISSIONS[name]
    submission.write_text(change(submission.read_text()))
    with pytest.raises(UserError) as caught:
        check_submission(submission, bundled_copy)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
