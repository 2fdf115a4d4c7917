"""Take the pictures of docs/images/ from a demo: the terminal, the report and the drawing page.

    .venv/bin/python docs/make_screenshots.py

Takes about three minutes. Needs Chromium, npm and the libraries of requirements-test.txt.
"""

import fcntl
import html
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import groupby
from pathlib import Path

import pyte
from PIL import Image
from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))

from chromium import launched  # noqa: E402
from digit_strokes import STROKES  # noqa: E402

IMAGES = ROOT / "docs" / "images"
LIMIT = 150_000  # bytes of a picture
COLUMNS, LINES = 100, 70  # of the terminal
INTERVAL = 0.5  # seconds between two captures of the terminal

# pyte's names of the colours that the commands print in.
COLOURS = {
    "default": "#d8dee9",
    "green": "#8fbf7f",
    "red": "#e06c75",
    "brown": "#d7ba7d",
    "magenta": "#c586c0",
    "cyan": "#56b6c2",
}
BACKGROUND = "#1e222a"


def main() -> None:
    """Run the demo and take all pictures."""
    with tempfile.TemporaryDirectory() as folder, launched() as browser:
        project = copy_project(Path(folder) / "digit-recognizer")
        screens = run_in_terminal([*command(project), "demo"], project)
        training = [screen for screen in screens if "━" in "".join(screen)]
        picture_of_terminal(browser, "make demo", training[len(training) // 2], "training")
        picture_of_terminal(browser, "make demo", screens[-1], "demo")
        pictures_of_report(browser, project / "demo" / "runs" / "demo" / "report.html")
        with drawing_page(project) as address:
            picture_of_drawing(browser, address)


def copy_project(folder: Path) -> Path:
    """Copy what the commands need to `folder`, so that the user's demo is not changed."""
    for name in ("src", "pipelines"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def command(project: Path) -> list[str]:
    """Return the command line that make uses in the project."""
    return [str(project / ".venv" / "bin" / "python"), "-m", "digit_recognizer"]


def environment(project: Path) -> dict[str, str]:
    """Return the variables for the commands; no browser opens."""
    return {**os.environ, "PYTHONPATH": str(project / "src"), "TERM": "xterm-256color", "BROWSER": "true"}


def run_in_terminal(words: list[str], project: Path) -> list[list[str]]:
    """Run a command in a terminal; return its screens, one every INTERVAL and the last, each a list of lines of HTML."""
    terminal, program_side = pty.openpty()
    fcntl.ioctl(program_side, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), program_side)
    program = subprocess.Popen(words, cwd=project, env=environment(project), start_new_session=True, **streams)
    os.close(program_side)
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    screens: list[list[str]] = []
    looked = time.monotonic()
    while chunk := read(terminal):
        stream.feed(chunk)
        if time.monotonic() - looked > INTERVAL:
            screens.append(html_lines(screen))
            looked = time.monotonic()
    if program.wait():
        raise SystemExit("\n".join(screen.display))
    return [*screens, html_lines(screen)]


def read(terminal: int) -> bytes:
    """Return what was printed; nothing after the program has ended."""
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux reports the end of a terminal as an error
        return b""


def html_lines(screen: pyte.Screen) -> list[str]:
    """Return the screen's lines as HTML, without the empty ones at the ends."""
    lines = []
    for row in range(screen.lines):
        characters = [screen.buffer[row][column] for column in range(screen.columns)]
        spans = groupby(characters, key=lambda character: (character.fg, character.bold))
        lines.append("".join(span(colour, bold, "".join(one.data for one in run)) for (colour, bold), run in spans).rstrip())
    filled = [number for number, text in enumerate(screen.display) if text.strip()]
    return lines[filled[0] : filled[-1] + 1] if filled else []


def span(colour: str, bold: bool, text: str) -> str:
    """Return text of one style as HTML."""
    if not text.strip():
        return text
    code = COLOURS.get(colour) or f"#{colour}"
    if len(code) != 7:
        code = COLOURS["default"]
    return f'<span style="color:{code}{";font-weight:bold" if bold else ""}">{html.escape(text)}</span>'


def picture_of_terminal(browser: Browser, typed: str, lines: list[str], name: str) -> None:
    """Save a picture of a terminal with the typed command and its output."""
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    text = "\n".join([span("default", True, f"$ {typed}"), "", *lines])
    style = f"background:{BACKGROUND};color:{COLOURS['default']};font:14px/1.35 'DejaVu Sans Mono',monospace;padding:16px"
    page.set_content(f'<body style="margin:0"><pre style="{style};margin:0;display:inline-block">{text}</pre>')
    save(page.locator("pre").screenshot(), name)
    page.close()


def pictures_of_report(browser: Browser, report: Path) -> None:
    """Save the top of a report with the digits of the most frequent error, and the details of one of these digits."""
    page = browser.new_page(viewport={"width": 1200, "height": 1270}, color_scheme="light")
    page.goto(report.as_uri())
    errors = page.locator("td.error button:visible")
    counts = [int(text.split()[0]) for text in errors.all_inner_texts()]
    errors.nth(counts.index(max(counts))).click()
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    save(page.screenshot(), "report")
    page.locator("#cell button.digit").first.click()
    page.mouse.move(0, 0)
    save(page.locator("#panel").screenshot(), "digit")
    page.close()


@contextmanager
def drawing_page(project: Path) -> Iterator[str]:
    """Serve the drawing page of the demo; yield its address."""
    words = [*command(project), "--demo", "draw"]
    program = subprocess.Popen(words, cwd=project, env=environment(project), stdout=subprocess.PIPE, text=True)
    try:
        yield next(word for line in program.stdout for word in line.split() if word.startswith("http"))
    finally:
        program.send_signal(signal.SIGINT)
        program.wait()


def picture_of_drawing(browser: Browser, address: str, digit: int = 3) -> None:
    """Save the drawing page with a digit drawn on it."""
    page = browser.new_page(viewport={"width": 900, "height": 620}, color_scheme="light")
    page.goto(address)
    page.wait_for_selector("#message", state="hidden")
    draw(page, digit)
    page.wait_for_function("document.getElementById('best').textContent !== ''")
    save(page.screenshot(), "draw")
    page.close()


def draw(page: Page, digit: int) -> None:
    """Draw a digit's strokes with the mouse."""
    box = page.locator("#paper").bounding_box()
    for stroke in STROKES[digit]:
        for number, (x, y) in enumerate(stroke):
            page.mouse.move(box["x"] + (0.15 + 0.7 * x) * box["width"], box["y"] + (0.1 + 0.7 * y) * box["height"])
            if number == 0:
                page.mouse.down()
        page.mouse.up()


def save(png: bytes, name: str) -> None:
    """Write a picture with 128 colours, which is small."""
    IMAGES.mkdir(exist_ok=True)
    path = IMAGES / f"{name}.png"
    Image.open(BytesIO(png)).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    if size > LIMIT:
        raise SystemExit(f"{path.name} has {size:,} bytes, more than {LIMIT:,}")
    print(f"{path.relative_to(ROOT)}: {size:,} bytes")


if __name__ == "__main__":
    main()
