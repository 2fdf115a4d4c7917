"""The batched engine: rotation, zoom, shear, shift and elastic deformation of a whole batch in one resampling.

The images of a batch are stacked into one tall image, so that a single `cv2.remap` resamples all of them. Each has its own
border, and coordinates are clipped to it, so that no pixel comes from a neighbouring image.
"""

import cv2
import numpy as np

from digit_recognizer.experiment import Augmentation

MAX_HEIGHT = 32_000  # pixels; cv2.remap refuses images of 32,767 rows or more


def augment(images: np.ndarray, policy: Augmentation, random: np.random.Generator) -> np.ndarray:
    """Return a changed copy of `images`, uint8 (n, height, width, channels); `random` is the source of all draws."""
    count, height, width, _ = images.shape
    matrices = draw_matrices(policy, count, height, width, random)
    displacements = draw_displacements(policy, count, height, width, random) if policy.elastic else None
    return resample(images, matrices, policy.fill, displacements)


def draw_matrices(policy: Augmentation, count: int, height: int, width: int, random: np.random.Generator) -> np.ndarray:
    """Return `count` affine matrices, float64 (count, 2, 3), each mapping a source pixel (x, y, 1) to its place in the result.

    Scale, rotation and shear about the centre, then shift: the order of Albumentations' `Affine`.
    """
    draw = random.uniform(-1, 1, (6, count))
    angle = np.deg2rad(policy.rotation) * draw[0]
    scale_x = 1 + policy.zoom * draw[1]
    scale_y = 1 + policy.zoom * draw[2]
    shear = np.tan(np.deg2rad(policy.shear) * draw[3])
    cos, sin = np.cos(angle), np.sin(angle)
    matrices = np.empty((count, 2, 3))
    matrices[:, 1, 0], matrices[:, 1, 1] = -sin * scale_x, cos * scale_y
    matrices[:, 0, 0] = cos * scale_x + shear * matrices[:, 1, 0]
    matrices[:, 0, 1] = sin * scale_y + shear * matrices[:, 1, 1]
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = policy.shift * draw[4:6].T * (width, height)
    matrices[:, :, 2] = centre + shift - matrices[:, :, :2] @ centre
    return matrices


def draw_displacements(policy: Augmentation, count: int, height: int, width: int, random: np.random.Generator) -> np.ndarray:
    """Return smooth x and y displacements in pixels, float32 (2, count, height, width), of standard deviation `policy.elastic`.

    Elastic deformation (Simard et al., 2003) from white noise on a coarse grid, which is faster than blurring at full size.
    """
    down, across = (_gaussian_basis(side, policy.elastic_smoothing) for side in (height, width))
    noise = random.standard_normal((down.shape[1], 2 * count * across.shape[1]), dtype=np.float32)
    smooth_down = policy.elastic * (down @ noise)
    smooth = smooth_down.reshape(height * 2 * count, across.shape[1]) @ across.T
    return smooth.reshape(height, 2, count, width).transpose(1, 2, 0, 3)


def _gaussian_basis(side: int, sigma: float) -> np.ndarray:
    """Return Gaussian weights, float32 (side, knots), with rows of norm 1, so that smoothed white noise has unit variance."""
    knots = np.arange(-2 * sigma, side - 1 + 2 * sigma, sigma / 1.5)
    weights = np.exp(-((np.arange(side)[:, None] - knots) ** 2) / (2 * (sigma / 1.5) ** 2))
    return (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32)


def resample(images: np.ndarray, matrices: np.ndarray, fill: str, displacements: np.ndarray | None = None) -> np.ndarray:
    """Return `images` transformed by `matrices` (see `draw_matrices`), bilinear; `fill` is "constant" (0) or "nearest"."""
    count, height, width, channels = images.shape
    limit = MAX_HEIGHT // (height + 2)
    if count > limit:
        pieces = [slice(start, start + limit) for start in range(0, count, limit)]
        parts = [
            resample(images[piece], matrices[piece], fill, None if displacements is None else displacements[:, piece])
            for piece in pieces
        ]
        return np.concatenate(parts)
    map_x, map_y = _source_coordinates(matrices, height, width)
    if displacements is not None:
        map_x += displacements[0]
        map_y += displacements[1]
    beyond = 1 if fill == "constant" else 0  # the border of zeros is one pixel beyond the image
    np.clip(map_x, -beyond, width - 1 + beyond, out=map_x)
    np.clip(map_y, -beyond, height - 1 + beyond, out=map_y)
    map_x += 1
    map_y += (np.arange(count, dtype=np.float32) * (height + 2) + 1)[:, None, None]
    tall = np.zeros((count, height + 2, width + 2, channels), np.uint8)
    tall[:, 1:-1, 1:-1] = images
    moved = cv2.remap(
        tall.reshape(count * (height + 2), width + 2, channels),
        map_x.reshape(count * height, width),
        map_y.reshape(count * height, width),
        cv2.INTER_LINEAR,
    )
    return moved.reshape(images.shape)


def _source_coordinates(matrices: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return x and y in the source of each pixel of the result, float32 (2, count, height, width)."""
    inverse = np.linalg.inv(matrices[:, :, :2])
    offset = -inverse @ matrices[:, :, 2:]
    rows = np.concatenate([inverse, offset], axis=2).transpose(1, 0, 2).astype(np.float32)
    y, x = np.indices((height, width), dtype=np.float32).reshape(2, -1)
    grid = np.stack([x, y, np.ones_like(x)])
    return (rows.reshape(-1, 3) @ grid).reshape(2, len(matrices), height, width)
