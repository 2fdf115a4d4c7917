"""pipelines: their list; settings: every field of a pipeline's experiment."""

from typing import Any

from digit_recognizer.cli.console import Table, command_line, make_console, print_next
from digit_recognizer.cli.parser import Command, Parser, UsageError
from digit_recognizer.cli.selection import only, references
from digit_recognizer.workspace import Workspace

WIDTH_OF_TABLE = 140  # characters of a terminal on which the table of settings can be read


def pipelines(workspace: Workspace) -> None:
    """List the pipelines."""
    from digit_recognizer.experiment import available, summary_of

    rows = [(name, summary_of(file)) for name, file in available(workspace).items()]
    console = make_console()
    console.print(Table("", ["pipeline", "description"], rows))
    print_next(console, (command_line(workspace, "train", pipeline="small_cnn"), "train another pipeline than `fast`"))


def settings(workspace: Workspace, name: str | None = None, pipeline: str | None = None) -> None:
    """List every setting with its type, default, meaning and a pipeline's value."""
    from digit_recognizer.experiment import load
    from digit_recognizer.experiment.documentation import describe_settings

    if name and pipeline and name != pipeline:
        raise UsageError(f"PIPELINE is given twice, as {name} and as {pipeline}")
    loaded = load(only(references(name or pipeline, workspace)), workspace)
    console, listed = make_console(), describe_settings(loaded.experiment)
    if console.width < WIDTH_OF_TABLE:
        for setting in listed:
            facts = f"{setting.name} = {_text(setting.value)}  ({setting.type}, default {_text(setting.default)})"
            console.print(facts, f"    {setting.meaning}", sep="\n", soft_wrap=False)
    else:
        rows = ((one.name, one.type, _text(one.default), _text(one.value), one.meaning) for one in listed)
        console.print(Table("", ["setting", "type", "default", loaded.name, "meaning"], rows))
    change = command_line(workspace, "train", pipeline=name or pipeline, run="try", set="epochs=2 augmentation.rotation=15")
    print_next(console, (change, "change settings for one run"))


def _text(value: Any) -> str:
    return "-" if value in (None, "", (), [], {}) else str(value)


def _add_settings_options(parser: Parser) -> None:
    parser.add_argument("name", nargs="?", metavar="PIPELINE", help="the pipeline's name or file (default: fast)")
    parser.add_argument("--pipeline", metavar="NAME", help="the same")


COMMANDS = (Command(pipelines, lambda parser: None), Command(settings, _add_settings_options))
