"""rehearse: the score of a submission on mock test sets cut from train.csv."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from digit_recognizer.cli import parser, selection
from digit_recognizer.cli.commands.training import changes_of, elsewhere, requests_of
from digit_recognizer.cli.console import Table, command_line, make_console, print_next
from digit_recognizer.cli.index import update_index
from digit_recognizer.cli.parser import Command, Parser, UsageError
from digit_recognizer.errors import UserError
from digit_recognizer.formatting import duration, interval
from digit_recognizer.workspace import Workspace

if TYPE_CHECKING:
    from digit_recognizer.rehearsal.results import PartResult, Rehearsed

NOT_REHEARSED = "not rehearsed: out-of-fold accuracy judges single models; the average that is submitted mostly scores higher"


def rehearse(
    workspace: Workspace,
    pipeline: str | None = None,
    run: str | None = None,
    parts: Sequence[int] | None = None,
    set: str | None = None,
    seeds: Sequence[int] | None = None,
    jobs: int | None = None,
    minutes: float | None = None,
    on: str | None = None,
) -> None:
    """Train, ensemble and score on mock test sets cut from train.csv."""
    from digit_recognizer.rehearsal.parts import PARTS, check_parts

    parts = [0] if parts is None else parts
    check_parts(parts)
    requests = requests_of(workspace, pipeline, run, changes_of(set, seeds), jobs=jobs)
    if any(request.pipeline.experiment.drop_rows for request in requests):
        raise UserError("drop_rows are rows of train.csv, and a part of a rehearsal has other rows: rehearse without drop_rows")
    if on and minutes:
        raise UsageError("MINUTES measures this machine, so a rehearsal can't have it with ON: leave one of them out")
    if on:
        requests = elsewhere(on, requests, workspace, None)
    name = run or selection.blend_name(pipeline, workspace)

    from digit_recognizer.cli.training_display import training_display
    from digit_recognizer.rehearsal.rehearse import rehearse_part

    console, results = make_console(), []
    for part in parts:
        console.print(f"part {part} of {PARTS}")
        with training_display(console) as on_event:
            results.append(rehearse_part(requests, name, part, workspace, minutes=minutes, on_event=on_event))
    console.print(rehearsal_table(name, results))
    update_index(workspace)
    chosen = selection.options_of(pipeline, run)
    if missing := [part for part in range(PARTS) if part not in parts]:
        more = command_line(workspace, "rehearse", **chosen, parts=",".join(map(str, missing)))
        print_next(console, (more, "rehearse the other parts, for a narrower interval"))


def rehearsal_table(name: str, results: Sequence["PartResult"]) -> Table:
    """Return a table of parts; the last row is all of them together."""
    from digit_recognizer.rehearsal.results import together

    rows = [
        (f"part {one.part}", f"{one.right:,} of {one.n:,}", interval(one.accuracy), f"{one.oof:.5f}", duration(one.seconds))
        for one in results
    ]
    if len(results) > 1:
        total, oof = together(results), sum(one.oof for one in results) / len(results)
        seconds = duration(sum(one.seconds for one in results))
        rows.append(("together", f"{total.right:,} of {total.n:,}", interval(total.accuracy), f"{oof:.5f}", seconds))
    return Table(name, ["", ">right", "rehearsed accuracy (95 %)", ">out of fold", ">training"], rows)


def expectation_line(expected: "Rehearsed | None") -> str:
    """Return a line with the score to expect on Kaggle; empty if the submission was not rehearsed."""
    from digit_recognizer.rehearsal.parts import PARTS

    if expected is None:
        return ""
    return f"expect {interval(expected.accuracy)} on Kaggle, rehearsed on {expected.parts} of {PARTS} parts"


def _add_options(options: Parser) -> None:
    options.add_argument("--pipeline", metavar="NAMES", help="names or files of pipelines, such as 'fast mlp' (default: fast)")
    options.add_argument("--run", metavar="NAME", help="a name for the run (default: the pipeline's)")
    options.add_argument("--parts", type=parser.numbers, metavar="0,1", help="which of the six parts to rehearse (default: 0)")
    parser.add_training_options(options)
    parser.add_place(options)


COMMANDS = (Command(rehearse, _add_options),)
