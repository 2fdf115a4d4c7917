"""The ink of a digit is found in photos with shadows, tables, frames, lines and specks; blank pages and pairs are reported."""

import digit_photos
import numpy as np
import pytest
from PIL import Image

from digit_recognizer.data.digit_images import prediction_table, prepare_digit, read_images
from digit_recognizer.data.find_digit import find_digit
from digit_recognizer.data.sources import bundled

SHAPE = (28, 28, 1)
DIGITS = tuple("0123456789")


@pytest.fixture(scope="module")
def rows():
    """Two images of each digit in MNIST's form, uint8 (20, 28, 28)."""
    data = bundled.load()
    return np.concatenate([data.test_images[data.test_labels == digit][:2, ..., 0] for digit in range(10)])


def similarity(first, second):
    return np.corrcoef(first.ravel(), second.ravel())[0, 1] if first.any() and second.any() else 0.0


def test_one_white_pixel_changes_nothing():
    grey = np.full((100, 100), 120, np.uint8)
    grey[20:80, 45:55] = 30
    with_pixel = grey.copy()
    with_pixel[2, 97] = 255
    assert prepare_digit(grey).max() == 255
    assert np.abs(prepare_digit(grey).astype(int) - prepare_digit(with_pixel)).mean() < 1


def test_hard_edged_shadow_over_most_of_the_page_changes_nothing():
    grey = np.full((100, 100), 215.0)
    grey[20:80, 45:55] = 40
    plain = prepare_digit(grey.astype(np.uint8))
    grey[:, :70] *= 0.5
    assert np.abs(prepare_digit(grey.astype(np.uint8)).astype(int) - plain).mean() < 5
    assert plain.max() == 255


@pytest.mark.parametrize("kind", digit_photos.KINDS.values(), ids=digit_photos.KINDS)
def test_at_least_18_of_20_digits_are_found_in_photos(kind, rows):
    rng = np.random.default_rng(0)
    plain = [prepare_digit((255 * (1 - np.pad(digit_photos.enlarged(row, 120), 40))).astype(np.uint8)) for row in rows]
    found = [prepare_digit(kind(rng, row)) for row in rows]
    assert sum(similarity(one, other) > 0.75 for one, other in zip(found, plain, strict=True)) >= 18


@pytest.mark.parametrize(
    "kind", [kind for name, kind in digit_photos.KINDS.items() if name != "tight_crop"], ids=lambda kind: kind.__name__
)
def test_blank_pages_are_blank(kind):
    for seed in range(3):
        assert find_digit(kind(np.random.default_rng(seed), np.zeros((28, 28), np.uint8))).shapes == 0


@pytest.mark.parametrize("gap", [10, 30])
def test_two_digits_are_counted(rows, gap):
    pairs = zip(rows[:10], rows[10:], strict=True)
    assert sum(find_digit(digit_photos.side_by_side(*pair, gap)).shapes == 2 for pair in pairs) >= 9


def test_one_digit_is_one_shape(rows):
    rng = np.random.default_rng(0)
    shapes = [find_digit(digit_photos.page(rng, row).astype(np.uint8)).shapes for row in rows]
    assert shapes.count(1) >= 19


def test_two_digits_and_a_blank_page_are_flagged(tmp_path, rows):
    Image.fromarray(digit_photos.side_by_side(rows[4], rows[15], 25)).save(tmp_path / "1.png")
    Image.fromarray(digit_photos.hard_shadow(np.random.default_rng(0), np.zeros((28, 28), np.uint8))).save(tmp_path / "2.png")
    found = read_images([tmp_path], SHAPE, prepare=True)
    confident = np.tile(np.eye(10, dtype=np.float32)[3], (2, 1))
    table = prediction_table(found.names, found.images, confident, DIGITS, found.shapes)
    assert table["flag"].tolist() == ["2 separate shapes: one digit a picture", "blank: no digit found"]
    assert table.loc[1, "digit"] == "" and np.isnan(table.loc[1, ["probability", *DIGITS]].astype(float)).all()


@pytest.mark.parametrize("size", [(1, 1), (4, 60), (28, 28), (900, 700)])
def test_empty_picture_of_any_size_is_blank(size):
    assert find_digit(np.full(size, 128, np.uint8)).shapes == 0


def test_digit_on_a_small_sheet_is_found_instead_of_the_sheet():
    page = np.full((200, 200), 20, np.uint8)
    page[70:130, 70:130] = 250
    page[82:118, 94:106] = 120
    ink = find_digit(page).ink
    assert (ink > 0.5).sum() == pytest.approx(36 * 12, rel=0.1)
