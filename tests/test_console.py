"""Console output: wrapped text, tables that fit the terminal, the next commands to type."""

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from digit_recognizer.cli import console
from digit_recognizer.cli.console import Table, command_line, print_next, wrapped
from digit_recognizer.workspace import PROJECT_ROOT, Workspace

HERE = Workspace(PROJECT_ROOT)


def printed(item, width):
    out = Console(file=io.StringIO(), width=width)
    out.print(item)
    return [line.rstrip() for line in out.file.getvalue().splitlines()]


def test_text_is_wrapped_between_words_but_not_within_a_command():
    text = "there is no run yet: `make train PIPELINE=fast` makes one"
    assert wrapped(text, 80) == text
    lines = wrapped(text, 30).splitlines()
    assert lines == ["there is no run yet:", "  `make train PIPELINE=fast`", "  makes one"]


def test_narrow_table_omits_columns_in_order_and_splits_no_word():
    runs = Table("", ["run", ">models", "data"], [("tutorial_cnn", 5, "bundled")], dropped=["data", "models"])
    assert printed(runs, 40)[1] == "tutorial_cnn       5  bundled"
    assert printed(runs, 25)[1] == "tutorial_cnn       5"
    assert printed(runs, 15)[1] == "tutorial_cnn"


def test_long_text_in_a_table_is_wrapped_between_words():
    listed = Table("", ["name", "description"], [("fast", "a lean network for two CPU cores: the default")])
    assert printed(listed, 40)[1:] == ["fast  a lean network for two CPU cores:", "      the default"]


@pytest.fixture
def by_make(monkeypatch):
    """Run as by make: from the repository's root, with its Python."""
    monkeypatch.chdir(PROJECT_ROOT)
    monkeypatch.setattr(sys, "prefix", str(PROJECT_ROOT / ".venv"))


def test_command_is_shown_for_make_where_make_runs_it(by_make):
    assert command_line(HERE, "report") == "make report"
    assert command_line(HERE, "report", run="a b", pipeline=None) == "make report RUN='a b'"
    assert command_line(HERE, "train", seeds=[0, 1], full=True, set="a=$b") == "make train SEEDS=0,1 FULL=1 SET='a=$$b'"
    assert command_line(Workspace(HERE.root / "demo"), "draw") == "make draw DEMO=1"
    assert command_line(Workspace(Path("/x y")), "draw") == "digit-recognizer --workspace='/x y' draw"


def test_command_is_shown_as_digit_recognizer_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command_line(HERE, "report", run="a b") == "digit-recognizer report --run='a b'"
    assert command_line(HERE, "train", seeds=[0, 1], full=True) == "digit-recognizer train --seeds=0,1 --full"
    assert command_line(Workspace(HERE.root / "demo"), "draw") == "digit-recognizer --demo draw"


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (80, ["next: make report PIPELINE=fast  wrong images and curves", "      make ensemble              the submission"]),
        (50, ["next: wrong images and curves:", "        make report PIPELINE=fast"]),
    ],
)
def test_next_commands_are_not_wrapped_on_a_narrow_terminal(width, lines):
    out = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, soft_wrap=True)
    print_next(out, ("make report PIPELINE=fast", "wrong images and curves"), ("make ensemble", "the submission"))
    assert out.file.getvalue().splitlines()[:2] == lines


def test_without_a_terminal_nothing_is_wrapped(capsys):
    console.make_console().print("word " * 100)
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize("in_notebook", [False, True])
def test_a_notebook_is_not_a_terminal(in_notebook, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    if in_notebook:
        monkeypatch.setenv("JPY_PARENT_PID", "1")  # set by Jupyter for the commands of a cell
    assert console.make_console().is_terminal is not in_notebook
