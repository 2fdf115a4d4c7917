"""tune: an Optuna study; dashboard: its charts in the browser."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from digit_recognizer.cli import parser, selection
from digit_recognizer.cli.console import Table, command_line, make_console, print_next, shown
from digit_recognizer.cli.index import update_index
from digit_recognizer.cli.parser import Command, Parser, UsageError
from digit_recognizer.errors import UserError
from digit_recognizer.formatting import duration, interval, setting
from digit_recognizer.workspace import Workspace

if TYPE_CHECKING:
    from digit_recognizer.tuning.summary import StudySummary


def tune(
    workspace: Workspace,
    pipeline: str | None = None,
    run: str | None = None,
    set: str | None = None,
    hours: float | None = None,
    trials: int | None = None,
    workers: int | None = None,
    storage: str | None = None,
    on: str | None = None,
) -> None:
    """Search for better settings of a pipeline, or resume the search."""
    from digit_recognizer.cli.study_display import study_display
    from digit_recognizer.experiment import load, parse_settings

    console, changes = make_console(), parse_settings(set or "")
    references = selection.references(pipeline, workspace)
    if len(references) > 1:
        raise UserError(f"PIPELINE={pipeline}: a study tunes one pipeline, not {len(references)}: name one")
    loaded = load(references[0], workspace, changes)
    name = selection.check_new_name(run or loaded.name)

    from digit_recognizer.remote.places import trial_workers_on
    from digit_recognizer.tuning import study

    request = study.StudyRequest(
        pipeline=loaded,
        name=name,
        hours=hours,
        trials=trials,
        workers=workers or 1,
        storage=_storage(storage),
        training=trial_workers_on(on) if on else None,
    )
    with study_display(console) as on_event:
        summary = study.tune(request, workspace, on_event)
    for line in study_lines(summary):
        console.print(line)
    update_index(workspace)
    if summary.interrupted:
        raise KeyboardInterrupt
    if summary.tuned:
        print_next(
            console, (command_line(workspace, "train", pipeline=summary.tuned.stem), "train all folds with the better settings")
        )


def dashboard(
    workspace: Workspace,
    pipeline: str | None = None,
    run: str | None = None,
    storage: str | None = None,
    host: str | None = None,
    port: int | None = None,
) -> None:
    """Show a study in the browser, with optuna-dashboard."""
    from digit_recognizer.cli.serving import serve
    from digit_recognizer.tuning.dashboard import dashboard_server

    if pipeline and run:
        raise UsageError("RUN names the study, so PIPELINE has no effect: leave one of them out")
    if storage and (pipeline or run):
        raise UsageError("STORAGE shows all studies of the database, so PIPELINE and RUN have no effect: leave them out")
    name = run or selection.only(selection.select_runs(pipeline, None, workspace).runs)
    make_server = dashboard_server(selection.check_name(name), workspace, _storage(storage))
    serve(make_server, host, port, 8080, lambda address: make_console().print(f"{address} (Ctrl-C ends it)"))


def _storage(given: str | None) -> str | None:
    return given or os.environ.get("OPTUNA_STORAGE") or None


def study_lines(summary: "StudySummary") -> Iterator[str | Table]:
    yield (
        f"study {summary.name}: {summary.trials} trials, {len(summary.complete)} complete, {summary.pruned} pruned, "
        f"{len(summary.failed)} failed, in {duration(summary.seconds)}"
    )
    best = summary.complete[:5]
    rows = ((trial.number, f"{trial.log_loss:.5f}", interval(trial.accuracy), _settings(trial.changes)) for trial in best)
    yield Table("The best trials", [">trial", ">log loss", "accuracy (95 %)", "settings"], rows)
    yield summary.conclusion
    if summary.report:
        yield f"report: {shown(summary.report)}"
    if summary.tuned:
        yield f"pipeline: {shown(summary.tuned)}"


def _settings(changes: dict[str, Any]) -> str:
    return " ".join(f"{name}={setting(value)}" for name, value in changes.items())


def _add_tune_options(options: Parser) -> None:
    options.add_argument("--pipeline", metavar="NAME", help="the pipeline's name or file (default: fast)")
    options.add_argument("--run", metavar="NAME", help="a name for the study (default: the pipeline's)")
    parser.add_settings(options)
    options.add_argument("--hours", type=parser.positive("hours"), metavar="N", help="stop after this time")
    options.add_argument("--trials", type=parser.count, metavar="N", help="stop at this number of trials in total")
    options.add_argument("--workers", type=parser.count, metavar="N", help="trials run in parallel (default: 1)")
    _add_storage(options)
    parser.add_place(options)


def _add_dashboard_options(options: Parser) -> None:
    options.add_argument("--pipeline", metavar="NAME", help="the study of this pipeline (default: fast)")
    options.add_argument("--run", metavar="NAME", help="the study of this name")
    _add_storage(options)
    parser.add_server(options)


def _add_storage(options: Parser) -> None:
    options.add_argument(
        "--storage",
        metavar="URL",
        help="the study's database, such as postgresql://user@host/name (default: OPTUNA_STORAGE, else a file in studies/)",
    )


COMMANDS = (Command(tune, _add_tune_options), Command(dashboard, _add_dashboard_options))
