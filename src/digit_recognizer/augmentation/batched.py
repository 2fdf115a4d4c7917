"""The batched engine: rotation, zoom, shear, shift and elastic deformation of a whole batch in one resampling, then erasing.

The images of a batch are stacked into one tall picture, so that a single `cv2.remap` resamples all of them. Each has a border
of its own, and coordinates are clipped to it: no image bleeds into its neighbour.
"""

import cv2
import numpy as np

from digit_recognizer.experiment import Augmentation

TALLEST = 32_000  # pixels; cv2.remap takes no picture of 32,767 rows or more


def augment(images: np.ndarray, policy: Augmentation, random: np.random.Generator) -> np.ndarray:
    """Return a changed copy of `images`, uint8 (n, height, width, channels), drawn from `random`."""
    count, height, width, _ = images.shape
    matrices = draw_matrices(policy, count, height, width, random)
    displacements = draw_displacements(policy, count, height, width, random) if policy.elastic else None
    changed = resample(images, matrices, policy.fill, displacements)
    if policy.erasing:
        _erase(changed, policy, random)
    return changed


def draw_matrices(policy: Augmentation, count: int, height: int, width: int, random: np.random.Generator) -> np.ndarray:
    """Return `count` affine matrices, float64 (count, 2, 3), each taking a source pixel (x, y, 1) to its place in the result.

    Scale, then rotation, then shear, all about the centre, then shift: the order of Albumentations' `Affine`.
    """
    draw = random.uniform(-1, 1, (6, count))
    angle = np.deg2rad(policy.rotation) * draw[0]
    scale_x = 1 + policy.zoom * draw[1]
    scale_y = 1 + policy.zoom * draw[2] if policy.zoom_axes == "each" else scale_x
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
    """Return smooth displacements in pixels, float32 (2, count, height, width) for x and y, of deviation `policy.elastic`.

    White noise on a coarse grid, smoothed by Gaussians: elastic deformation (Simard et al., 2003) without a full-size blur.
    """
    down, across = (_gaussian_basis(side, policy.elastic_smoothing) for side in (height, width))
    noise = random.standard_normal((down.shape[1], 2 * count * across.shape[1]), dtype=np.float32)
    smooth_down = policy.elastic * (down @ noise)
    smooth = smooth_down.reshape(height * 2 * count, across.shape[1]) @ across.T
    return smooth.reshape(height, 2, count, width).transpose(1, 2, 0, 3)


def _gaussian_basis(side: int, sigma: float) -> np.ndarray:
    """Return weights, float32 (side, knots), whose rows have norm 1: white noise times them is smooth and of deviation 1."""
    knots = np.arange(-2 * sigma, side - 1 + 2 * sigma + 1e-6, sigma / 1.5)
    weights = np.exp(-((np.arange(side)[:, None] - knots) ** 2) / (2 * (sigma / 1.5) ** 2))
    return (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32)


def resample(images: np.ndarray, matrices: np.ndarray, fill: str, displacements: np.ndarray | None = None) -> np.ndarray:
    """Return `images` moved by `matrices` (as from `draw_matrices`), bilinear; `fill` is "constant" (0) or "nearest"."""
    count, height, width, channels = images.shape
    most = TALLEST // (height + 2)
    if count > most:
        pieces = [slice(start, start + most) for start in range(0, count, most)]
        parts = [
            resample(images[piece], matrices[piece], fill, None if displacements is None else displacements[:, piece])
            for piece in pieces
        ]
        return np.concatenate(parts)
    map_x, map_y = _source_coordinates(matrices, height, width)
    if displacements is not None:
        map_x += displacements[0]
        map_y += displacements[1]
    beyond = 1 if fill == "constant" else 0  # one pixel beyond the image lies its border of zeros
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
    """Return the x and y that each pixel of the result is read from, float32 (2, count, height, width)."""
    inverse = np.linalg.inv(matrices[:, :, :2])
    offset = -inverse @ matrices[:, :, 2:]
    rows = np.concatenate([inverse, offset], axis=2).transpose(1, 0, 2).astype(np.float32)
    y, x = np.indices((height, width), dtype=np.float32).reshape(2, -1)
    grid = np.stack([x, y, np.ones_like(x)])
    return (rows.reshape(-1, 3) @ grid).reshape(2, len(matrices), height, width)


def _erase(images: np.ndarray, policy: Augmentation, random: np.random.Generator) -> None:
    """Set a square of some of the images to the background, in place; it may hang over the border."""
    count, height, width, _ = images.shape
    side = policy.erasing_side
    chosen = np.flatnonzero(random.random(count) < policy.erasing)
    tops = random.integers(1 - side, height, len(chosen))
    lefts = random.integers(1 - side, width, len(chosen))
    for image, top, left in zip(chosen, tops, lefts, strict=True):
        images[image, max(top, 0) : top + side, max(left, 0) : left + side] = 0
