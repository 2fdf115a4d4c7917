"""Width normalisation (Ciresan et al., 2012): digits are scaled to the same width. Imports Keras."""

from typing import Any

import keras
import numpy as np
from keras import ops

from digit_recognizer.errors import UserError

HEIGHT = 20  # of a digit in pixels, as in the competition's images
INK = 40  # pixels above this value belong to the digit
MAX_SCALE = 2.0  # so that a "1" stays narrow
CUBIC = -0.75  # coefficient of the cubic convolution (Keys, 1981), as in OpenCV
BATCH_SIZE = 1000


def normalized(images: np.ndarray, width: int) -> np.ndarray:
    """Return images uint8 (n, h, w, c) with digits scaled to `width` pixels; width 0 changes nothing.

    Raises:
        UserError: the images are too small for such digits.
    """
    if not width or not len(images):
        return images
    inputs = keras.Input(images.shape[1:])
    model = keras.Model(inputs, normalize_width(inputs, width))
    return model.predict(images, batch_size=BATCH_SIZE, verbose=0).astype(np.uint8)


def normalize_width(images: Any, width: int) -> Any:
    """Scale the bounding box of each digit to `width` x HEIGHT pixels and move it to the middle, as operations of Keras.

    Digits are enlarged at most MAX_SCALE times. An image without a digit stays as it is.

    Args:
        images: float32 (n, h, w, c), pixels 0..255, the digits brighter than the background.
        width: pixels.

    Returns:
        float32 (n, h, w, c), whole numbers 0..255.

    Raises:
        UserError: the images are too small for such digits.
    """
    _, image_height, image_width, _ = images.shape
    if image_height < HEIGHT or image_width < width:
        raise UserError(
            f"digit_widths: images of {image_height}x{image_width} pixels are too small for digits of {HEIGHT}x{width} "
            "(SET=digit_widths=0 leaves them as they are)"
        )
    ink = ops.max(images, axis=3) > INK
    rows = _resampling(ops.any(ink, axis=2), HEIGHT)
    columns = _resampling(ops.any(ink, axis=1), width)
    scaled = ops.einsum("nyr,nrsc->nysc", rows, images)
    return ops.round(ops.clip(ops.einsum("nxs,nysc->nyxc", columns, scaled), 0.0, 255.0))


def _resampling(occupied: Any, size: int) -> Any:
    """Return the matrices (n, side, side) that scale the occupied part of an axis (n, side) to `size` pixels in its middle."""
    side = occupied.shape[1]
    positions = np.arange(side, dtype=np.float32)  # with a tensor, tf2onnx loses a constant of graphs with several models
    first = ops.min(ops.where(occupied, positions, float(side)), axis=1, keepdims=True)
    last = ops.max(ops.where(occupied, positions, -1.0), axis=1, keepdims=True)
    empty = last < first
    scale = ops.where(empty, 1.0, ops.minimum(size / ops.maximum(last - first + 1, 1.0), MAX_SCALE))
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
