"""Output of all commands: the console, a spinner, tables, and the next commands to type."""

import contextlib
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import rich.table
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from digit_recognizer.workspace import PROJECT_ROOT, Workspace

WIDTH_WITHOUT_TERMINAL = 200  # in a file or pipe no table is wrapped
INDENT = len("next: ")
GAP = 2  # spaces between a table's columns
WORDS = 30  # characters; a longer cell is text that may be wrapped


class _Console(Console):
    """A console that breaks text between words on a terminal, but never within a `command to copy`."""

    def print(self, *objects: Any, **options: Any) -> None:
        if self.is_terminal:
            objects = tuple(wrapped(item, self.width) if isinstance(item, str) else item for item in objects)
        super().print(*objects, **options)


def make_console() -> Console:
    """Return a console without markup and highlighting, which doesn't wrap lines in a file or pipe.

    A notebook is treated as a file, because its output cells can't update lines in place.
    """
    terminal = False if "JPY_PARENT_PID" in os.environ else None  # None: detect it
    console = _Console(markup=False, highlight=False, emoji=False, soft_wrap=True, force_terminal=terminal)
    if not console.is_terminal:
        console.width = WIDTH_WITHOUT_TERMINAL
    return console


def wrapped(text: str, width: int) -> str:
    """Return the text with line breaks between words and `commands` so that lines have at most `width` characters."""
    return "\n".join(_wrapped_line(line, width) for line in text.split("\n"))


def _wrapped_line(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    indent = re.match(" *", line)[0]
    lines = [indent]
    for word in re.findall(r"[^\s`]*`[^`]*`\S*|\S+", line):
        if lines[-1].strip() and len(lines[-1]) + len(word) > width:
            lines.append(indent or "  ")
        lines[-1] += f"{word} "
    return "\n".join(one.rstrip() for one in lines)


def shown(path: Path) -> str:
    """Return the path to show to the user: relative to the current folder if it is inside it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


@contextlib.contextmanager
def spinner(console: Console, text: str) -> Iterator[Callable[[str], None]]:
    """Yield a function that shows the current step: with a spinner on a terminal, else one line per step."""
    if console.is_terminal:
        with console.status(text, spinner="dots" if console.encoding.startswith("utf") else "line") as status:
            yield status.update
        return
    latest = text

    def show(text: str) -> None:
        nonlocal latest
        if text != latest:
            console.print(text)
        latest = text

    yield show


class Table:
    """A plain table that omits its least important columns if the terminal is too narrow.

    Args:
        columns: their names; a column whose name begins with `>` is right-aligned.
        rows: a cell that is None stays empty.
        dropped: columns that may be omitted, in this order.
    """

    def __init__(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], dropped: Sequence[str] = ()) -> None:
        self.title, self.columns, self.dropped = title, columns, dropped
        self.rows = [["" if cell is None else str(cell) for cell in row] for row in rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        names = [column.lstrip(">") for column in self.columns]
        places = list(range(len(names)))
        for name in self.dropped:
            if self._width(places) > options.max_width:
                places.remove(names.index(name))
        yield self._drawn(places)

    def _width(self, places: Sequence[int]) -> int:
        lines = [self.columns, *self.rows]
        widths = [max(len(line[place]) for line in lines) for place in places]
        return sum(min(width, WORDS) for width in widths) + GAP * (len(places) - 1)

    def _drawn(self, places: Sequence[int]) -> rich.table.Table:
        drawn = rich.table.Table(title=Text(self.title), title_justify="left", box=None, pad_edge=False, padding=(0, GAP, 0, 0))
        for place in places:
            column = self.columns[place]
            right = column.startswith(">")
            drawn.add_column(Text(column.lstrip(">")), justify="right" if right else "left", overflow="fold")
        for row in self.rows:
            drawn.add_row(*(Text(row[place]) for place in places))
        return drawn


def print_next(console: Console, *steps: tuple[str, str]) -> None:
    """Print the commands that the user may type next, each with a description."""
    width = max(len(command) for command, _ in steps)
    purpose_width = max(len(purpose) for _, purpose in steps)
    two_lines = console.is_terminal and INDENT + width + 2 + purpose_width > console.width
    for number, (command, purpose) in enumerate(steps):
        lead = f"{'' if number else 'next:':<{INDENT}}"
        if two_lines:  # a wrapped command could not be copied
            console.print(f"{lead}{purpose}:")
            console.print(Text(f"{' ' * INDENT}  {command}"))
        else:
            console.print(f"{lead}{command:<{width}}  {purpose}")


def command_line(workspace: Workspace, command: str, **options: Any) -> str:
    """Return the command line to type: with make if it runs this program, else with `digit-recognizer`.

    Args:
        options: values by option name; those that are None, "" or False are left out.
    """
    given = {name: value for name, value in options.items() if value not in (None, "", False)}
    default = Workspace.default().root
    demo = workspace.root == default / "demo"
    if _run_by_make() and (demo or workspace.root == default):
        words = [f"{name.upper()}={_quoted_for_make(value)}" for name, value in given.items()]
        return " ".join(["make", command, *words, *(["DEMO=1"] if demo else [])])
    words = [f"--{name}" if value is True else f"--{name}={shlex.quote(_text(value))}" for name, value in given.items()]
    where = ["--demo"] if demo else [] if workspace.root == default else [f"--workspace={shlex.quote(str(workspace.root))}"]
    return " ".join(["digit-recognizer", *where, command, *words])


def _run_by_make() -> bool:
    """Whether make, typed in the current folder, would run this program with this Python."""
    return Path.cwd() == PROJECT_ROOT and Path(sys.prefix) == PROJECT_ROOT / ".venv"


def _quoted_for_make(value: Any) -> str:
    return shlex.quote(_text(value).replace("$", "$$"))


def _text(value: Any) -> str:
    if value is True:
        return "1"
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
