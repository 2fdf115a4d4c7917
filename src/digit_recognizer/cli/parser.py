"""The options of the commands: how each is read, and the parser of `digit-recognizer`. Make's variables have the same names."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn


def numbers(text: str) -> list[int]:
    """Return `0,2` as whole numbers from 0, each once."""
    parts = text.replace(",", " ").split()
    if not parts or not all(part.isdecimal() and part.isascii() for part in parts) or len(set(map(int, parts))) < len(parts):
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of different whole numbers, as 0,2")
    return [int(part) for part in parts]


def count(text: str) -> int:
    """Return a whole number from 1."""
    if not (text.isdecimal() and text.isascii() and int(text)):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1")
    return int(text)


def duration(unit: str) -> Callable[[str], float]:
    """Return what reads a positive number of hours or minutes."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0 < value < 10_000:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number of {unit}, as 8 or 0.5")
        return value

    return read


OPTIONS: dict[str, dict[str, Any]] = {
    "source": {"help": "kaggle, bundled, mnist, fashion_mnist, or a file or folder (default: what is there, else kaggle)"},
    "pipeline": {"help": "one or several names or files, as 'a b' (default: fast)"},
    "run": {"help": "the run's name (default: the pipeline's)"},
    "folds": {"type": numbers, "help": "only these folds, as 0,2"},
    "set": {"help": "override settings, as 'epochs=2 augmentation.rotation=15'"},
    "seeds": {"type": numbers, "help": "seeds, as 0,1: a model for each seed and fold"},
    "jobs": {"type": count, "help": "models trained side by side (default: what fills the cores); each takes 1 to 2 GB"},
    "full": {"action": "store_true", "help": "train on all rows instead of folds; bench: also times to accuracies"},
    "force": {"action": "store_true", "help": "start anew: replace the data, or move the old run aside"},
    "minutes": {"type": duration("minutes"), "help": "choose epochs and seeds so that training takes this time"},
    "hours": {"type": duration("hours"), "help": "stop after this time"},
    "trials": {"type": count, "help": "stop at this many trials in total"},
    "workers": {"type": count, "help": "processes that search side by side (default: 1)"},
    "storage": {"help": "database of the study, as postgresql://... (default: OPTUNA_STORAGE, else a file in studies/)"},
    "images": {"help": "an image, several, a folder, or a CSV like test.csv"},
    "as-is": {"action": "store_true", "help": "only scale images, don't centre them as MNIST's (always so for other data)"},
    "file": {"type": Path, "help": "the submission (default: that of the pipeline or run)"},
    "message": {"help": "what Kaggle shows beside the submission"},
    "refresh": {"action": "store_true", "help": "ask Kaggle for scores that are still missing"},
    "submission": {"help": "its file, as submissions/fast.csv"},
    "first": {"help": "a run's name"},
    "second": {"help": "another's"},
    "retrain": {"action": "store_true", "help": "train all models again, from nothing"},
}


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, and takes no abbreviations."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def make_parser(commands: Sequence[tuple[Callable[..., None], str]]) -> Parser:
    """Return the parser of all commands.

    Args:
        commands: for each its function, whose name and docstring are the verb's, and its arguments: `--source --force`, or
            `name` for one that must be given.
    """
    parser = Parser("digit-recognizer", description="Kaggle's digit-recognizer competition, from data to score.")
    _add_common(parser, None, False)
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for command, arguments in commands:
        summary = (command.__doc__ or "").partition("\n")[0].rstrip(".")
        verb = verbs.add_parser(command.__name__, help=summary, description=f"{summary}.")
        verb.set_defaults(command=command)
        _add_common(verb, argparse.SUPPRESS, argparse.SUPPRESS)
        for argument in arguments.split():
            verb.add_argument(argument, **OPTIONS.get(argument.removeprefix("--"), {}))
    return parser


def _add_common(parser: Parser, workspace: Any, debug: Any) -> None:
    parser.add_argument(
        "--workspace", type=Path, default=workspace, help="folder of input/, runs/, ... (default: the project's)"
    )
    parser.add_argument("--debug", action="store_true", default=debug, help="show where an error comes from")
