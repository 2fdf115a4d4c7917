"""Width normalisation (Ciresan et al., 2012): all digits of a model have the same width. Imports Keras."""

from typing import Any

import keras
import numpy as np
from keras import ops

HEIGHT = 20  # of a digit in pixels, as in the competition's images
INK = 40  # pixels above this value belong to the digit
MOST_ENLARGED = 2.0  # so that a "1" stays narrow
CUBIC = -0.75  # coefficient of the cubic convolution (Keys, 1981), as in OpenCV
BATCH_SIZE = 1000


def normalized(images: np.ndarray, width: int) -> np.ndarray:
    """Return images uint8 (n, h, w, c) with digits of this width in pixels, uint8 of the same shape; unchanged if it is 0."""
    if not width:
        return images
    parts = (images[start : start + BATCH_SIZE].astype(np.float32) for start in range(0, len(images), BATCH_SIZE))
    return np.concatenate([ops.convert_to_numpy(normalize_width(part, width)).astype(np.uint8) for part in parts])


def normalize_width(images: Any, width: int) -> Any:
    """Scale the bounding box of each digit to `width` x HEIGHT pixels and move it to the middle, as operations of Keras.

    Args:
        images: float32 (n, h, w, c), pixels 0..255, the digits brighter than the background.
        width: pixels.

    Returns:
        float32 (n, h, w, c), whole numbers 0..255.
    """
    ink = ops.max(images, axis=3) > INK
    down = _resampling(ops.any(ink, axis=2), HEIGHT)
    across = _resampling(ops.any(ink, axis=1), width)
    scaled = ops.einsum("nyr,nrsc->nysc", down, images)
    return ops.round(ops.clip(ops.einsum("nxs,nysc->nyxc", across, scaled), 0.0, 255.0))


def _resampling(occupied: Any, size: int) -> Any:
    """Return the matrices (n, side, side) that scale the occupied part of an axis (n, side) to `size` pixels in its middle."""
    side = occupied.shape[1]
    positions = ops.arange(side, dtype="float32")
    first = ops.min(ops.where(occupied, positions, float(side)), axis=1, keepdims=True)
    last = ops.max(ops.where(occupied, positions, -1.0), axis=1, keepdims=True)
    empty = last < first
    scale = ops.where(empty, 1.0, ops.minimum(size / ops.maximum(last - first + 1, 1.0), MOST_ENLARGED))
    middle = ops.where(empty, (side - 1) / 2, (first + last) / 2)
    sources = middle + ops.divide(positions - (side - 1) / 2, scale)
    shrunk = ops.minimum(scale, 1.0)[:, :, None]
    return shrunk * _cubic(ops.subtract(sources[:, :, None], positions) * shrunk)


def _cubic(distances: Any) -> Any:
    """Return the weights of pixels at these distances in cubic convolution."""
    t = ops.abs(distances)
    near = ((CUBIC + 2) * t - (CUBIC + 3)) * t * t + 1
    far = ((CUBIC * t - 5 * CUBIC) * t + 8 * CUBIC) * t - 4 * CUBIC
    return ops.where(t <= 1, near, ops.where(t < 2, far, 0.0))


@keras.saving.register_keras_serializable("digit_recognizer")
class WidthNormalization(keras.layers.Layer):
    """`normalize_width` as a layer. In training it changes nothing: training images are normalised before augmentation."""

    def __init__(self, width: int, **options: Any) -> None:
        super().__init__(**options, dtype="float32")
        self.width = width

    def call(self, images: Any, training: bool = False) -> Any:
        """Return the images, float32 (n, h, w, c)."""
        return images if training else normalize_width(images, self.width)
