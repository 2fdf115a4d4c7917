"""Pictures of digits as people take them, made from images in MNIST's form; an image without ink gives a blank page."""

from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

INK, PAPER = 45.0, 220.0
Kind = Callable[[np.random.Generator, np.ndarray], np.ndarray]


def enlarged(digit: np.ndarray, side: int) -> np.ndarray:
    """Return the coverage by ink, 0..1, of a digit, uint8 (28, 28), whose longer side is `side` pixels."""
    large = np.asarray(Image.fromarray(digit).resize((448, 448), Image.Resampling.BICUBIC), float) / 255
    large = np.clip((large - 0.3) / 0.4, 0, 1)
    rows, columns = np.flatnonzero((large > 0.5).any(axis=1)), np.flatnonzero((large > 0.5).any(axis=0))
    large = large[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(extent * side / max(large.shape))) for extent in large.shape)
    resized = Image.fromarray(large.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(resized), 0, 1)


def page(rng: np.random.Generator, digit: np.ndarray, ink: float = INK, paper: float = PAPER) -> np.ndarray:
    """Return a page, float64 (180, 160), with the digit somewhere in its middle part."""
    result = np.full((180, 160), float(paper))
    if not digit.any():
        return result
    coverage = enlarged(digit, int(rng.integers(64, 84)))
    top, left = int(rng.integers(30, 150 - coverage.shape[0])), int(rng.integers(30, 130 - coverage.shape[1]))
    result[top : top + coverage.shape[0], left : left + coverage.shape[1]] += (ink - paper) * coverage
    return result


def _photo(rng: np.random.Generator, picture: np.ndarray, noise: float = 2) -> np.ndarray:
    return np.clip(picture + rng.normal(0, noise, picture.shape), 0, 255).astype(np.uint8)


def white_pixel(rng, digit):
    picture = page(rng, digit, paper=130)
    picture[2, 97] = 255
    return _photo(rng, picture, 0)


def specks(rng, digit):
    picture = page(rng, digit)
    for top, left in rng.integers(0, 150, (5, 2)):
        picture[top : top + 3, left : left + 3] = rng.choice([0, 255])
    return _photo(rng, picture)


def salt(rng, digit):
    picture = page(rng, digit, paper=180)
    picture[rng.random(picture.shape) < 0.05] = 255
    return _photo(rng, picture)


def noise(rng, digit):
    return _photo(rng, page(rng, digit), 20)


def hard_shadow(rng, digit):
    picture = page(rng, digit)
    picture[:, :112] *= 0.5
    return _photo(rng, picture)


def frame(rng, digit):
    picture = page(rng, digit)
    picture[:4] = picture[-4:] = 30
    picture[:, :4] = picture[:, -4:] = 30
    return _photo(rng, picture)


def strips_of_table(rng, digit):
    picture = page(rng, digit)
    picture[:, :20] = picture[-16:] = 70
    return _photo(rng, picture)


def sheet_on_table(rng, digit):
    return _photo(rng, np.pad(page(rng, digit), 40, constant_values=60))


def finger(rng, digit):
    picture = page(rng, digit)
    cv2.ellipse(picture, (0, 0), (40, 22), 45, 0, 360, 120.0, -1)
    return _photo(rng, picture)


def form_box(rng, digit):
    picture = page(rng, digit)
    cv2.rectangle(picture, (14, 14), (146, 166), 90.0, 2)
    return _photo(rng, picture)


def lined(rng, digit):
    picture = page(rng, digit)
    picture[12::24] = np.minimum(picture[12::24], 160)
    return _photo(rng, picture)


def squared(rng, digit):
    picture = page(rng, digit)
    picture[8::16] = np.minimum(picture[8::16], 170)
    picture[:, 8::16] = np.minimum(picture[:, 8::16], 170)
    return _photo(rng, picture)


def vignette(rng, digit):
    down, across = np.mgrid[-1:1:180j, -1:1:160j]
    return _photo(rng, page(rng, digit) * (1 - 0.35 * (down**2 + across**2)))


def chalk(rng, digit):
    return _photo(rng, page(rng, digit, ink=225, paper=50), 5)


def pencil(rng, digit):
    return _photo(rng, page(rng, digit, ink=160), 3)


def tight_crop(rng, digit):
    return _photo(rng, PAPER + (INK - PAPER) * enlarged(digit, 120))


def blurred(rng, digit):
    return _photo(rng, cv2.GaussianBlur(page(rng, digit), (0, 0), 2))


KINDS: dict[str, Kind] = {
    kind.__name__: kind
    for kind in (
        white_pixel,
        specks,
        salt,
        noise,
        hard_shadow,
        frame,
        strips_of_table,
        sheet_on_table,
        finger,
        form_box,
        lined,
        squared,
        vignette,
        chalk,
        pencil,
        tight_crop,
        blurred,
    )
}


def side_by_side(first: np.ndarray, second: np.ndarray, gap: int) -> np.ndarray:
    """Return a page with two digits, uint8."""
    digits = [enlarged(digit, 80) for digit in (first, second)]
    height = max(digit.shape[0] for digit in digits)
    padded = [np.pad(digit, ((0, height - digit.shape[0]), (0, 0))) for digit in digits]
    coverage = np.hstack([padded[0], np.zeros((height, gap)), padded[1]])
    return (PAPER + (INK - PAPER) * np.pad(coverage, 40)).astype(np.uint8)
