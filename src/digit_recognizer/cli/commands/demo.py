"""demo: all steps from data to score, with the bundled digits."""

from digit_recognizer.cli.commands.data import fetch_data
from digit_recognizer.cli.commands.runs import write_reports
from digit_recognizer.cli.commands.submission import submit_file, write_blend
from digit_recognizer.cli.commands.training import requests_of, train_run
from digit_recognizer.cli.console import command_line, make_console, print_next, shown
from digit_recognizer.cli.parser import Command, Parser
from digit_recognizer.cli.selection import DEMO, Selection
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.workspace import Workspace


def demo(workspace: Workspace, force: bool = False) -> None:
    """Run all steps on bundled digits, in demo/, in about two minutes."""
    inner, console = Workspace(workspace.root / DEMO), make_console()
    submission = inner.submissions / f"{DEMO}.csv"
    for command, options, step in (
        ("data", {"source": "bundled"}, lambda: fetch_data(inner, "bundled", False)),
        ("train", {"force": force}, lambda: train_run(*requests_of(inner, DEMO, None, {}, force=force), inner)),
        ("report", {}, lambda: write_reports(inner, [DEMO])),
        ("ensemble", {}, lambda: write_blend(inner, Selection([DEMO], DEMO))),
        ("submit", {}, lambda: submit_file(inner, submission, "")),
    ):
        console.print(f"\n$ {command_line(inner, command, **options)}")
        step()
    console.print()
    print_next(
        console,
        (command_line(inner, "draw"), "draw your own digit"),
        (shown(RunFolder.of(inner, DEMO).report), "the report, to open in a browser"),
        (command_line(workspace, "data"), "get Kaggle's data"),
    )


def _add_options(parser: Parser) -> None:
    parser.add_argument("--force", action="store_true", help="train again: rename the old run and train a new one")


COMMANDS = (Command(demo, _add_options),)
