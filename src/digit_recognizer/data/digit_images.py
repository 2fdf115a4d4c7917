"""Read image files and CSV files of pixels, prepare them as MNIST's images were, and list a model's predictions for them.

MNIST's method (LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist/): the digit is scaled with antialiasing so that its
longest side has 20 pixels, then placed in 28x28 with its centre of mass in the middle. `drawing/scripts/prepare.js` implements
the same in JavaScript.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from digit_recognizer import files
from digit_recognizer.data import csv_format
from digit_recognizer.data.dataset import DIGIT_SHAPE, DIGITS
from digit_recognizer.data.image_files import NotAnImageError, Picture, files_below, listed, printable, read_image
from digit_recognizer.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

FAINT, SOLID = 0.25, 0.75  # share of the full contrast: up to FAINT a pixel has no ink, from SOLID on it is all ink
TIE = 1e-4  # values this near to a half are rounded up, so that float errors don't make the drawing page differ

UNSURE = 0.7  # an image whose highest probability is lower is flagged
INK = (0.01, 0.45)  # mean brightness, 0..1, of an image that may be a digit: the competition's 70,000 have 0.025 to 0.40


class ImageFiles(NamedTuple):
    """The images that were read, uint8 (n, height, width, channels), their names, and one line per file with a problem."""

    names: list[str]
    images: np.ndarray
    problems: list[str]
    shapes: list[int]  # how many shapes as large as a digit each picture has; 1 for pictures that were not prepared


def are_digits(classes: Sequence[str], image_shape: Sequence[int]) -> bool:
    """Return whether these classes and this (height, width, channels) are MNIST's, so that images have to be prepared."""
    return tuple(classes) == DIGITS and tuple(image_shape) == DIGIT_SHAPE


def read_images(paths: Sequence[Path], image_shape: tuple[int, int, int], prepare: bool) -> ImageFiles:
    """Read image files, all images below folders, and rows of CSVs like the competition's test.csv.

    Args:
        paths: files and folders. A row of a CSV is named `file.csv:row`, its first `file.csv:1`, which is ImageId 1. Files that
            have the same name in different folders are named with their folders.
        image_shape: (height, width, channels) that the model takes, square.
        prepare: convert images to MNIST's form, see `prepare_digit`; otherwise only scale them. Rows of a CSV are never
            prepared.

    Raises:
        UserError: none of the images could be read.
    """
    found, problems = [], []
    for path in paths:
        try:
            images, notes = _read_path(path, image_shape, prepare)
        except UserError as error:
            problems.append(str(error))
        else:
            found += images
            problems += notes
    if not found:
        more = f" (and {len(problems) - 1} more that can't be read)" if len(problems) > 1 else ""
        raise UserError(f"{problems[0]}{more}" if problems else "no images were named: give files or folders")
    names = [image.name for image in found]
    if len(set(names)) < len(names):  # such as 1.png in two folders
        names = [image.path for image in found]
    pixels, shapes = np.stack([image.pixels for image in found]), [image.shapes for image in found]
    return ImageFiles([printable(name) for name in names], pixels, problems, shapes)


class _Image(NamedTuple):
    name: str  # relative to the path that the user gave
    path: str
    pixels: np.ndarray  # uint8 (height, width, channels)
    shapes: int


def _read_path(path: Path, image_shape: tuple[int, int, int], prepare: bool) -> tuple[list[_Image], list[str]]:
    """Read the image, the rows of a CSV, or all images of a folder; return them, and a line for each problem."""
    if not path.exists():
        raise UserError(f"{printable(str(path))}: there is no such file or folder")
    if path.is_dir():
        return _read_folder(path, image_shape, prepare)
    if path.suffix.lower() == ".csv":
        rows = enumerate(csv_format.read_test(path, image_shape), start=1)
        return [_Image(f"{path.name}:{row}", f"{path}:{row}", pixels, 1) for row, pixels in rows], []
    return _read_file(path, path.name, image_shape, prepare)


def _read_file(path: Path, name: str, image_shape: tuple[int, int, int], prepare: bool) -> tuple[list[_Image], list[str]]:
    picture = read_image(path)
    return [_Image(name, str(path), *_as_input(picture, image_shape, prepare))], list(picture.notes)


def _read_folder(folder: Path, image_shape: tuple[int, int, int], prepare: bool) -> tuple[list[_Image], list[str]]:
    found, problems, left_out = [], [], []
    for path in files_below(folder):
        name = path.relative_to(folder).as_posix()
        try:
            images, notes = _read_file(path, name, image_shape, prepare)
        except NotAnImageError:
            left_out.append(name)
        except UserError as error:
            problems.append(str(error))
        else:
            found += images
            problems += notes
    if left_out:
        problems.append(f"{printable(str(folder))}: left out {listed(left_out)}, which Pillow can't read as images")
    elif not found and not problems:
        raise UserError(f"{printable(str(folder))}: contains no images")
    return found, problems


class _Prepared(NamedTuple):
    image: np.ndarray  # uint8 (height, width, channels)
    shapes: int


def _as_input(picture: Picture, image_shape: tuple[int, int, int], prepare: bool) -> _Prepared:
    from PIL import Image

    height, width, channels = image_shape
    if prepare:
        drawing = picture.drawing
        found = _from_photo(np.asarray(picture.image.convert("L")), width) if drawing is None else _from_drawing(drawing, width)
        return _Prepared(found.image[..., np.newaxis], found.shapes)
    image = picture.image.convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.LANCZOS)
    return _Prepared(np.asarray(image).reshape(image_shape), 1)


def prepare_digit(grey: np.ndarray, side: int = 28) -> np.ndarray:
    """Return one digit as MNIST has it, light on black, uint8 (side, side), from grey uint8 (height, width) of any size.

    An image in MNIST's form, such as the competition's, is returned unchanged. An image without ink becomes black.
    """
    return _from_photo(grey, side).image


def _from_photo(grey: np.ndarray, side: int) -> _Prepared:
    from digit_recognizer.data.find_digit import find_digit

    light = 255 - grey if not _paper_is_dark(grey) else grey
    if light.shape == (side, side) and _has_mnist_form(light):
        return _Prepared(light, 1)
    found = find_digit(grey)
    return _Prepared(place(found.ink.astype(np.float64), side), found.shapes)


def _from_drawing(opacity: np.ndarray, side: int) -> _Prepared:
    """Prepare ink on a transparent background, uint8 (height, width), as the drawing page does: all that is drawn."""
    from digit_recognizer.data.find_digit import count_shapes

    ink = np.clip((opacity / 255 - FAINT) / (SOLID - FAINT), 0, 1)
    return _Prepared(place(ink, side), count_shapes(ink.astype(np.float32)))


def _has_mnist_form(light: np.ndarray) -> bool:
    """Return whether the digit has full contrast, fills the box and is centred, as all competition images, even as JPEG."""
    ink = np.where(light > FAINT * 255, light, 0)
    if light.max() < SOLID * 255 or np.median(_border(ink)) > 0:
        return False
    longest = max(_cropped(ink).shape) / _box_side(len(light))
    return 0.6 <= longest <= 1.1 and all(abs(_centre(ink, axis) - len(light) / 2) <= 1.5 for axis in (0, 1))


def _paper_is_dark(grey: np.ndarray) -> bool:
    """Return whether the border's median is below the mean of the darkest and the lightest pixel."""
    return float(np.median(_border(grey))) < (float(grey.min()) + float(grey.max())) / 2


def _border(image: np.ndarray) -> np.ndarray:
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])


def place(ink: np.ndarray, side: int) -> np.ndarray:
    """Return ink 0..1, float64 (height, width), scaled and centred by mass as in MNIST, uint8 (side, side).

    In MNIST the centre of mass, counted in pixels from 0, is within half a pixel of 14 in every image.
    """
    from PIL import Image

    canvas = np.zeros((side, side), np.uint8)
    if not ink.any():
        return canvas
    ink = _cropped(ink)
    height, width = (max(1, _rounded(extent * _box_side(side) / max(ink.shape))) for extent in ink.shape)
    image = Image.fromarray(ink.astype(np.float32)).resize((width, height), Image.Resampling.HAMMING)
    digit = np.asarray(image, np.float64)
    top = min(max(_rounded(side / 2 - _centre(digit, 0)), 0), side - height)
    left = min(max(_rounded(side / 2 - _centre(digit, 1)), 0), side - width)
    canvas[top : top + height, left : left + width] = np.floor(255 * digit + 0.5 + TIE)
    return canvas


def _box_side(side: int) -> int:
    return _rounded(side * 20 / 28)


def _cropped(ink: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _centre(ink: np.ndarray, axis: int) -> float:
    """Return the centre of mass along the axis, in pixels from 0."""
    mass = ink.sum(axis=1 - axis)
    return float(np.average(np.arange(len(mass)), weights=mass))


def _rounded(value: float) -> int:
    return int(np.floor(value + 0.5 + TIE))


def prediction_table(
    names: Sequence[str],
    images: np.ndarray,
    probabilities: np.ndarray,
    classes: tuple[str, ...],
    shapes: Sequence[int] | None = None,
) -> "pd.DataFrame":
    """Return one row per image: file, digit, probability, runner_up, flag, then a column with the probability of each class.

    A blank image has a flag instead of a digit and probabilities. Other flags are "2 separate shapes: one digit a picture", and
    "looks unlike any digit" if the model is unsure, or if the image is darker or brighter than any digit. An image of something
    else for which the model predicts a digit with confidence is not flagged.

    Args:
        images: uint8 (n, height, width, channels) as given to the model.
        probabilities: float32 (n, len(classes)).
        shapes: number of shapes in each picture, see `ImageFiles`; default 1.
    """
    import pandas as pd

    digits = are_digits(classes, images.shape[1:])
    order = np.argsort(-probabilities, axis=1, kind="stable")
    best = probabilities[np.arange(len(names)), order[:, 0]]
    ink = images.mean(axis=(1, 2, 3)) / 255
    blank = digits & (ink == 0)
    strange = (best < UNSURE) | (digits & ((ink < INK[0]) | (ink > INK[1])))
    table = {
        "file": list(names),
        "digit": np.where(blank, "", np.array(classes)[order[:, 0]]),
        "probability": np.where(blank, np.nan, best),
        "runner_up": np.where(blank, "", np.array(classes)[order[:, 1]]),
        "flag": [
            "blank: no digit found"
            if blank[row]
            else f"{count} separate shapes: one digit a picture"
            if count > 1
            else f"looks unlike any {'digit' if digits else 'class'}"
            if strange[row]
            else ""
            for row, count in enumerate(shapes or [1] * len(names))
        ],
    }
    each = np.where(blank[:, np.newaxis], np.nan, probabilities)
    return pd.DataFrame(table | {name: each[:, label] for label, name in enumerate(classes)})


def write_predictions(path: Path, table: "pd.DataFrame") -> None:
    """Write the table as CSV, probabilities with six decimals."""
    files.write_text(path, table.to_csv(index=False, lineterminator="\n", float_format="%.6f"))
