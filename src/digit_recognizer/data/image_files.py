"""Image files of any format that Pillow reads: finding them, opening one as 8 bits, in the order of their numbers."""

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

from digit_recognizer.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

HEIF_SUFFIXES = {".heic", ".heif"}
NAMED = 3  # files that a message names before it only counts them


class NotAnImageError(UserError):
    """A file that is no image: an error where it was named, left out where it was found in a folder."""


class Picture(NamedTuple):
    """An opened image file."""

    image: "Image"  # mode RGB, turned as its EXIF orientation says, without transparency
    notes: list[str]  # what else the person should know


def natural_key(name: str) -> list[str | int]:
    """Return a key that sorts 2.png before 10.png, and img_2 before img_10."""
    return [int(part) if place % 2 else part.lower() for place, part in enumerate(re.split(r"(\d+)", name))]


def printable(name: str) -> str:
    """Return a file name as text that any UTF-8 file can hold; bytes that are no UTF-8 become `\\xe4`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def listed(names: Sequence[str]) -> str:
    """Return `3 files: a.txt, b.txt, c.txt` or `120 files: a.txt, b.txt, c.txt and 117 more`."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{len(names)} file{'s' * (len(names) > 1)}: {', '.join(map(printable, names[:NAMED]))}{more}"


def expand_paths(text: str) -> list[Path]:
    """Return the paths that `text` names: a path, several with spaces between or within them, quoted ones, patterns (*.jpg).

    Raises:
        UserError: a pattern that matches nothing.
    """
    if _exists(text):
        return [Path(text).expanduser()]
    try:
        words = shlex.split(text)
    except ValueError:  # an apostrophe in a name
        words = text.split()
    paths: list[Path] = []
    while words:
        count = next((count for count in range(len(words), 0, -1) if _exists(" ".join(words[:count]))), 1)
        word, words = " ".join(words[:count]), words[count:]
        paths += [Path(word).expanduser()] if _exists(word) or not glob.has_magic(word) else _matches(word)
    return paths


def _exists(text: str) -> bool:
    return bool(text) and Path(text).expanduser().exists()


def _matches(pattern: str) -> list[Path]:
    found = sorted(glob.glob(str(Path(pattern).expanduser()), recursive=True), key=natural_key)  # noqa: PTH207 - any root
    if not found:
        raise UserError(f"{pattern}: no file matches")
    return [Path(path) for path in found]


def files_below(folder: Path) -> list[Path]:
    """Return all files in a folder and its folders, in natural order, but hidden ones and those that systems leave."""
    found = [
        Path(parent, name)
        for parent, _, names in os.walk(folder)
        if not _is_hidden(Path(parent).relative_to(folder))
        for name in names
        if not name.startswith(".")
    ]
    return sorted((path for path in found if path.is_file()), key=lambda path: natural_key(str(path.relative_to(folder))))


def _is_hidden(folder: Path) -> bool:
    return any(part.startswith((".", "__")) for part in folder.parts)


def read_image(path: Path) -> Picture:
    """Open an image file.

    Raises:
        NotAnImageError: Pillow doesn't know the format.
        UserError: the image is damaged or too large.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    name = printable(str(path))
    _register_heif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1  # a phone's photo with its depth map
                notes = [f"{name}: only the first of its {frames} frames is read"] if frames > 1 else []
                return Picture(_as_rgb(ImageOps.exif_transpose(image)), notes)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        limit = f"{Image.MAX_IMAGE_PIXELS / 1e6:.0f} million"
        raise UserError(f"{name} has more than {limit} pixels: save it smaller, or crop the digit") from None
    except UnidentifiedImageError:
        raise _unidentified(path) from None
    except Exception as error:  # a damaged image raises anything from OSError to SyntaxError
        raise UserError(f"{name} can't be read as an image ({type(error).__name__}): save it again as PNG") from error


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
    if suffix in Image.registered_extensions():
        return UserError(f"{name} can't be read as an image: it is damaged or something else; save it again as PNG")
    return NotAnImageError(f"{name} is no image that Pillow can read: save it as PNG or JPEG")


def _as_rgb(image: "Image") -> "Image":
    """Return the image with 8 bits; a transparent one is laid on its paper's colour, or if it is ink only, on the contrary."""
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


def _in_8_bits(grey: np.ndarray) -> np.ndarray:
    """Return grey values of more than 8 bits as uint8. A camera's 10, 12 or 14 bits in 16 are told by the largest value."""
    largest = float(grey.max(initial=0))
    if grey.dtype.kind == "f":
        white = 1.0 if largest <= 1 else 255.0 if largest <= 255 else largest
    else:
        white = float(2 ** max(int(largest).bit_length(), 8) - 1)
    return np.clip(grey.astype(np.float64) * (255 / white), 0, 255).round().astype(np.uint8)
