"""The ten digits as pen strokes, drawn with Pillow in any size, ink and paper."""

import math

import numpy as np
from PIL import Image, ImageDraw


def _arc(x: float, y: float, radius_x: float, radius_y: float, start: float, end: float) -> list[tuple[float, float]]:
    """Points on an ellipse, degrees clockwise from the right."""
    angles = [math.radians(start + (end - start) * step / 24) for step in range(25)]
    return [(x + radius_x * math.cos(angle), y + radius_y * math.sin(angle)) for angle in angles]


# A list of strokes for each digit, each a list of points (x, y) in a unit square, y downwards.
STROKES = {
    0: [_arc(0.5, 0.5, 0.28, 0.42, -90, 270)],
    1: [[(0.5, 0.08), (0.5, 0.92)]],
    2: [[*_arc(0.5, 0.32, 0.26, 0.24, -170, 30), (0.24, 0.9), (0.8, 0.9)]],
    3: [[*_arc(0.48, 0.3, 0.24, 0.22, -150, 90), *_arc(0.48, 0.7, 0.28, 0.22, -90, 150)]],
    4: [[(0.34, 0.08), (0.22, 0.56), (0.8, 0.56)], [(0.66, 0.1), (0.62, 0.94)]],
    5: [[(0.74, 0.1), (0.34, 0.1), (0.3, 0.46), *_arc(0.46, 0.66, 0.28, 0.26, -110, 140)]],
    6: [[(0.62, 0.08), (0.36, 0.4), *_arc(0.5, 0.7, 0.22, 0.22, -170, 190)]],
    7: [[(0.22, 0.12), (0.78, 0.12), (0.44, 0.92)]],
    8: [[*_arc(0.5, 0.29, 0.2, 0.2, 90, 450), *_arc(0.5, 0.7, 0.24, 0.21, -90, 270)]],
    9: [[*_arc(0.48, 0.32, 0.22, 0.22, 0, 360), (0.68, 0.4), (0.62, 0.94)]],
}


def draw(
    digit: int, size: tuple[int, int], box: tuple[float, float, float], pen: float = 0.1, ink: int = 0, paper: int = 255
) -> np.ndarray:
    """Return grey uint8 (height, width) of `size` (width, height), antialiased.

    Args:
        box: left, top and side, in pixels, of the square that the digit is drawn in.
        pen: width of the strokes as a share of the box's side.
    """
    left, top, side = (4 * value for value in box)
    image = Image.new("L", (4 * size[0], 4 * size[1]), paper)
    canvas, width = ImageDraw.Draw(image), pen * side
    for stroke in STROKES[digit]:
        points = [(left + x * side, top + y * side) for x, y in stroke]
        canvas.line(points, fill=ink, width=round(width))
        for x, y in points:
            canvas.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill=ink)
    return np.asarray(image.resize(size, Image.Resampling.BOX))
