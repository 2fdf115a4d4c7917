"""status: lists of all runs, studies and submissions."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from digit_recognizer.cli.commands.submission import print_submissions
from digit_recognizer.cli.console import Table, command_line, make_console, shown
from digit_recognizer.cli.parser import Command, add_run_selection
from digit_recognizer.cli.selection import DEMO, select_runs
from digit_recognizer.formatting import decimals, duration, interval
from digit_recognizer.workspace import Workspace

if TYPE_CHECKING:
    from digit_recognizer.remote.pushed import PushedStatus
    from digit_recognizer.runs.status import RunStatus
    from digit_recognizer.tuning.overview import StudyStatus


def status(workspace: Workspace, pipeline: str | None = None, run: str | None = None) -> None:
    """List the runs, studies and submissions."""
    from digit_recognizer.rehearsal.rehearse import rehearsed_accuracies
    from digit_recognizer.remote.pushed import pushed_statuses
    from digit_recognizer.runs.folder import RunFolder
    from digit_recognizer.runs.records import read_run_record
    from digit_recognizer.runs.status import run_statuses
    from digit_recognizer.submission.ledger import best_scores_by_run
    from digit_recognizer.tuning.overview import study_statuses

    console, runs = make_console(), run_statuses(workspace, best_scores_by_run(workspace))
    rehearsed = rehearsed_accuracies(workspace, [one.name for one in runs])
    if pipeline or run:
        names = select_runs(pipeline, run, workspace).runs
        for name in names:
            if name not in {one.name for one in runs}:
                read_run_record(RunFolder.of(workspace, name))  # raises the error that tells why
        console.print(runs_table([one for one in runs if one.name in names], rehearsed))
        return
    train = command_line(workspace, "train")
    console.print(runs_table(runs, rehearsed) if runs else f"no runs in {shown(workspace.runs)} yet: `{train}`")
    demo = Workspace(workspace.root / DEMO)
    if demo.run(DEMO).exists():
        console.print(f"the demo's run: `{command_line(demo, 'status')}`")
    if notebooks := pushed_statuses(workspace):
        console.print(notebooks_table(notebooks))
    if studies := study_statuses(workspace):
        console.print(studies_table(studies))
    print_submissions(workspace)


def runs_table(runs: Sequence["RunStatus"], rehearsed: Mapping[str, float]) -> Table:
    """Return runs as a table; `rehearsed` are the rehearsed accuracies by run name."""
    columns = ("run", "OOF accuracy (95 %)", ">folds", ">models", ">training", ">age", ">rehearsed", ">score", "data")
    rows = (
        (
            run.name if run.pipeline in ("", run.name) else f"{run.name} ({run.pipeline})",
            run.problem or (interval(run.accuracy) if run.accuracy else _unfinished(run)),
            f"{run.folds_done}/{run.folds}",
            run.members,
            duration(run.seconds) if run.seconds else "",
            "now" if run.training else duration(run.age),
            decimals(rehearsed.get(run.name)),
            decimals(run.score),
            run.source,
        )
        for run in runs
    )
    return Table("Runs", columns, rows, dropped=("data", "training", "score", "age", "models"))


def _unfinished(run: "RunStatus") -> str:
    return "training now" if run.training else "not finished"


def notebooks_table(notebooks: Sequence["PushedStatus"]) -> Table:
    rows = ((" ".join(one.pushed.runs), one.state, duration(one.pushed.age), one.pushed.notebook.page) for one in notebooks)
    return Table("On Kaggle", ["runs", "state", ">age", "notebook"], rows, dropped=["notebook", "age"])


def studies_table(studies: Sequence["StudyStatus"]) -> Table:
    """Return studies as a table; the best trial's figures are those of the search, so slightly optimistic."""
    rows = (
        (
            study.name,
            study.problem or (interval(study.accuracy) if study.accuracy else ""),
            decimals(study.log_loss),
            f"{study.complete}/{study.trials}",
            duration(study.age),
        )
        for study in studies
    )
    columns = ("study", "best OOF accuracy (95 %)", ">log loss", ">complete/trials", ">age")
    return Table("Studies", columns, rows, dropped=("age", "complete/trials"))


COMMANDS = (Command(status, add_run_selection),)
