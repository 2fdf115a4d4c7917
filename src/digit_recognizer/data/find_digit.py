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

LARGEST_SIDE = 400  # pixels: larger pictures are first reduced to this, which also reduces noise
SMALLEST_SIDE = 5  # pixels; a smaller picture is blank
LEAST_CONTRAST = 16  # grey levels between ink and paper
UNDOUBTED = 185  # grey levels between ink and paper, which no stain or shadow has
FAINT, SOLID = 0.25, 0.75  # share of the ink's contrast: up to FAINT a pixel has no ink, from SOLID on it is all ink
LINE_ANGLES = (0, -1.5, 1.5, -3, 3)  # degrees; ruled lines may be tilted


class FoundDigit(NamedTuple):
    """The digit in a picture."""

    ink: np.ndarray  # float32 (height, width), 0..1, of the picture reduced to LARGEST_SIDE; all zero if it is blank
    shapes: int  # 0: blank; 2 or more: other shapes are as large as the digit


@dataclass(frozen=True)
class _Shapes:
    """Connected shapes of a contrast image above a threshold."""

    contrast: np.ndarray  # float32 (height, width)
    labels: np.ndarray  # int32 (height, width): number of the shape, 0 for paper
    boxes: np.ndarray  # int32 (shapes + 1, 5): left, top, width, height, area

    @classmethod
    def above(cls, contrast: np.ndarray, threshold: float) -> "_Shapes":
        _, labels, boxes, _ = cv2.connectedComponentsWithStats((contrast > threshold).astype(np.uint8), connectivity=8)
        return cls(contrast, labels, boxes)

    @property
    def relevant(self) -> list[int]:
        """Numbers of the shapes that are larger than specks."""
        least = max(6, 0.04 * min(self.labels.shape))
        return [number for number in range(1, len(self.boxes)) if self.extent(number) >= least and self.boxes[number][4] >= 12]

    def mask(self, number: int) -> np.ndarray:
        return self.labels == number

    def extent(self, number: int) -> int:
        """Return the longer side of the shape's box."""
        return int(self.boxes[number][2:4].max())

    def height(self, number: int) -> int:
        return int(self.boxes[number][3])

    def level(self, number: int) -> float:
        """Return the contrast of the shape's dark parts."""
        return float(np.percentile(self.contrast[self.mask(number)], 85))

    def touches_edge(self, number: int) -> bool:
        left, top, width, height, _ = self.boxes[number]
        return left <= 0 or top <= 0 or left + width >= self.labels.shape[1] or top + height >= self.labels.shape[0]


@dataclass(frozen=True)
class _Candidate:
    """A shape that may be the digit."""

    shapes: _Shapes
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
            and _outline(self.shapes.mask(self.number))[1] > 0.85
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
    shapes = _Shapes.above(ink, 0.5)
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
    contrast = _without_frames(_contrast_to_local_paper(dark_ink), threshold)
    best = _best(dark_ink, contrast, threshold, fills_picture=False)
    to_lightest = _without_frames(_contrast_to_lightest(dark_ink), threshold)
    unruled = _without_lines(contrast, threshold)
    if unruled is not None:
        candidate = _best(dark_ink, unruled, threshold, fills_picture=False)
        if candidate and (best is None or candidate.score > 1.5 * best.score):
            best = candidate
        to_lightest_unruled = _without_lines(to_lightest, threshold)
        to_lightest = to_lightest if to_lightest_unruled is None else to_lightest_unruled
    candidate = _best(dark_ink, to_lightest, threshold, fills_picture=True)
    return candidate if candidate and (best is None or candidate.score > 1.2 * best.score) else best


def _odd(value: float) -> int:
    return max(3, int(value) | 1)


def _contrast_to_local_paper(dark_ink: np.ndarray) -> np.ndarray:
    """Return how much darker each pixel is than the paper around it, grey levels, float32 (height, width).

    The paper is a grey closing over squares that are wider than a stroke. It keeps the edges of shadows.
    """
    side = min(dark_ink.shape)
    smooth = cv2.medianBlur(dark_ink, 5 if side >= 40 else 3)  # single light pixels would spread
    window = _odd(0.3 * side)
    margin = min(window, side - 1)
    around = cv2.copyMakeBorder(smooth, margin, margin, margin, margin, cv2.BORDER_REFLECT)
    paper = cv2.morphologyEx(around, cv2.MORPH_CLOSE, np.ones((window, window), np.uint8))[margin:-margin, margin:-margin]
    contrast = paper.astype(np.float32) - dark_ink
    return np.maximum(contrast - np.median(contrast), 0)


def _contrast_to_lightest(dark_ink: np.ndarray) -> np.ndarray:
    """Return how much darker each pixel is than the picture's paper, for digits whose strokes are wider than any window."""
    paper = np.float32(np.percentile(cv2.medianBlur(dark_ink, 3), 90))
    return np.maximum(paper - dark_ink.astype(np.float32), 0)


def _noise(grey: np.ndarray) -> float:
    """Return the standard deviation of the noise, estimated from the differences to the medians of neighbouring pixels."""
    return 1.8 * float(np.median(cv2.absdiff(grey, cv2.medianBlur(grey, 3))))


def _without_frames(contrast: np.ndarray, threshold: float) -> np.ndarray:
    """Return the contrast without shapes around others, empty boxes, and boxes that the digit touches."""
    contrast, shapes = contrast.copy(), _Shapes.above(contrast, threshold)
    inner = [number for number in shapes.relevant if not shapes.touches_edge(number)]
    for number in inner:
        left, top, width, height, area = shapes.boxes[number]
        box = np.s_[top : top + height, left : left + width]
        shape = shapes.labels[box] == number
        filled, rectangularity = _outline(shape)
        content = _peeled(shape, filled)
        smallest = (0.08 if rectangularity > 0.85 else 0.3) * max(width, height)
        encloses = any(
            other != number
            and shapes.extent(other) >= smallest
            and (filled & (shapes.labels[box] == other)).sum() > 0.9 * shapes.boxes[other][4]
            for other in inner
        )
        is_empty_box = rectangularity > 0.85 and area < 0.5 * filled.sum() and not content.any()
        if encloses or is_empty_box:
            contrast[box][shape] = 0
        elif rectangularity > 0.88 and np.ptp(np.flatnonzero(content.any(axis=1)) if content.any() else [0]) >= 0.4 * height:
            contrast[box][shape & ~content] = 0
    return contrast


def _outline(shape: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the shape with its holes filled, bool, and the share of its smallest rectangle, 0..1, that it then covers."""
    contours, _ = cv2.findContours(shape.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = max(contours, key=len)
    _, (width, height), _ = cv2.minAreaRect(contour)
    filled = np.zeros(shape.shape, np.uint8)
    cv2.drawContours(filled, [contour], -1, 1, -1)
    return filled > 0, float(filled.sum() / ((width + 1) * (height + 1)))


def _peeled(shape: np.ndarray, filled: np.ndarray) -> np.ndarray:
    """Return the shape without the line along its outline, bool: nothing of an empty box, the digit of a box with one."""
    padded = np.pad(filled, 1).astype(np.uint8)
    depth = cv2.distanceTransform(padded, cv2.DIST_C, 3)[1:-1, 1:-1].astype(int)
    pixels = np.bincount(depth.ravel())
    inked = np.bincount(depth.ravel(), shape.ravel(), len(pixels))[1:] / np.maximum(pixels[1:], 1)
    thickness = int(np.argmax(inked < 0.6)) if (inked < 0.6).any() else len(inked)
    return shape & (depth > thickness + 1)


def _without_lines(contrast: np.ndarray, threshold: float) -> np.ndarray | None:
    """Return the contrast without ruled lines, their gaps closed where ink crosses them, or None if there are no lines."""
    if min(contrast.shape) < 40:
        return None
    result, gap = None, _line_thickness(contrast) + 5
    for horizontal in (True, False):
        lines = _ruled_lines(contrast, threshold / 2, horizontal)
        if lines.any():
            cleared = np.where(lines, 0, contrast if result is None else result)
            closed = cv2.morphologyEx(cleared, cv2.MORPH_CLOSE, _bar(gap, not horizontal))
            result = np.where(lines, closed, cleared)
    return result


def _line_thickness(contrast: np.ndarray) -> int:
    """Return a thickness, in pixels, that ruled lines don't have."""
    return max(3, int(0.02 * max(contrast.shape))) + 1


def _bar(length: int, horizontal: bool) -> np.ndarray:
    """Return a structuring element that is one pixel wide."""
    return np.ones((1, length) if horizontal else (length, 1), np.uint8)


def _ruled_lines(contrast: np.ndarray, threshold: float, horizontal: bool) -> np.ndarray:
    """Return the pixels, bool, of thin straight lines through most of the picture."""
    side = contrast.shape[1] if horizontal else contrast.shape[0]
    thick = cv2.morphologyEx(contrast, cv2.MORPH_OPEN, _bar(_line_thickness(contrast), not horizontal))
    straight = _straight(contrast, horizontal, 0.25 * side)
    thin = ((straight > threshold) & (cv2.dilate(thick, np.ones((5, 5), np.uint8)) < 0.5 * straight)).astype(np.uint8)
    lines = _Shapes.above(cv2.morphologyEx(thin, cv2.MORPH_CLOSE, _bar(_odd(0.45 * side), horizontal)), 0)
    through = [
        number
        for number in range(1, len(lines.boxes))
        if lines.boxes[number][2 if horizontal else 3] >= 0.6 * side
        and (lines.mask(number) & (thin > 0)).any(axis=0 if horizontal else 1).sum() >= 0.35 * side
    ]
    return np.isin(lines.labels, through)


def _straight(contrast: np.ndarray, horizontal: bool, length: float) -> np.ndarray:
    """Return the contrast of what continues for `length` pixels within LINE_ANGLES of an axis, float32 (height, width)."""
    wide = cv2.dilate(contrast, _bar(3, not horizontal))  # a tilted line has steps
    soft = cv2.blur(wide, (7, 1) if horizontal else (1, 7))
    kernels = (_line_kernel(length, angle if horizontal else angle + 90) for angle in LINE_ANGLES)
    opened = [cv2.morphologyEx(soft, cv2.MORPH_OPEN, kernel, borderType=cv2.BORDER_REPLICATE) for kernel in kernels]
    return np.max(opened, axis=0)


def _line_kernel(length: float, degrees: float) -> np.ndarray:
    size = _odd(length)
    middle = size // 2
    across, down = np.cos(np.radians(degrees)) * middle, np.sin(np.radians(degrees)) * middle
    kernel = np.zeros((size, size), np.uint8)
    cv2.line(kernel, (round(middle - across), round(middle - down)), (round(middle + across), round(middle + down)), 1, 1)
    return np.ascontiguousarray(kernel[kernel.any(axis=1)][:, kernel.any(axis=0)])


def _best(dark_ink: np.ndarray, contrast: np.ndarray, threshold: float, fills_picture: bool) -> _Candidate | None:
    """Return the candidate at the lowest threshold of those with nearly the best score."""
    found, highest = [], 0.7 * float(contrast.max())
    while threshold < highest:
        candidate = _candidate(dark_ink, _Shapes.above(contrast, threshold), fills_picture)
        if candidate and candidate.coverage < 0.5 and threshold < 0.7 * candidate.shapes.level(candidate.number):
            found.append(candidate)
        threshold *= 1.4
    best = max((candidate.score for candidate in found), default=0.0)
    return next((candidate for candidate in found if candidate.score >= 0.93 * best), None)


def _candidate(dark_ink: np.ndarray, shapes: _Shapes, fills_picture: bool) -> _Candidate | None:
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


def _fills_picture(shapes: _Shapes, number: int) -> bool:
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


def _is_sharp(dark_ink: np.ndarray, shapes: _Shapes, number: int, blur: float) -> bool:
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
    outline = (mask > 0) & (cv2.erode(mask, np.ones((3, 3), np.uint8)) == 0)
    steepness = np.percentile(cv2.dilate(gradient, np.ones((3, 3), np.uint8))[outline], 20)
    level = shapes.level(number)
    return bool(level >= UNDOUBTED or steepness >= level / max(blur * shapes.extent(number), 5))


def _coverage(dark_ink: np.ndarray, shapes: _Shapes, number: int) -> float:
    """Return the share of pixels around the shape, 0..1, that are as dark as it."""
    left, top, width, height, _ = shapes.boxes[number]
    margin = int(0.2 * max(width, height)) + 1
    box = np.s_[max(0, top - margin) : top + height + margin, max(0, left - margin) : left + width + margin]
    mask = shapes.mask(number)
    darkest_paper = np.median(dark_ink[mask]) + 0.5 * np.percentile(shapes.contrast[mask], 30)
    return float((dark_ink[box] < darkest_paper).mean())


def _coverage_of_border(shapes: _Shapes, number: int) -> float:
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
    size = _odd(0.1 * candidate.extent)
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
