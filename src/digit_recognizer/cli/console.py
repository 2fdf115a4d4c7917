"""What all commands print with: the console, a spinner, tables, and the next commands to type."""

import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from digit_recognizer.workspace import PROJECT_ROOT, Workspace

WIDTH_WITHOUT_TERMINAL = 200  # in a file or pipe no table is wrapped


def make_console() -> Console:
    """Return a console that prints text as it is: no markup, no highlighting, no line breaks of its own."""
    in_notebook = "JPY_PARENT_PID" in os.environ  # its cells give a command a terminal, but show no redrawn lines
    console = Console(markup=False, highlight=False, emoji=False, soft_wrap=True, force_terminal=False if in_notebook else None)
    if not console.is_terminal:
        console.width = WIDTH_WITHOUT_TERMINAL
    return console


@contextlib.contextmanager
def spinner(console: Console, text: str) -> Iterator[Callable[[str], None]]:
    """Yield a function that shows what is being done: beside a spinner on a terminal, else one line for each change."""
    if console.is_terminal:
        with console.status(text, spinner="dots" if console.encoding.startswith("utf") else "line") as status:
            yield status.update
        return
    shown = text

    def show(text: str) -> None:
        nonlocal shown
        if text != shown:
            console.print(text)
        shown = text

    yield show


@contextlib.contextmanager
def without_stderr() -> Iterator[None]:
    """Discard what libraries write to standard error, past Python too, until the block ends."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def table(title: str, *columns: str, rows: Iterable[Sequence[Any]]) -> Table:
    """Return a plain table; columns whose name begins with `>` are aligned to the right."""
    result = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        right = column.startswith(">")
        result.add_column(Text(column.lstrip(">")), justify="right" if right else "left", overflow="fold")
    for row in rows:
        result.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    return result


def print_next(console: Console, *steps: tuple[str, str]) -> None:
    """Print the commands that a person may type next, each with what it does."""
    width = max(len(command) for command, _ in steps)
    for number, (command, purpose) in enumerate(steps):
        console.print(f"{'' if number else 'next:':<5} {command:<{width}}  {purpose}")


def command_line(workspace: Workspace, command: str, **options: Any) -> str:
    """Return what a person types for a command: with make where that runs this program, else `digit-recognizer`.

    Args:
        options: values by option name; those that are None, "" or False are left out.
    """
    given = {name: value for name, value in options.items() if value not in (None, "", False)}
    default = Workspace.default().root
    demo = workspace.root == default / "demo"
    if demo and given.get("pipeline") == "demo":
        del given["pipeline"]
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
