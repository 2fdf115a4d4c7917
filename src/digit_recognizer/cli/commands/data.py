"""data: download or copy the competition's files, or other data, to input/."""

from digit_recognizer.cli.console import command_line, make_console, print_next, spinner
from digit_recognizer.cli.parser import Command, Parser
from digit_recognizer.workspace import Workspace


def data(workspace: Workspace, source: str | None = None, force: bool = False) -> None:
    """Download the data to input/ and check it."""
    fetch_data(workspace, source, force)
    print_next(make_console(), (command_line(workspace, "train"), "train the default pipeline"))


def fetch_data(workspace: Workspace, source: str | None, force: bool) -> None:
    """Fetch the data of `source` to input/ and print a summary."""
    from digit_recognizer.data import sources

    console = make_console()
    with spinner(console, "checking input/") as on_progress:
        report = sources.fetch(source, workspace, force=force, on_progress=on_progress)
    console.print(report.summary)
    for note in report.notes:
        console.print(note)
    if report.warning:
        console.print(f"warning: {report.warning}")


def _add_options(parser: Parser) -> None:
    parser.add_argument(
        "--source", help="kaggle, bundled, mnist, fashion_mnist, or a file or folder (default: the data in input/, else kaggle)"
    )
    parser.add_argument("--force", action="store_true", help="replace other data in input/")


COMMANDS = (Command(data, _add_options),)
