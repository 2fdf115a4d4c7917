"""The argument parser of `digit-recognizer`: common options here, options of one command next to its function."""

import argparse
import difflib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from digit_recognizer.errors import UserError


class UsageError(UserError):
    """Options that can't be used together; the exit status is 2, as for a wrong option."""


class Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line and accepts no abbreviated options."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        if wrong := re.match(r"argument COMMAND: invalid choice: '(.*?)' \(choose from (.*)\)", message):
            close = difflib.get_close_matches(wrong[1], re.findall(r"[\w-]+", wrong[2]), n=1)
            message = f"there is no command '{wrong[1]}'{f'; did you mean {close[0]}?' if close else ''}"
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


class Command(NamedTuple):
    """A command: its function, whose name and docstring it has, and the function that adds its options to a parser.

    `function` takes the workspace and, by keyword, the value of each option.
    """

    function: Callable[..., None]
    add_options: Callable[[Parser], None]

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return (self.function.__doc__ or "").partition("\n")[0].rstrip(".")


def make_parser(commands: Iterable[Command]) -> Parser:
    """Return the parser of all commands; its result has `command`, `workspace`, `demo`, `debug` and the command's options."""
    parser = Parser("digit-recognizer", description="Kaggle's digit-recognizer competition, from data to score.")
    versions = "show the versions of this program, Python and the libraries"
    parser.add_argument("--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help=versions)
    _add_common_options(parser, workspace=None, demo=False, debug=False)
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in commands:
        verb = verbs.add_parser(command.name, help=command.summary, description=f"{command.summary}.")
        verb.set_defaults(command=command)
        command.add_options(verb)
        _add_common_options(verb, *[argparse.SUPPRESS] * 3)  # so that it doesn't overwrite an option before the command
    return parser


def _add_common_options(parser: Parser, workspace: Any, demo: Any, debug: Any) -> None:
    parser.add_argument(
        "--workspace",
        type=Path,
        metavar="DIR",
        default=workspace,
        help="the folder with input/, runs/, studies/ and submissions/ (default: the repository's root, or this folder)",
    )
    parser.add_argument("--demo", action="store_true", default=demo, help="use the data and the run of the command `demo`")
    parser.add_argument("--debug", action="store_true", default=debug, help="show the traceback of an error")


class _Version(argparse.Action):
    """Prints the versions, which are only determined if the option is given."""

    def __call__(self, parser: argparse.ArgumentParser, *arguments: Any) -> NoReturn:
        import importlib.metadata
        import platform

        from digit_recognizer.backend import library_versions
        from digit_recognizer.workspace import git_commit

        try:
            own = importlib.metadata.version("digit-recognizer")
        except importlib.metadata.PackageNotFoundError:  # run from its source without installation
            own = "from source"
        print(f"digit-recognizer {own} (commit {git_commit()}), Python {platform.python_version()}")
        print(", ".join(f"{name} {version}" for name, version in library_versions().items()))
        parser.exit()


# Types of options: each returns the value of an option's text, or raises ArgumentTypeError with a message for the user.


def numbers(text: str) -> list[int]:
    """Parse different whole numbers from 0, such as `0,2`."""
    parts = text.replace(",", " ").split()
    if not parts or not all(part.isdecimal() and part.isascii() for part in parts) or len(set(map(int, parts))) < len(parts):
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of different whole numbers, such as 0,2")
    return [int(part) for part in parts]


def count(text: str) -> int:
    """Parse a whole number from 1."""
    if not (text.isdecimal() and text.isascii() and int(text)):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1")
    return int(text)


def port(text: str) -> int:
    """Parse a port number."""
    if not (text.isdecimal() and text.isascii() and 1 <= int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"'{text}' is not a port from 1 to 65535")
    return int(text)


def positive(unit: str) -> Callable[[str], float]:
    """Return a function that parses a positive number of `unit` (hours or minutes)."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0 < value < 10_000:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number of {unit}, such as 8 or 0.5")
        return value

    return read


def place(text: str) -> str:
    """Check the name of a place to train."""
    if text not in ("kaggle", "ray") and not re.fullmatch(r"ray://[^\s/:]+:\d+", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not kaggle, ray or ray://HOST:10001")
    return text


def add_run_selection(parser: Parser) -> None:
    """Add --pipeline and --run, which name the runs that a command reads."""
    parser.add_argument("--pipeline", metavar="NAMES", help="the runs of these pipelines, such as 'fast mlp' (default: fast)")
    parser.add_argument("--run", metavar="NAMES", help="the runs of these names, if they differ from the pipelines' names")


def add_settings(parser: Parser) -> None:
    parser.add_argument("--set", metavar="SETTINGS", help="change settings, such as 'epochs=2 augmentation.rotation=15'")


def add_training_options(parser: Parser) -> None:
    """Add the options that change a training: --set, --seeds, --jobs and --minutes."""
    add_settings(parser)
    parser.add_argument("--seeds", type=numbers, metavar="0,1", help="train one model per seed and fold")
    parser.add_argument(
        "--jobs",
        type=count,
        metavar="N",
        help="models trained in parallel, 1 to 2 GB each (default: fills the cores)",
    )
    parser.add_argument(
        "--minutes",
        type=positive("minutes"),
        metavar="N",
        help="choose epochs and seeds so that training takes this time",
    )


def add_place(parser: Parser) -> None:
    parser.add_argument(
        "--on",
        type=place,
        metavar="PLACE",
        help="train elsewhere: kaggle (a private notebook with GPUs), ray (a Ray cluster) or ray://HOST:10001",
    )


def add_server(parser: Parser) -> None:
    parser.add_argument("--host", help="the address to listen on (default: this machine only)")
    parser.add_argument("--port", type=port, help="the port to listen on (default: a free one)")
