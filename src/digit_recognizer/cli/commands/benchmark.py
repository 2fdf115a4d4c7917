"""bench: this project timed against the usual ways."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from digit_recognizer.cli.console import Table, make_console, spinner, table
from digit_recognizer.cli.parser import Command, Parser
from digit_recognizer.workspace import Workspace

if TYPE_CHECKING:
    from digit_recognizer.bench import Row


def bench(workspace: Workspace, full: bool = False) -> None:
    """Time this project against the usual ways on this machine."""
    from digit_recognizer import backend
    from digit_recognizer.bench import compare, workspace_with_data

    console = make_console()
    with spinner(console, "looking for data") as on_progress, workspace_with_data(workspace, console.print) as filled:
        rows = list(compare(filled, full, on_progress))
    console.print(benchmark_table(rows, backend.device()))


def benchmark_table(rows: Sequence["Row"], device: str) -> Table:
    """Return the benchmark's rows, ratios first."""
    return table(
        f"Benchmark on {device}: medians of repeated timings",
        ">ratio",
        "lowest to highest",
        "goal",
        "what",
        "this project",
        "the usual way",
        "limit",
        ">reached",
        rows=(
            (
                f"{row.ratio:.2f}",
                f"{min(row.ratios):.2f} to {max(row.ratios):.2f}",
                row.goal and f">= {row.goal:g}",
                row.what,
                row.ours,
                row.usual,
                row.limit,
                "" if row.reached is None else f"{row.reached:.0%}",
            )
            for row in rows
        ),
    )


def _add_options(parser: Parser) -> None:
    parser.add_argument("--full", action="store_true", help="also measure the time to given accuracies")


COMMANDS = (Command(bench, _add_options),)
