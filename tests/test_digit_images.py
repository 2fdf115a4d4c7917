"""Preparing image files of any size, ink, paper and format as MNIST's images, and the table of predictions."""

import numpy as np
import pandas as pd
import pytest
from digit_strokes import draw
from PIL import Image

from digit_recognizer.data import csv_format
from digit_recognizer.data.digit_images import (
    are_digits,
    place,
    prediction_table,
    prepare_digit,
    read_images,
    write_predictions,
)
from digit_recognizer.data.sources import bundled
from digit_recognizer.errors import UserError

SHAPE = (28, 28, 1)
DIGITS = tuple("0123456789")


@pytest.fixture(scope="module")
def rows():
    """360 images in MNIST's form, uint8 (n, 28, 28, 1)."""
    return bundled.load().test_images


@pytest.fixture(scope="module")
def references():
    """The ten digits drawn plainly and prepared, int (10, 28, 28)."""
    return np.stack([prepare_digit(draw(digit, (280, 280), (40, 40, 200)), 28) for digit in range(10)]).astype(int)


def read(path, prepare=True):
    return read_images([path], SHAPE, prepare).images


def centre_of_mass(image):
    return [np.average(np.arange(28), weights=image.sum(axis=axis, dtype=float)) for axis in (1, 0)]


def longest_side(image):
    return max(np.ptp(np.flatnonzero(image.any(axis=axis))) + 1 for axis in (0, 1))


LOOKS = {
    "small, in a corner": {"size": (60, 80), "box": (2, 40, 24)},
    "hardly larger than the digit": {"size": (36, 36), "box": (1, 1, 34)},
    "large": {"size": (1700, 1200), "box": (900, 100, 800)},
    "chalk on slate": {"size": (300, 200), "box": (20, 30, 150), "ink": 230, "paper": 40},
    "grey on grey": {"size": (300, 200), "box": (100, 30, 150), "ink": 150, "paper": 200},
    "fine pen": {"size": (200, 200), "box": (10, 10, 120), "pen": 0.06},
    "28x28, off-centre, dark on light": {"size": (28, 28), "box": (1, 0, 20)},
    "28x28, off-centre, light on dark": {"size": (28, 28), "box": (1, 0, 20), "ink": 255, "paper": 0},
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_digits_of_any_size_ink_and_paper_are_prepared_as_mnist_was(look, references):
    images = np.stack([prepare_digit(draw(digit, **look), 28) for digit in range(10)])
    assert images.dtype == np.uint8
    for image in images:
        assert longest_side(image) == 20
        assert all(abs(centre - 14) <= 0.51 for centre in centre_of_mass(image))
        assert image.max() > 200
    nearest = [np.abs(references - image).sum(axis=(1, 2)).argmin() for image in images]
    assert nearest == list(range(10))


def test_shadows_noise_and_dust_of_a_photograph_are_not_ink():
    rng = np.random.default_rng(0)
    clean = draw(5, (900, 1200), (200, 300, 500), paper=0, ink=90).astype(float)
    across, down = np.meshgrid(np.linspace(0, 70, 900), np.linspace(0, 40, 1200))
    dust = np.zeros_like(clean)
    dust[1100:1105, 50:55] = 90
    photo = np.clip(210 - across - down - np.maximum(clean, dust) + rng.normal(0, 6, clean.shape), 0, 255).astype(np.uint8)
    difference = prepare_digit(photo, 28).astype(int) - prepare_digit(clean.astype(np.uint8), 28)
    assert np.abs(difference).mean() < 4


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".gif"])
@pytest.mark.parametrize("inverted", [False, True], ids=["light on dark", "dark on light"])
def test_rows_of_the_competition_saved_as_images_are_read_unchanged(tmp_path, rows, suffix, inverted):
    for number, image in enumerate(rows):
        Image.fromarray(255 - image[..., 0] if inverted else image[..., 0]).save(tmp_path / f"{number}{suffix}")
    names, images, problems, _ = read_images([tmp_path], SHAPE, prepare=True)
    assert names == [f"{number}{suffix}" for number in range(len(rows))]
    assert np.array_equal(images, rows)
    assert not problems


OTHER_FORMS = {
    "moved down": {"box": (4, 8, 20)},
    "moved right": {"box": (8, 4, 20)},
    "faint": {"ink": 100},
    "on grey paper": {"paper": 90},
    "small": {"box": (9, 9, 10)},
    "large": {"box": (1, 1, 26)},
}


@pytest.mark.parametrize("look", OTHER_FORMS.values(), ids=OTHER_FORMS)
def test_image_of_mnists_size_in_another_form_is_prepared(look, references):
    image = prepare_digit(draw(3, (28, 28), **{"box": (4, 4, 20), "ink": 255, "paper": 0} | look))
    assert longest_side(image) == 20
    assert all(abs(centre - 14) <= 0.51 for centre in centre_of_mass(image))
    assert image.max() > 200 and not image[[0, -1]].any() and not image[:, [0, -1]].any()
    assert np.abs(references - image).sum(axis=(1, 2)).argmin() == 3


def test_hair_thin_line_has_a_width_of_one_pixel():
    placed = place(np.ones((400, 1)), 28)
    assert placed.any(axis=1).sum() == 20 and placed.any(axis=0).sum() == 1


@pytest.mark.parametrize(
    ("turns", "axis", "first"), [(0, 1, 8), (2, 1, 0), (1, 0, 8), (3, 0, 0)], ids=["top", "bottom", "left", "right"]
)
def test_digit_whose_ink_is_mostly_at_one_end_is_not_cut(turns, axis, first):
    letter_t = np.zeros((200, 100))
    letter_t[:30] = letter_t[:, 45:55] = 1
    used = np.flatnonzero(place(np.rot90(letter_t, turns), 28).any(axis=axis))
    assert list(used) == list(range(first, first + 20))


def test_rows_saved_as_jpeg_are_not_moved(tmp_path, rows):
    for number, image in enumerate(rows[:50]):
        Image.fromarray(image[..., 0]).save(tmp_path / f"{number}.jpg", quality=75)
    assert np.abs(read(tmp_path).astype(int) - rows[:50]).mean() < 4


def test_enlarged_rows_are_nearly_the_original_rows(rows):
    enlarged = [Image.fromarray(image[..., 0]).resize((250, 250), Image.Resampling.BICUBIC) for image in rows]
    images = np.stack([prepare_digit(255 - np.asarray(image), 28) for image in enlarged])
    likeness = [np.corrcoef(image.ravel(), row.ravel())[0, 1] for image, row in zip(images, rows, strict=True)]
    assert np.median(likeness) > 0.9


def test_colour_transparency_palettes_and_16_bits_are_supported(tmp_path):
    grey = draw(3, (90, 90), (20, 10, 60))
    expected = prepare_digit(grey, 28)
    ink = 255 - grey
    nothing = np.zeros_like(grey)
    variants = {
        "colour": Image.merge("RGB", [Image.fromarray(grey)] * 3),
        "black ink on nothing": Image.fromarray(np.dstack([nothing, nothing, nothing, ink])),
        "white ink on nothing": Image.fromarray(np.dstack([nothing + 255, nothing + 255, nothing + 255, ink])),
        "grey with alpha": Image.merge("LA", [Image.fromarray(grey), Image.new("L", (90, 90), 255)]),
        "palette": Image.fromarray(grey).convert("P"),
        "16 bits": Image.fromarray(grey.astype(np.uint16) * 257),
    }
    for name, image in variants.items():
        image.save(tmp_path / f"{name}.png")
        difference = np.abs(read(tmp_path / f"{name}.png")[0, ..., 0].astype(int) - expected)
        assert difference.max() <= (8 if "on nothing" in name else 2), name


def test_red_ink_on_a_card_with_transparent_corners(tmp_path):
    grey = draw(2, (120, 120), (30, 30, 60))
    card = np.dstack([np.full_like(grey, 240), grey, grey, np.full_like(grey, 255)])
    card[:12, :12, 3] = card[-12:, -12:, 3] = 0
    Image.fromarray(card).save(tmp_path / "card.png")
    assert np.abs(read(tmp_path / "card.png")[0, ..., 0].astype(int) - prepare_digit(grey, 28)).mean() < 3


def test_a_photograph_is_rotated_by_its_exif_orientation(tmp_path):
    image = Image.fromarray(draw(7, (90, 120), (20, 10, 60)))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    image.save(tmp_path / "upright.png")
    assert np.array_equal(read(tmp_path / "turned.png"), read(tmp_path / "upright.png"))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2), (28, 28), (500, 700)])
@pytest.mark.parametrize("paper", [0, 128, 255])
def test_an_image_without_ink_becomes_black(size, paper):
    assert not prepare_digit(np.full(size, paper, np.uint8), 28).any()


def test_unprepared_images_are_only_scaled(tmp_path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (28, 28, 3), dtype=np.uint8))
    image.save(tmp_path / "image.png")
    assert np.array_equal(read(tmp_path / "image.png", prepare=False)[0, ..., 0], np.asarray(image.convert("L")))
    assert np.array_equal(read_images([tmp_path / "image.png"], (28, 28, 3), prepare=False).images[0], np.asarray(image))
    assert read_images([tmp_path / "image.png"], (40, 40, 3), prepare=False).images.shape == (1, 40, 40, 3)


@pytest.mark.parametrize(
    ("classes", "shape", "prepared"),
    [
        (DIGITS, (28, 28, 1), True),
        (("T-shirt", *DIGITS[1:]), (28, 28, 1), False),
        (DIGITS, (32, 32, 1), False),
        (DIGITS, (28, 28, 3), False),
    ],
    ids=["digits", "other classes", "other size", "colour"],
)
def test_images_are_prepared_only_for_data_like_the_competitions(classes, shape, prepared):
    assert are_digits(list(classes), list(shape)) is prepared


def test_rows_of_a_csv_are_not_prepared(tmp_path, rows):
    csv_format.write_test(tmp_path / "test.csv", rows[:3])
    names, images, _, _ = read_images([tmp_path / "test.csv"], SHAPE, prepare=True)
    assert names == ["test.csv:1", "test.csv:2", "test.csv:3"]
    assert np.array_equal(images, rows[:3])


def test_folders_are_searched_in_the_order_of_numbers(tmp_path):
    for name in ("10.png", "2.PNG", "b/1.jpg", ".hidden.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if name != "notes.txt":
            Image.new("L", (9, 9)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    assert read_images([tmp_path], SHAPE, prepare=True).names == ["2.PNG", "10.png", "b/1.jpg"]


def bad_files(folder):
    good = folder / "good.png"
    Image.fromarray(draw(1, (90, 90), (20, 10, 60))).save(good)
    return {
        "empty.png": b"",
        "text.png": b"not an image",
        "cut.png": good.read_bytes()[:100],
        "page.jpg": b"<html><body>404</body></html>",
        "short.csv": b"pixel0,pixel1\n1,2\n",
        "pixels.csv": (",".join(f"pixel{number}" for number in range(784)) + "\n" + "300" + ",0" * 783 + "\n").encode(),
    }


def test_each_unreadable_file_gives_one_line_and_the_others_are_read(tmp_path):
    paths = [tmp_path / "good.png"]
    for name, content in bad_files(tmp_path).items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(content)
    (tmp_path / "no images").mkdir()
    paths += [tmp_path / "missing.png", tmp_path / "no images"]
    names, images, problems, _ = read_images(paths, SHAPE, prepare=True)
    assert names == ["good.png"] and images.shape == (1, *SHAPE)
    assert len(problems) == len(paths) - 1
    for path, problem in zip(paths[1:], problems, strict=True):
        assert problem.startswith(str(path)) and "\n" not in problem


def test_no_readable_image_is_a_one_line_error(tmp_path):
    for name, content in bad_files(tmp_path).items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=name) as error:
            read(tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "missing.png")


def test_error_counts_the_other_files_that_cannot_be_read(tmp_path):
    missing = [tmp_path / f"{number}.png" for number in range(3)]
    with pytest.raises(UserError, match=r"0\.png: there is no such file or folder$"):
        read_images(missing[:1], SHAPE, prepare=True)
    with pytest.raises(UserError, match=r"0\.png: there is no such file or folder \(and 2 more that can't be read\)$"):
        read_images(missing, SHAPE, prepare=True)
    with pytest.raises(UserError, match="no images were named: give files or folders"):
        read_images([], SHAPE, prepare=True)


def test_the_table_names_digit_runner_up_and_what_looks_unlike_any_digit(tmp_path, rows):
    sure = np.full(10, 0.001, np.float32)
    sure[7], sure[1] = 0.95, 0.042
    unsure = np.full(10, 0.1, np.float32)
    black, full = np.zeros(SHAPE, np.uint8), np.full(SHAPE, 200, np.uint8)
    images = np.stack([rows[0], rows[0], black, full])
    table = prediction_table(["a", "b", "c", "d"], images, np.stack([sure, unsure, sure, sure]), DIGITS)
    assert list(table.columns) == ["file", "digit", "probability", "runner_up", "flag", *DIGITS]
    assert table.loc[0, ["file", "digit", "runner_up", "flag"]].tolist() == ["a", "7", "1", ""]
    assert table["probability"].iloc[0] == pytest.approx(0.95)
    assert table["flag"].tolist()[1:] == ["looks unlike any digit", "blank: no digit found", "looks unlike any digit"]
    write_predictions(tmp_path / "predictions.csv", table)
    written = pd.read_csv(tmp_path / "predictions.csv")
    assert written[list(DIGITS)].iloc[0].tolist() == pytest.approx(sure.tolist())


def test_image_is_flagged_if_no_class_has_a_probability_of_70_percent(rows):
    probabilities = np.zeros((2, 10), np.float32)
    probabilities[:, :2] = (0.7, 0.3), (0.69, 0.31)
    flags = prediction_table(["a", "b"], rows[:2], probabilities, DIGITS)["flag"]
    assert flags.tolist() == ["", "looks unlike any digit"]


def test_image_with_several_shapes_is_flagged_with_their_number(rows):
    certain = np.eye(10, dtype=np.float32)[:3]
    flags = prediction_table(["a", "b", "c"], rows[:3], certain, DIGITS, shapes=[1, 2, 3])["flag"]
    assert flags.tolist() == ["", "2 separate shapes: one digit a picture", "3 separate shapes: one digit a picture"]


def test_no_row_of_real_digits_is_flagged_for_its_ink(rows):
    certain = np.eye(10, dtype=np.float32)[np.zeros(len(rows), int)]
    assert not prediction_table([""] * len(rows), rows, certain, DIGITS)["flag"].any()


def test_other_images_are_not_flagged_for_their_ink():
    probabilities = np.eye(10, dtype=np.float32)[:3]
    probabilities[2] = 0.1
    images = np.stack([np.full((32, 32, 3), value, np.uint8) for value in (200, 0, 0)])
    table = prediction_table(["day.png", "night.png", "unsure.png"], images, probabilities, DIGITS)
    assert table["flag"].tolist() == ["", "", "looks unlike any class"]
    assert table["digit"].tolist() == ["0", "1", "0"]
