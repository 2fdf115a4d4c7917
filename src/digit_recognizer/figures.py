"""Figures from arrays: PNG bytes or SVG text, drawn with matplotlib's object interface (no pyplot, no global state)."""

import contextlib
import hashlib
import io
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from digit_recognizer.metrics import Calibration, Estimate, proportion

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


DEFAULT_FONT = "DejaVu Sans"  # comes with matplotlib


@contextlib.contextmanager
def default_style(**settings: Any) -> Iterator[None]:
    """Draw in matplotlib's default style with these settings, independently of the user's matplotlibrc and MPLBACKEND."""
    if "matplotlib" not in sys.modules:
        _import_matplotlib()
    import matplotlib.style

    with matplotlib.style.context(["default", settings]):
        yield


def _import_matplotlib() -> None:
    """Import matplotlib without an invalid MPLBACKEND, which would raise an error; a valid one is kept for pyplot."""
    backend = os.environ.pop("MPLBACKEND", None)
    import matplotlib

    if backend is not None:
        os.environ["MPLBACKEND"] = backend
        with contextlib.suppress(ValueError):
            matplotlib.rcParams["backend"] = backend


@default_style()
def confusion_png(matrix: np.ndarray, classes: Sequence[str]) -> bytes:
    """Draw a confusion matrix, int (classes, classes), rows true labels, as a PNG.

    Errors have a separate colour scale (share of the row). Counts are written for up to 40 classes. If no
    installed font has the characters of the classes, they are numbered.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    families = font_families(classes)
    names = classes if families else [str(number) for number in range(len(classes))]
    text_style = {"fontfamily": families or DEFAULT_FONT, "parse_math": False}
    size = len(classes)
    side = float(np.clip(1.2 + 0.52 * size, 3.4, 24))
    figure = new_figure(side, side)
    axes = figure.subplots()
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    errors = np.where(np.eye(size, dtype=bool), np.nan, share)
    axes.imshow(np.where(np.eye(size, dtype=bool), 0.30, np.nan), cmap="Greys", vmin=0, vmax=1)
    worst = float(np.nanmax(errors, initial=0)) or 1.0
    axes.imshow(errors, cmap="OrRd", vmin=0, vmax=worst)
    for row, column in np.argwhere(matrix > 0) if size <= 40 else ():  # with more classes the numbers are too small to read
        colour = "white" if row != column and errors[row, column] > 0.6 * worst else "black"
        text = f"{matrix[row, column]:,}"
        cell = axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8 if size <= 20 else 6)
        cell.set_in_layout(False)  # it is inside the axes, and measuring all of them takes long
    axes.set_xticks(range(size), names, rotation=0 if max(map(len, names)) < 3 else 90, **text_style)
    axes.set_yticks(range(size), names, **text_style)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    note = "" if families else "\n(rows of confusion.csv, from 0:\nno installed font has the names)"
    axes.set_xlabel(f"prediction{note}")
    axes.set_ylabel("label")
    wrong, total = int(matrix.sum() - matrix.trace()), int(matrix.sum())
    axes.set_title(f"{wrong:,} of {total:,} wrong\ncolour: share of the label's images", fontsize=9, wrap=True)
    buffer = io.BytesIO()
    figure.set_dpi(110)
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})  # savefig would draw twice
    return buffer.getvalue()


def font_families(names: Sequence[str]) -> list[str]:
    """Return fonts that together have all characters of the names, the default font first; empty if no font has one of them."""
    from matplotlib import font_manager

    default = font_manager.findfont(DEFAULT_FONT)
    missing = {ord(character) for name in names for character in name} - _characters(default)
    families = [DEFAULT_FONT]
    for font in font_manager.fontManager.ttflist if missing else ():
        if font.name.startswith("Last Resort"):  # matplotlib's fallback font, which draws boxes
            continue
        if found := missing & _characters(font.fname):
            families.append(font.name)
            missing -= found
    return [] if missing else families


def _characters(path: str) -> set[int]:
    from matplotlib import font_manager

    try:
        return set(font_manager.get_font(path).get_charmap())
    except (OSError, RuntimeError):  # not a font that matplotlib reads
        return set()


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of that size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


@dataclass(frozen=True)
class Line:
    """One line of a chart: `colour` is an index of `SERIES`; lines with a name are in the legend."""

    x: Sequence[float]
    y: Sequence[float]
    colour: int = 0
    name: str = ""
    dashed: bool = False
    mark: float | None = None  # the x of a point to mark with a dot


LOWEST_ERROR = 1e-5  # lower errors are drawn here, since a logarithmic scale has no 0
Scale = Literal["linear", "log", "accuracy"]  # "accuracy": the error on a logarithmic scale


@default_style()
def lines_svg(lines: Sequence[Line], x_label: str, y_label: str, scale: Scale = "linear") -> str:
    """Draw lines as an SVG to embed in an HTML page."""
    figure = new_figure(4.4, 3.0)
    axes = figure.subplots()
    for line in lines:
        x, y = np.asarray(line.x), np.asarray(line.y, dtype=np.float64)
        x, y = x[~np.isnan(y)], y[~np.isnan(y)]  # connect the measured values
        y = np.clip(1 - y, LOWEST_ERROR, 1) if scale == "accuracy" else y
        style = {"color": SERIES[line.colour % len(SERIES)], "label": line.name or None}
        style |= {"marker": "o", "fillstyle": "none" if line.dashed else "full"} if len(x) == 1 else {}
        axes.plot(x, y, linestyle=":" if line.dashed else "-", linewidth=1.4, **style)
        if line.mark is not None:
            at = x == line.mark
            axes.plot(x[at], y[at], "o", markersize=5, color=style["color"])
    set_scale(axes, scale)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    if any(line.name for line in lines):
        axes.legend(frameon=False, fontsize=8, ncols=2)
    return to_svg(figure)


@default_style()
def boxes_svg(groups: Mapping[str, Sequence[float]], x_label: str) -> str:
    """Draw a box for each group with a point for each value, as an SVG to embed in an HTML page."""
    figure = new_figure(6.4, 1.1 + 0.55 * len(groups))
    axes = figure.subplots()
    ink = {"color": INK}
    style = {"boxprops": ink, "whiskerprops": ink, "capprops": ink, "medianprops": {"color": SERIES[0], "linewidth": 2}}
    values = [np.asarray(group) for group in groups.values()]
    axes.boxplot(values, orientation="horizontal", tick_labels=list(groups), widths=0.5, showfliers=False, **style)
    for position, group in enumerate(values, start=1):
        axes.plot(group, np.full(len(group), position), "o", markersize=5, alpha=0.7, color=SERIES[1])
    axes.invert_yaxis()
    axes.ticklabel_format(axis="x", useOffset=False)
    axes.set_xlabel(x_label)
    return to_svg(figure)


@default_style()
def estimates_svg(points: Mapping[str, tuple[float, Estimate]], x_label: str, y_label: str) -> str:
    """Draw named estimates with their 95 % intervals over a logarithmic x axis, as an SVG to embed in an HTML page."""
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = new_figure(7.2, 4.0)
    axes = figure.subplots()
    for name, (x, estimate) in points.items():
        error, highest, lowest = (max(1 - value, LOWEST_ERROR) for value in estimate)
        axes.plot([x, x], [lowest, highest], color=SERIES[0], linewidth=1.2, alpha=0.5)
        axes.plot(x, error, "o", color=SERIES[0], markersize=5)
        place = {"xytext": (6, 0), "textcoords": "offset points", "va": "center", "fontsize": 8, "parse_math": False}
        axes.annotate(name, (x, error), **place)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.12)
    set_scale(axes, "accuracy")
    axes.set(xlabel=x_label, ylabel=y_label)
    return to_svg(figure)


@default_style()
def calibration_svg(calibration: Calibration) -> str:
    """Draw a reliability diagram, with the 95 % interval of each bin, as an SVG to embed in an HTML page."""
    figure = new_figure(4.4, 3.4)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], linestyle=":", color=INK, linewidth=1)
    for confidence, right, count in zip(calibration.confidence, calibration.accuracy, calibration.count, strict=True):
        if count:
            _, low, high = proportion(right * count, count)
            axes.plot([confidence, confidence], [low, high], color=SERIES[0], linewidth=1.5)
            axes.plot(confidence, right, "o", color=SERIES[0], markersize=5)
    axes.set(xlim=(0, 1.03), ylim=(0, 1.03), xlabel="probability of the prediction", ylabel="share of correct predictions")
    return to_svg(figure)


# In a page, INK becomes the colour of its text and SERIES its CSS variables, for the light and the dark scheme.
INK = "#000000"
SERIES = ("#2563eb", "#d9480f", "#16803c", "#a21caf", "#a16207", "#0e7490", "#be123c", "#525252")


def set_scale(axes: "Axes", scale: Scale) -> None:
    """Set the scale of the y axis of a finished plot."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if scale == "linear":
        return
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 1000 else (1.0,)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    if scale == "accuracy":
        axes.invert_yaxis()
        axes.yaxis.set_major_formatter(FuncFormatter(lambda error, _: f"{1 - error:.6g}"))
    else:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def to_svg(figure: "Figure") -> str:
    """Return the figure, in the project's style, as an SVG to embed in an HTML page."""
    import matplotlib

    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.15, color=INK)
        axes.patch.set_visible(False)
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "digit-recognizer"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    return _for_page(svg[svg.index("<svg") :])


def _for_page(svg: str) -> str:
    """Replace what would conflict with the page or with another SVG in it: size, styles, fonts, ids and colours."""
    svg = re.sub(r"<(metadata|style)[ >].*?</\1>", "", svg, flags=re.DOTALL)
    size = r'<svg(.*?) width="([0-9.]+)pt" height="[0-9.]+pt"'
    svg = re.sub(size, r'<svg\1 style="max-width: calc(1.35 * \2px)" fill="currentColor" aria-hidden="true"', svg, count=1)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    unique = hashlib.sha256(svg.encode()).hexdigest()[:6]
    svg = re.sub(r'(id="|#)([mp][0-9a-f]{10})', rf"\g<1>{unique}\2", svg)
    svg = re.sub(r"'DejaVu Sans'[^;\"]*sans-serif", "system-ui, sans-serif", svg)
    for number, colour in enumerate(SERIES):
        svg = svg.replace(colour, f"var(--series-{number}, {colour})")
    return svg.replace(INK, "currentColor")
