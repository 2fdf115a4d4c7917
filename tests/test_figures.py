"""Figures: valid PNG and SVG, with the right content."""

import io
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from digit_recognizer import figures, metrics


def picture(png: bytes) -> np.ndarray:
    from matplotlib.image import imread

    return imread(io.BytesIO(png))


@pytest.mark.parametrize("classes", [("cat", "dog"), tuple("0123456789"), tuple(f"class {i}" for i in range(100))])
def test_confusion_matrix_becomes_a_png_of_readable_size(classes):
    matrix = np.eye(len(classes), dtype=int) * 800 + 1
    height, width, _ = picture(figures.confusion_png(matrix, classes)).shape
    assert 300 < height < 3000
    assert 300 < width < 3000


@pytest.mark.parametrize("matrix", [np.zeros((2, 2), int), np.diag([5, 5])], ids=["empty", "all right"])
def test_confusion_matrix_without_errors_can_be_drawn(matrix):
    assert figures.confusion_png(matrix, ("a", "b")).startswith(b"\x89PNG")


def test_same_matrix_gives_the_same_bytes():
    matrix = np.array([[5, 1], [0, 4]])
    assert figures.confusion_png(matrix, ("a", "b")) == figures.confusion_png(matrix, ("a", "b"))


def test_charts_take_their_colours_from_the_page():
    svg = figures.lines_svg(
        [figures.Line([1, 2], [0.9, 0.99], colour=1, name="fold 1", mark=2)], "epoch", "accuracy", "accuracy"
    )
    assert svg.startswith("<svg")
    assert "var(--series-1, #d9480f)" in svg
    assert "#000000" not in svg
    assert "<style" not in svg


def test_two_charts_in_one_page_share_no_ids():
    charts = [figures.boxes_svg({"a": [0.9, value]}, "accuracy") for value in (0.8, 0.95)]
    first, second = (set(re.findall(r'id="([^"]+)"', svg)) for svg in charts)
    assert first
    assert not first & second


def test_accuracy_of_one_can_be_drawn_on_its_scale():
    assert "0.9" in figures.lines_svg([figures.Line([1, 2, 3], [0.5, 0.9, 1.0])], "epoch", "accuracy", "accuracy")


def test_a_line_connects_points_across_epochs_that_were_not_measured():
    sparse = figures.lines_svg([figures.Line([1, 2, 3], [0.1, float("nan"), 0.3], mark=3)], "epoch", "loss")
    assert sparse == figures.lines_svg([figures.Line([1, 3], [0.1, 0.3], mark=3)], "epoch", "loss")


def test_a_single_epoch_is_one_tick_with_a_hollow_dot_for_training():
    train, valid = figures.Line([1], [0.4], dashed=True), figures.Line([1], [0.3], mark=1)
    svg = figures.lines_svg([train, valid], "epoch", "loss")
    assert re.findall(r"<text[^>]*>([^<]*)</text>", svg)[:2] == ["1", "epoch"]
    assert svg.count("fill-opacity: 0;") == 1


def test_calibration_is_drawn_with_empty_bins():
    calibration = metrics.calibration(np.array([0, 1]), np.array([[0.95, 0.05], [0.3, 0.7]]))
    assert figures.calibration_svg(calibration).startswith("<svg")


@pytest.mark.filterwarnings("error:Glyph")
@pytest.mark.parametrize("classes", [("一", "二"), ("$x$", r"$\frac$"), ("ä", "β")], ids=["no font", "no formula", "letters"])
def test_names_of_classes_are_drawn_as_text_or_numbered(classes):
    plain = figures.confusion_png(np.array([[5, 1], [0, 4]]), ("0", "1"))
    assert figures.confusion_png(np.array([[5, 1], [0, 4]]), classes) != plain


def test_missing_characters_are_taken_from_other_installed_fonts(monkeypatch):
    from matplotlib import font_manager

    assert figures.font_families(["0", "é"]) == ["DejaVu Sans"]
    assert figures.font_families(["0", "\u2fdf"]) == []
    other = next(font for font in font_manager.fontManager.ttflist if font.name != "DejaVu Sans")
    default = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    font = SimpleNamespace(get_charmap=lambda: {0x2FDF: 1})
    monkeypatch.setattr(font_manager, "get_font", lambda path: font if path == other.fname else default)
    assert figures.font_families(["\u2fdf"]) == ["DejaVu Sans", other.name]


def test_estimates_are_drawn_by_name_and_a_perfect_one_too():
    svg = figures.estimates_svg(
        {"fast": (4.4, metrics.proportion(995, 1000)), "$x$": (30.0, metrics.proportion(1000, 1000))}, "minutes", "accuracy"
    )
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert {"fast", "$x$", "5", "10", "20"} <= set(texts)
    assert not any("mathdefault" in text for text in texts)


def test_matplotlib_settings_of_the_person_change_no_figure(tmp_path):
    (tmp_path / "matplotlibrc").write_text("font.size: 30\nsavefig.facecolor: red\n")
    program = "import sys, numpy; from digit_recognizer.figures import confusion_png; "
    program += "sys.stdout.buffer.write(confusion_png(numpy.eye(3, dtype=int), ('a', 'b', 'c')))"
    drawn = [
        subprocess.run([sys.executable, "-c", program], env={**os.environ, **more}, capture_output=True, check=True).stdout
        for more in ({}, {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc"), "MPLBACKEND": "nonsense"})
    ]
    assert drawn[0] == drawn[1] and drawn[0].startswith(b"\x89PNG")
