"""The digits of a page, packed into one image (a sprite sheet), with captions."""

import base64
import io
from typing import NamedTuple

import numpy as np

from digit_recognizer.data.dataset import Dataset

SIDE = 28  # pixels at most


class Digit(NamedTuple):
    """A digit of the sheet with its caption."""

    place: int  # in the sheet
    title: str
    lines: list[str]


class DigitSheet:
    """Collects the digits of a page by row, each once, and packs them into one image."""

    columns = 50

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._places: dict[tuple[bool, int], int] = {}

    def train(self, row: int) -> int:
        """Return the place in the sheet of a training row's image."""
        return self._places.setdefault((False, int(row)), len(self._places))

    def test(self, row: int) -> int:
        """Return the place in the sheet of a test row's image."""
        return self._places.setdefault((True, int(row)), len(self._places))

    def digits(self) -> list[tuple[bool, int]]:
        """Return for each place whether it is a test digit, and its row."""
        return list(self._places)

    @property
    def rows(self) -> int:
        """Rows of `columns` digits in the sheet."""
        return max(-(-len(self._places) // self.columns), 1)

    def data_uri(self) -> str:
        """Return the sheet as a data URI: PNG with 16 levels of grey (about 95 bytes a digit), or WebP for colours."""
        from PIL import Image

        sheet = self._sheet()
        buffer = io.BytesIO()
        if sheet.shape[-1] == 1:
            kind = "png"
            picture = Image.frombytes("P", sheet.shape[1::-1], (sheet >> 4).tobytes())
            picture.putpalette([level * 17 for level in range(16) for _ in "rgb"])
            picture.save(buffer, kind, bits=4, optimize=True)
        else:
            kind = "webp"
            Image.fromarray(sheet).save(buffer, kind, quality=80)
        return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"

    def _sheet(self) -> np.ndarray:
        source = {False: self._dataset.images, True: self._dataset.test_images}
        images = np.zeros((self.rows * self.columns, *self._dataset.image_shape), np.uint8)
        for (is_test, row), place in self._places.items():
            images[place] = source[is_test][row]
        tiles = _shrink(images)
        _, height, width, channels = tiles.shape
        grid = tiles.reshape(self.rows, self.columns, height, width, channels).swapaxes(1, 2)
        return grid.reshape(self.rows * height, self.columns * width, channels)


def _shrink(images: np.ndarray) -> np.ndarray:
    """Average blocks of pixels until neither side, uint8 (n, height, width, channels), is above SIDE."""
    n, height, width, channels = images.shape
    step = -(-max(height, width) // SIDE)
    blocks = images[:, : height // step * step, : width // step * step]
    blocks = blocks.reshape(n, height // step, step, width // step, step, channels)
    return blocks.mean(axis=(2, 4)).astype(np.uint8) if step > 1 else images


def percent(probability: float) -> str:
    """Return 0.9734 as `97.3 %`, never rounding up to 100 %."""
    return f"{np.floor(probability * 1000) / 10:.1f} %"
