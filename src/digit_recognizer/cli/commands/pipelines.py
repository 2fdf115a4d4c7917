"""pipelines: their list; settings: every field of an experiment."""

from digit_recognizer.cli.console import make_console, table
from digit_recognizer.cli.parser import Command
from digit_recognizer.workspace import Workspace


def pipelines(workspace: Workspace) -> None:
    """List the pipelines."""
    from digit_recognizer.experiment import available, summary_of

    rows = [(name, summary_of(file)) for name, file in available(workspace).items()]
    make_console().print(table("", "pipeline", "description", rows=rows))


COMMANDS = (Command(pipelines, lambda parser: None),)
