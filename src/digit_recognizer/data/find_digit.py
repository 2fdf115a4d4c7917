"""Find the ink of one digit in a photo or scan, whatever else is in the picture.

The search is done for dark ink and for light ink; the better candidate is kept. Its steps:

1. Contrast to the local paper, which removes shadows and gradients.
2. Removal of frames around other shapes and of ruled lines.
3. Connected shapes at increasing thresholds. A shape that touches the edge of the picture is a table, a finger or a frame,
   unless it fills the picture as a closely cropped digit does.
4. Shapes near the largest one are parts of the digit; other large shapes are counted.
5. Contrast divided by the local darkness of the ink: 0 on paper, 1 inside a stroke.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from digit_recognizer.data.contrast import (
    Shapes,
    contrast_to_lightest,
    contrast_to_local_paper,
    odd,
    outline,
    without_frames,
    without_lines,
)
from digit_recognizer.data.digit_images import FAINT, SOLID

LARGEST_SIDE = 400  # pixels: larger pictures are first reduced to this, which also reduces noise
SMALLEST_SIDE = 5  # pixels; a smaller picture is blank
LEAST_CONTRAST = 16  # grey levels between ink and paper
UNDOUBTED = 185  # grey levels between ink and paper, which no stain or shadow has


class FoundDigit(NamedTuple):
    """The digit in a picture."""

    ink: np.ndarray  # float32 (height, width), 0..1, of the picture reduced to LARGEST_SIDE; all zero if it is blank
    shapes: int  # 0: blank; 2 or more: other shapes are as large as the digit


@dataclass(frozen=True)
class _Candidate:
    """A shape that may be the digit."""

    shapes: Shapes
    number: int
    others: list[int]  # shapes that may be parts of it
    coverage: float  # share of its surroundings that is as dark as its ink: below one half for ink, above it for paper

    @property
    def extent(self) -> int:
        return self.shapes.extent(self.number)

    @property
    def score(self) -> float:
        return self.shapes.level(self.number) * self.extent * (0.5 - self.coverage)

    def is_sheet_around(self, other: "_Candidate") -> bool:
        """Return whether this is a rectangle, and the other candidate lies in it and is larger than a speck."""
        left, top, width, height, _ = self.shapes.boxes[self.number]
        inner_left, inner_top, inner_width, inner_height, _ = other.shapes.boxes[other.number]
        return (
            left <= inner_left
            and top <= inner_top
            and inner_left + inner_width <= left + width
            and inner_top + inner_height <= top + height
            and other.extent > 0.1 * self.extent
            and outline(self.shapes.mask(self.number))[1] > 0.85
        )


def find_digit(grey: np.ndarray) -> FoundDigit:
    """Return the ink of the digit in a picture, grey uint8 (height, width)."""
    grey = _reduced(grey)
    if min(grey.shape) < SMALLEST_SIDE:
        return FoundDigit(np.zeros(grey.shape, np.float32), 0)
    noise = _noise(grey)
    if noise > 4:
        grey, noise = cv2.GaussianBlur(grey, (0, 0), 1), 0.35 * noise
    threshold = max(LEAST_CONTRAST, 4 * noise)
    found = [candidate for candidate in (_search(grey, threshold), _search(255 - grey, threshold)) if candidate]
    if not found:
        return FoundDigit(np.zeros(grey.shape, np.float32), 0)
    best = max(found, key=lambda candidate: candidate.score)
    if len(found) == 2:  # a digit on a sheet of paper scores less than the sheet on its table
        best = next((inner for inner, outer in (found, reversed(found)) if outer.is_sheet_around(inner)), best)
    parts, shapes = _parts(best)
    return FoundDigit(_thickened(_ink(best, parts), best.extent), shapes)


def count_shapes(ink: np.ndarray) -> int:
    """Return the number of shapes as large as a digit in ink without paper, 0..1, float32 (height, width)."""
    shapes = Shapes.above(ink, 0.5)
    numbers = shapes.relevant
    if not numbers:
        return int(ink.any())
    largest = max(numbers, key=shapes.extent)
    return _parts(_Candidate(shapes, largest, numbers, coverage=0))[1]


def _reduced(grey: np.ndarray) -> np.ndarray:
    factor = LARGEST_SIDE / max(grey.shape)
    if factor >= 1:
        return np.ascontiguousarray(grey)
    height, width = (max(1, round(side * factor)) for side in grey.shape)
    return cv2.resize(np.ascontiguousarray(grey), (width, height), interpolation=cv2.INTER_AREA)


def _search(dark_ink: np.ndarray, threshold: float) -> _Candidate | None:
    """Return the best candidate for dark ink, with at least that contrast, in a picture, uint8 (height, width)."""
    contrast = without_frames(contrast_to_local_paper(dark_ink), threshold)
    best = _best(dark_ink, contrast, threshold, fills_picture=False)
    to_lightest = without_frames(contrast_to_lightest(dark_ink), threshold)
    unruled = without_lines(contrast, threshold)
    if unruled is not None:
        candidate = _best(dark_ink, unruled, threshold, fills_picture=False)
        if candidate and (best is None or candidate.score > 1.5 * best.score):
            best = candidate
        to_lightest_unruled = without_lines(to_lightest, threshold)
        to_lightest = to_lightest if to_lightest_unruled is None else to_lightest_unruled
    candidate = _best(dark_ink, to_lightest, threshold, fills_picture=True)
    return candidate if candidate and (best is None or candidate.score > 1.2 * best.score) else best


def _noise(grey: np.ndarray) -> float:
    """Return the standard deviation of the noise, estimated from the differences to the medians of neighbouring pixels."""
    return 1.8 * float(np.median(cv2.absdiff(grey, cv2.medianBlur(grey, 3))))


def _best(dark_ink: np.ndarray, contrast: np.ndarray, threshold: float, fills_picture: bool) -> _Candidate | None:
    """Return the candidate at the lowest threshold of those with nearly the best score."""
    found, highest = [], 0.7 * float(contrast.max())
    while threshold < highest:
        candidate = _candidate(dark_ink, Shapes.above(contrast, threshold), fills_picture)
        if candidate and candidate.coverage < 0.5 and threshold < 0.7 * candidate.shapes.level(candidate.number):
            found.append(candidate)
        threshold *= 1.4
    best = max((candidate.score for candidate in found), default=0.0)
    return next((candidate for candidate in found if candidate.score >= 0.93 * best), None)


def _candidate(dark_ink: np.ndarray, shapes: Shapes, fills_picture: bool) -> _Candidate | None:
    """Return the largest shape that may be a digit."""
    allowed = _fills_picture if fills_picture else lambda shapes, number: not shapes.touches_edge(number)
    blur = 0.1 if fills_picture else 0.17
    numbers = [number for number in shapes.relevant if allowed(shapes, number) and _is_sharp(dark_ink, shapes, number, blur)]
    digits = [number for number in numbers if shapes.boxes[number][2] <= 2.2 * shapes.height(number)]
    if not digits:
        return None
    largest = max(digits, key=lambda number: (shapes.extent(number), shapes.boxes[number][4]))
    coverage = _coverage_of_border(shapes, largest) if fills_picture else _coverage(dark_ink, shapes, largest)
    return _Candidate(shapes, largest, numbers, coverage)


def _fills_picture(shapes: Shapes, number: int) -> bool:
    """Return whether the shape is as large as the picture, even in darkness, in the middle, and not a strip, frame or sheet."""
    (rows, columns), (_, _, width, height, area) = shapes.labels.shape, shapes.boxes[number]
    if max(height / rows, width / columns) < 0.8:
        return False
    mask = shapes.mask(number)
    sides = [side.mean() for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1])]
    off_centre = [abs(where.mean() / side - 0.5) for where, side in zip(np.nonzero(mask), mask.shape, strict=True)]
    is_sheet = area > 0.65 * width * height and min(width, height) > 0.35 * max(width, height)
    contrast = shapes.contrast
    is_even = np.percentile(contrast[mask], 30) > 0.5 * cv2.medianBlur(contrast, 3)[mask].max()
    return max(sides) < 0.85 and sum(sides) < 1.6 and max(off_centre) < 0.2 and not is_sheet and bool(is_even)


def _is_sharp(dark_ink: np.ndarray, shapes: Shapes, number: int, blur: float) -> bool:
    """Return whether the outline is an edge in the picture: that of a stroke is, that of a stain or a shadow is not.

    A shape of UNDOUBTED contrast is ink, however blurred: stains and shadows are not as dark.

    Args:
        blur: widest edge, as a share of the shape's size.
    """
    left, top, width, height, _ = shapes.boxes[number]
    box = np.s_[max(0, top - 3) : top + height + 3, max(0, left - 3) : left + width + 3]
    picture = dark_ink[box].astype(np.float32)
    gradient = np.hypot(*(cv2.Sobel(picture, cv2.CV_32F, *axis, scale=1 / 8) for axis in ((1, 0), (0, 1))))
    mask = (shapes.labels[box] == number).astype(np.uint8)
    edge = (mask > 0) & (cv2.erode(mask, np.ones((3, 3), np.uint8)) == 0)
    steepness = np.percentile(cv2.dilate(gradient, np.ones((3, 3), np.uint8))[edge], 20)
    level = shapes.level(number)
    return bool(level >= UNDOUBTED or steepness >= level / max(blur * shapes.extent(number), 5))


def _coverage(dark_ink: np.ndarray, shapes: Shapes, number: int) -> float:
    """Return the share of pixels around the shape, 0..1, that are as dark as it."""
    left, top, width, height, _ = shapes.boxes[number]
    margin = int(0.2 * max(width, height)) + 1
    box = np.s_[max(0, top - margin) : top + height + margin, max(0, left - margin) : left + width + margin]
    mask = shapes.mask(number)
    darkest_paper = np.median(dark_ink[mask]) + 0.5 * np.percentile(shapes.contrast[mask], 30)
    return float((dark_ink[box] < darkest_paper).mean())


def _coverage_of_border(shapes: Shapes, number: int) -> float:
    """Return the share of the picture's border, 0..1, that the shape covers."""
    mask = shapes.mask(number)
    return float(np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean())


def _parts(candidate: _Candidate) -> tuple[list[int], int]:
    """Return the shapes that belong to the digit, and the number of shapes that are as large as a digit."""
    shapes, main = candidate.shapes, candidate.number
    distance = cv2.distanceTransform((~shapes.mask(main)).astype(np.uint8), cv2.DIST_L2, 5)
    tallest = max(shapes.height(number) for number in candidate.others)
    parts, count = [main], 1
    for number in candidate.others:
        if number == main or shapes.level(number) < 0.5 * shapes.level(main):
            continue
        gap = distance[shapes.mask(number)].min() / candidate.extent
        is_tall = shapes.height(number) >= 0.45 * tallest
        if gap < 0.06 or (gap < 0.25 and not is_tall):
            parts.append(number)
        elif is_tall or shapes.extent(number) >= 0.45 * candidate.extent:
            count += 1
    return parts, count


def _ink(candidate: _Candidate, parts: list[int]) -> np.ndarray:
    """Return the ink of the parts, 0..1, float32 (height, width), in proportion to the darkest ink nearby."""
    shapes, level = candidate.shapes, candidate.shapes.level(candidate.number)
    near = cv2.dilate(np.isin(shapes.labels, parts).astype(np.uint8), np.ones((3, 3), np.uint8))
    size = odd(0.1 * candidate.extent)
    darkest = cv2.blur(cv2.dilate(shapes.contrast * near, np.ones((size, size), np.uint8)), (size, size))
    share = shapes.contrast / np.clip(darkest, 0.4 * level, level)
    return (np.clip((share - FAINT) / (SOLID - FAINT), 0, 1) * near).astype(np.float32)


def _thickened(ink: np.ndarray, extent: int) -> np.ndarray:
    """Return the ink with strokes of at least 9 % of the digit's size, as thin ones would fade when they are scaled."""
    strokes = (ink > 0.5).astype(np.uint8)
    if not strokes.any():
        return ink
    distance = cv2.distanceTransform(np.pad(strokes, 1), cv2.DIST_L2, 5)
    lacking = 0.09 * extent - (4 * distance[distance > 0].mean() - 1)
    if lacking < 1:
        return ink
    size = round(lacking) + 1
    return cv2.dilate(np.pad(ink, size), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
