"""Image files of any format that Pillow reads: finding them, in natural order, and reading them with 8 bits per channel."""

import contextlib
import glob
import os
import re
import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from digit_recognizer.errors import UserError, first_line
from digit_recognizer.workspace import user_path

if TYPE_CHECKING:
    from PIL.Image import Image

HEIF_SUFFIXES = {".heic", ".heif"}
WITHOUT_READER = {"BUFR", "GRIB", "HDF5", "MPEG", "WMF"}  # formats that Pillow recognises but can't read
ONE_COLOUR = 12  # grey levels: the largest standard deviation of ink on a transparent background
NAMED = 3  # files that a message lists; it only counts the others


class NotAnImageError(UserError):
    """A file that is not an image: an error if the user named it, ignored if it was found in a folder."""


class Picture(NamedTuple):
    """An opened image file."""

    image: "Image"  # mode RGB, rotated by its EXIF orientation, without transparency
    notes: list[str]  # warnings about the file
    drawing: np.ndarray | None = None  # opacity, uint8 (height, width), of ink on a transparent background


def natural_key(name: str) -> list[str | int]:
    """Return a key that sorts 2.png before 10.png, and img_2 before img_10."""
    return [int(part) if place % 2 else part.lower() for place, part in enumerate(re.split(r"(\d+)", name))]


def printable(name: str) -> str:
    """Return a file name as one line of UTF-8: bytes that are not UTF-8 become `\\xe4`, control characters `\\n` or `\\x1b`."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def listed(names: Sequence[str]) -> str:
    """Return `3 files: a.txt, b.txt, c.txt` or `120 files: a.txt, b.txt, c.txt and 117 more`."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{len(names)} file{'s' * (len(names) > 1)}: {', '.join(map(printable, names[:NAMED]))}{more}"


def expand_paths(text: str) -> list[Path]:
    """Return the paths in `text`: one path or several, separated by spaces, possibly with spaces in them, quotes or wildcards.

    Raises:
        UserError: a pattern that matches nothing.
    """
    if found := _matches(text):
        return found
    try:
        words = [word for word in shlex.split(text) if word]
    except ValueError:  # an apostrophe in a name
        words = text.split()
    paths: list[Path] = []
    while words:
        count = next((count for count in range(len(words), 0, -1) if _matches(" ".join(words[:count]))), 1)
        word, words = " ".join(words[:count]), words[count:]
        found = _matches(word)
        if glob.has_magic(word) and not found:
            raise UserError(f"{printable(word)}: no file matches")
        paths += found or [user_path(word)]
    return paths


def _matches(text: str) -> list[Path]:
    """Return the path `text` if it exists, else what it matches as a pattern, without the content of folders that match."""
    if not text or os.path.exists(path := user_path(text)):  # noqa: PTH110 - Path.exists raises an error for a long name
        return [path] if text else []
    found = {Path(match) for match in glob.glob(str(path), recursive=True)}  # noqa: PTH207 - any root
    outermost = (path for path in found if found.isdisjoint(path.parents))
    return sorted(outermost, key=lambda path: natural_key(str(path)))


def files_below(folder: Path) -> list[Path]:
    """Return all files in a folder and its subfolders, in natural order, without hidden files and those of the system.

    Links to folders are followed, but no folder is searched twice.
    """
    found: list[Path] = []
    searched: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        place = os.path.realpath(parent)
        folders[:] = [] if place in searched else sorted(name for name in folders if not name.startswith((".", "__")))
        found += [Path(parent, name) for name in names if not name.startswith(".") and place not in searched]
        searched.add(place)
    return sorted(found, key=lambda path: natural_key(str(path.relative_to(folder))))


def read_image(path: Path) -> Picture:
    """Open an image file.

    Raises:
        NotAnImageError: it is no file, or Pillow can't read its format.
        UserError: the image is damaged or too large.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    name = printable(str(path))
    if not path.is_file():  # such as a pipe, which would be waited for
        raise NotAnImageError(f"{name} is not a file")
    _register_heif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.format in WITHOUT_READER:
                    raise UnidentifiedImageError
                # The second frame of MPO, a phone's photo, is a depth map.
                frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1
                notes = [f"{name}: only the first of its {frames} frames is read"] if frames > 1 else []
                upright = ImageOps.exif_transpose(image)
                return Picture(_as_rgb(upright), notes, _drawing(upright))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        limit = f"{Image.MAX_IMAGE_PIXELS / 1e6:.0f} million"
        raise UserError(f"{name} has more than {limit} pixels: save it smaller, or crop the digit") from None
    except UnidentifiedImageError:
        raise _unidentified(path) from None
    except Exception as error:  # a damaged image raises anything from OSError to SyntaxError
        raise UserError(f"{name} can't be read as an image ({first_line(error)}): save it again as PNG") from error


def _register_heif() -> None:
    """Let Pillow read HEIC images where pillow-heif is installed."""
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()


def _unidentified(path: Path) -> UserError:
    """Return the error for a file whose content Pillow doesn't know."""
    from PIL import Image

    name, suffix = printable(str(path)), path.suffix.lower()
    if suffix in HEIF_SUFFIXES:
        return UserError(f"{name} is a HEIC image: install pillow-heif (pip install pillow-heif), or save it as JPEG or PNG")
    if Image.registered_extensions().get(suffix) in Image.OPEN.keys() - WITHOUT_READER:  # PDF is only written
        return UserError(f"{name} can't be read as an image: it is damaged or something else; save it again as PNG")
    return NotAnImageError(f"{name} is not an image that Pillow can read: save it as PNG or JPEG")


def _as_rgb(image: "Image") -> "Image":
    """Return the image as 8-bit RGB. Transparent pixels get the median colour of the opaque ones if these are the majority, so
    that they are paper; otherwise the opaque pixels are ink, on white if they are dark and on black if they are light."""
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(_in_8_bits(np.asarray(image)))
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    pixels = np.asarray(image)
    opaque = pixels[pixels[..., 3] > 127][:, :3]
    if 2 * len(opaque) > pixels[..., 3].size:
        paper = tuple(int(value) for value in np.median(opaque, axis=0))
    else:
        paper = (0, 0, 0) if len(opaque) and opaque.mean() > 127 else (255, 255, 255)
    return Image.alpha_composite(Image.new("RGBA", image.size, (*paper, 255)), image).convert("RGB")


def _drawing(image: "Image") -> np.ndarray | None:
    """Return the opacity of an image that is ink only, or None if its paper is opaque."""
    if image.mode.startswith(("I", "F")) or not image.has_transparency_data:
        return None
    pixels = np.asarray(image.convert("RGBA"))
    opaque = pixels[pixels[..., 3] > 127][:, :3]
    share = len(opaque) / pixels[..., 3].size
    is_one_colour = len(opaque) == 0 or opaque.std(axis=0).max() < ONE_COLOUR
    return pixels[..., 3] if share < 0.65 and is_one_colour else None


def _in_8_bits(grey: np.ndarray) -> np.ndarray:
    """Return grey values of more than 8 bits as uint8; the largest value shows whether 10, 12, 14 or 16 bits are used."""
    largest = float(grey.max(initial=0))
    if not np.isfinite(grey).all():
        raise ValueError("some of its values are infinite or not a number")
    if grey.dtype.kind == "f":
        white = 1.0 if largest <= 1 else 255.0 if largest <= 255 else largest
    else:
        white = float(2 ** max(int(largest).bit_length(), 8) - 1)
    return np.clip(grey.astype(np.float64) * (255 / white), 0, 255).round().astype(np.uint8)
