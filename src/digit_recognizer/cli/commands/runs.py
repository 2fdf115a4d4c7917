"""Commands that read runs: report, compare, evaluate."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from digit_recognizer.cli import selection
from digit_recognizer.cli.console import Table, command_line, make_console, print_next, shown, spinner
from digit_recognizer.cli.index import update_index
from digit_recognizer.cli.parser import Command, Parser, UsageError, add_run_selection
from digit_recognizer.errors import UserError
from digit_recognizer.formatting import interval, winner
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.workspace import Workspace

if TYPE_CHECKING:
    from digit_recognizer.runs.evaluation import Evaluation


def report(workspace: Workspace, pipeline: str | None = None, run: str | None = None, all: bool = False) -> None:
    """Write runs/<run>/report.html, a comparison of several runs, and the list of all runs."""
    if all:
        if pipeline or run:
            raise UsageError("ALL=1 means all runs, so PIPELINE and RUN have no effect: leave ALL or the others out")
        _write_all_reports(workspace)
        return
    write_reports(workspace, selection.select_runs(pipeline, run, workspace).runs)
    chosen = selection.options_of(pipeline, run)
    print_next(make_console(), (command_line(workspace, "ensemble", **chosen), "average the models into a submission"))


def _write_all_reports(workspace: Workspace) -> None:
    from digit_recognizer.data.dataset import load_dataset
    from digit_recognizer.report import write_report
    from digit_recognizer.runs.status import run_statuses

    console, dataset = make_console(), load_dataset(workspace)
    for status in run_statuses(workspace, {}):
        try:
            with spinner(console, f"report of {status.name}"):
                page = write_report(RunFolder.of(workspace, status.name), dataset)
            console.print(f"report: {shown(page)}")
        except UserError as error:
            console.print(f"no report of {status.name}: {error}")
    _print_index(workspace)


def _print_index(workspace: Workspace) -> None:
    if index := update_index(workspace):
        make_console().print(f"all runs: {shown(index)}")


def write_reports(workspace: Workspace, names: Sequence[str]) -> None:
    """Write the report of each run, and a comparison if there are several; print their paths."""
    from digit_recognizer.data.dataset import load_dataset
    from digit_recognizer.report import write_comparison, write_report

    console, dataset = make_console(), load_dataset(workspace)
    folders = [RunFolder.of(workspace, name) for name in names]
    for folder in folders:
        with spinner(console, f"report of {folder.name}"):
            page = write_report(folder, dataset)
        console.print(f"report: {shown(page)}")
    if len(folders) > 1:
        page = workspace.runs / f"{'+'.join(names)}.html"
        console.print(f"comparison: {shown(write_comparison(folders, dataset, page))}")
    _print_index(workspace)


def compare(
    workspace: Workspace,
    runs: Sequence[str] = (),
    pipeline: str | None = None,
    run: str | None = None,
    rehearsed: bool = False,
) -> None:
    """Compare two runs image by image and list the settings in which they differ."""
    from digit_recognizer.experiment import differences
    from digit_recognizer.runs.comparison import compare_runs
    from digit_recognizer.runs.records import read_run_record

    if (runs or rehearsed) and (pipeline or run):
        raise UsageError("the runs are named without PIPELINE and RUN, which have no effect: leave them out")
    if rehearsed:
        _compare_rehearsed(workspace, runs)
        return
    names = list(runs) or selection.select_runs(pipeline, run, workspace).runs
    if len(names) != 2:
        raise UsageError(f'this compares two runs, not {len(names)}: name them with RUN="a b"')
    console, (first, second) = make_console(), map(selection.check_name, names)
    console.print(winner(first, second, compare_runs(first, second, workspace)))
    before, after = (read_run_record(RunFolder.of(workspace, name)).settings for name in (first, second))
    changed = differences(before, after)
    console.print(f"settings, {first} -> {second}:" if changed else "their settings are the same")
    for line in changed:
        console.print(f"  {line}")


def _compare_rehearsed(workspace: Workspace, names: Sequence[str]) -> None:
    from digit_recognizer.rehearsal.comparison import compare_rehearsed
    from digit_recognizer.rehearsal.parts import PARTS

    if len(names) != 2:
        raise UsageError("--rehearsed compares two submissions: name both, such as `compare --rehearsed fast mlp`")
    first, second = names
    found = compare_rehearsed(first, second, workspace)
    result = winner(first, second, found.comparison)
    make_console().print(f"rehearsed on {len(found.parts)} of {PARTS} parts: {result}")


def evaluate(workspace: Workspace, pipeline: str | None = None, run: str | None = None) -> None:
    """Score the saved models on the test labels, if these are public."""
    from digit_recognizer.runs.evaluation import evaluate_run

    for name in selection.select_runs(pipeline, run, workspace).runs:
        make_console().print(evaluation_table(name, evaluate_run(RunFolder.of(workspace, name), workspace)))


def evaluation_table(name: str, evaluation: "Evaluation") -> Table:
    """Return a table of accuracies on the test labels: of each model and of their mean probabilities."""
    rows = [(f"model {number}", interval(one)) for number, one in enumerate(evaluation.models, 1)]
    return Table(f"{name} on the test labels", ["", "accuracy (95 %)"], [*rows, ("their mean", interval(evaluation.mean))])


def _add_compare_options(parser: Parser) -> None:
    parser.add_argument(
        "--rehearsed",
        action="store_true",
        help="compare two rehearsed submissions; 'a+b@stacking' blends the runs of a+b by that method",
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="two runs; or name them with --run or --pipeline")
    add_run_selection(parser)


def _add_report_options(parser: Parser) -> None:
    add_run_selection(parser)
    parser.add_argument("--all", action="store_true", help="write the reports of all runs")


COMMANDS = (Command(report, _add_report_options), Command(compare, _add_compare_options), Command(evaluate, add_run_selection))
