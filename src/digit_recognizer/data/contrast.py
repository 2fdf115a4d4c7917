"""The contrast of a picture to its paper, without frames and ruled lines, and the connected shapes in it."""

from dataclasses import dataclass

import cv2
import numpy as np

LINE_ANGLES = (0, -1.5, 1.5, -3, 3)  # degrees; ruled lines may be tilted


@dataclass(frozen=True)
class Shapes:
    """Connected shapes of a contrast image above a threshold."""

    contrast: np.ndarray  # float32 (height, width)
    labels: np.ndarray  # int32 (height, width): number of the shape, 0 for paper
    boxes: np.ndarray  # int32 (shapes + 1, 5): left, top, width, height, area

    @classmethod
    def above(cls, contrast: np.ndarray, threshold: float) -> "Shapes":
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


def odd(value: float) -> int:
    """Return an odd number of pixels near `value`, at least 3."""
    return max(3, int(value) | 1)


def contrast_to_local_paper(dark_ink: np.ndarray) -> np.ndarray:
    """Return how much darker each pixel is than the paper around it, grey levels, float32 (height, width).

    The paper is a grey closing over squares that are wider than a stroke. It keeps the edges of shadows.
    """
    side = min(dark_ink.shape)
    smooth = cv2.medianBlur(dark_ink, 5 if side >= 40 else 3)  # single light pixels would spread
    window = odd(0.3 * side)
    margin = min(window, side - 1)
    around = cv2.copyMakeBorder(smooth, margin, margin, margin, margin, cv2.BORDER_REFLECT)
    paper = cv2.morphologyEx(around, cv2.MORPH_CLOSE, np.ones((window, window), np.uint8))[margin:-margin, margin:-margin]
    contrast = paper.astype(np.float32) - dark_ink
    return np.maximum(contrast - np.median(contrast), 0)


def contrast_to_lightest(dark_ink: np.ndarray) -> np.ndarray:
    """Return how much darker each pixel is than the picture's paper, for digits whose strokes are wider than any window."""
    paper = np.float32(np.percentile(cv2.medianBlur(dark_ink, 3), 90))
    return np.maximum(paper - dark_ink.astype(np.float32), 0)


def without_frames(contrast: np.ndarray, threshold: float) -> np.ndarray:
    """Return the contrast without shapes around others, empty boxes, and boxes that the digit touches."""
    contrast, shapes = contrast.copy(), Shapes.above(contrast, threshold)
    inner = [number for number in shapes.relevant if not shapes.touches_edge(number)]
    for number in inner:
        left, top, width, height, area = shapes.boxes[number]
        box = np.s_[top : top + height, left : left + width]
        shape = shapes.labels[box] == number
        filled, rectangularity = outline(shape)
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


def outline(shape: np.ndarray) -> tuple[np.ndarray, float]:
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


def without_lines(contrast: np.ndarray, threshold: float) -> np.ndarray | None:
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
    lines = Shapes.above(cv2.morphologyEx(thin, cv2.MORPH_CLOSE, _bar(odd(0.45 * side), horizontal)), 0)
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
    size = odd(length)
    middle = size // 2
    across, down = np.cos(np.radians(degrees)) * middle, np.sin(np.radians(degrees)) * middle
    kernel = np.zeros((size, size), np.uint8)
    cv2.line(kernel, (round(middle - across), round(middle - down)), (round(middle + across), round(middle + down)), 1, 1)
    return np.ascontiguousarray(kernel[kernel.any(axis=1)][:, kernel.any(axis=0)])
