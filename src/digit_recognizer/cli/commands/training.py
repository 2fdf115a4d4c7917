"""train: cross-validation of one or several pipelines; board: its curves in TensorBoard."""

import contextlib
import statistics
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digit_recognizer import backend
from digit_recognizer.cli import parser, selection
from digit_recognizer.cli.console import Table, command_line, make_console, print_next, shown, spinner
from digit_recognizer.cli.index import update_index
from digit_recognizer.cli.parser import Command, Parser, UsageError
from digit_recognizer.cli.serving import LOOPBACK
from digit_recognizer.errors import UserError
from digit_recognizer.formatting import duration, interval
from digit_recognizer.workspace import Workspace, user_path

if TYPE_CHECKING:
    from digit_recognizer.runs.records import RunMetrics
    from digit_recognizer.training.cross_validation import Request
    from digit_recognizer.training.time_budget import FittedTraining, Measured


def train(
    workspace: Workspace,
    pipeline: str | None = None,
    run: str | None = None,
    folds: Sequence[int] | None = None,
    set: str | None = None,
    seeds: Sequence[int] | None = None,
    jobs: int | None = None,
    minutes: float | None = None,
    full: bool = False,
    force: bool = False,
    on: str | None = None,
) -> None:
    """Train or resume cross-validation."""
    if full and folds is not None:
        raise UsageError("FULL=1 trains on all rows, so FOLDS has no effect: leave one of them out")
    changes = changes_of(set, seeds)
    requests = requests_of(workspace, pipeline, run, changes, folds=folds, full=full, jobs=jobs, force=force)
    if on:
        requests = elsewhere(on, requests, workspace, minutes)
    elif minutes:
        requests = _fit_into(minutes, requests, workspace, {} if changes or full else _measured_curve(pipeline, workspace))
    partial = [train_run(request, workspace).partial for request in requests]
    chosen, steps = selection.options_of(pipeline, run), []
    if any(partial) and not full:
        rest = command_line(workspace, "train", pipeline=pipeline, run=run, set=set, seeds=seeds, minutes=minutes)
        steps.append((rest, "train the other folds"))
    steps += [
        (command_line(workspace, "report", **chosen), "wrong images, confusion matrix and curves"),
        (command_line(workspace, "ensemble", **chosen), "average the models into a submission"),
    ]
    print_next(make_console(), *steps)


def elsewhere(on: str, requests: list["Request"], workspace: Workspace, minutes: float | None) -> list["Request"]:
    """Return the requests with the workers of the place `on`, and with MINUTES in the length that fits there."""
    from digit_recognizer.cli.training_display import training_display
    from digit_recognizer.remote.places import workers_on

    workers = workers_on(on, requests)
    if minutes:
        if on != "kaggle":
            raise UsageError("MINUTES measures one machine, so it can't be used with a cluster: leave MINUTES or ON out")
        with training_display(make_console()) as on_event:
            requests = workers.fit(minutes, workspace, on_event)
    return [replace(request, elsewhere=workers) for request in requests]


def changes_of(settings: str | None, seeds: Sequence[int] | None) -> dict[str, Any]:
    """Return the changes that SET and SEEDS make to a pipeline."""
    from digit_recognizer.experiment import parse_settings

    changes = parse_settings(settings or "")
    if isinstance(file := changes.get("drop_rows"), str):
        from digit_recognizer.data.dropped_rows import read_dropped_rows

        changes["drop_rows"] = read_dropped_rows(user_path(file))
    if seeds and "seeds" in changes:
        raise UsageError("SEEDS and SET=seeds=... both set the seeds: leave one of them out")
    return changes | ({"seeds": tuple(seeds)} if seeds else {})


def requests_of(
    workspace: Workspace, pipeline: str | None, run: str | None, changes: dict[str, Any], **options: Any
) -> list["Request"]:
    """Return the requests for PIPELINE and RUN with `changes`; `options` are other fields of a request."""
    pipelines = selection.load_pipelines(pipeline, workspace, changes)
    if run and len(pipelines) > 1:
        raise UsageError(f"RUN={run} names one run, but this trains {len(pipelines)} pipelines: leave RUN out")
    names = [selection.check_new_name(run or loaded.name) for loaded in pipelines]
    if warning := selection.fold_warning(pipelines):
        make_console().print(f"warning: {warning}")

    from digit_recognizer.training.cross_validation import Request

    return [Request(pipeline=loaded, run=name, **options) for loaded, name in zip(pipelines, names, strict=True)]


def train_run(request: "Request", workspace: Workspace) -> "RunMetrics":
    """Train or resume one run, print its scores and return them."""
    from digit_recognizer.cli.training_display import training_display
    from digit_recognizer.training import cross_validation

    console = make_console()
    with training_display(console) as on_event:
        scores = cross_validation.train(request, workspace, on_event)
    console.print(training_summary(request.run, scores))
    update_index(workspace)
    return scores


def _fit_into(
    minutes: float, requests: list["Request"], workspace: Workspace, curve: Mapping[float, tuple[float, int]]
) -> list["Request"]:
    """Return the requests with epochs and seeds chosen so that training takes this time; print what was chosen."""
    from digit_recognizer.training import time_budget

    console = make_console()
    with spinner(console, "timing some steps on this machine"):
        fit = time_budget.fit_to_minutes(requests, minutes, workspace)
    for line in budget_lines(fit, time_budget.measured(curve, fit.factor)):
        console.print(line)
    return fit.requests


def _measured_curve(pipelines: str | None, workspace: Workspace) -> Mapping[float, tuple[float, int]]:
    """Return the rehearsed accuracies (`CURVE`) of a single pipeline; empty for several or for practice data."""
    from digit_recognizer.data.dataset import load_dataset
    from digit_recognizer.experiment import load

    references = selection.references(pipelines, workspace)
    return load(references[0], workspace).curve if len(references) == 1 and load_dataset(workspace).competition else {}


def training_summary(name: str, scores: "RunMetrics") -> Table:
    """Return the table of a run's scores (its metrics.json), which is printed after training."""
    rows = [(f"fold {fold}", f"{accuracy:.5f}") for fold, accuracy in zip(scores.folds_done, scores.fold_accuracy, strict=True)]
    if len(rows) > 1:
        mean, sd = statistics.mean(scores.fold_accuracy), statistics.stdev(scores.fold_accuracy)
        rows.append(("mean of folds", f"{mean:.5f}, sd {sd:.5f}"))
    if scores.accuracy:
        done = len(scores.folds_done)
        partial = f", {done} of {scores.folds} folds" if done < scores.folds else ""
        rows.append((f"out of fold{partial}", interval(scores.accuracy)))
    if scores.epoch_selected_on_fold:
        rows.append(("", "slightly optimistic: the best epoch was chosen on these folds"))
    if scores.published:
        rows.append(("published", scores.published))
    models = f"{scores.members} model{'s' if scores.members > 1 else ''}"
    cost = f"{scores.images_per_second:,} images/s and {scores.peak_memory / 1e9:.1f} GB per process"
    rows.append(("training time", f"{duration(scores.seconds)} of training in {models}; {cost}"))
    return Table(name, ["", "accuracy"], rows)


def budget_lines(fit: "FittedTraining", measured: "Measured | None") -> list[str]:
    """Return lines about the epochs and seeds that fit into the minutes, and the rehearsed accuracy of such a training."""
    lines = []
    for request in fit.requests:
        chosen = request.pipeline.experiment
        seeds = f", {len(chosen.seeds)} seeds" if len(chosen.seeds) > 1 else ""
        lines.append(f"{request.run}: {chosen.epochs} epochs of about {chosen.steps_per_epoch} steps{seeds}")
    if measured:
        length = f"{fit.factor:.2f} times the pipeline's own length; this was measured at {measured.factor:.2f} times"
        lines.append(f"expect {interval(measured.accuracy)} on Kaggle, rehearsed on {measured.images:,} images ({length})")
    time = f"about {duration(fit.seconds)} in all, timing included"
    return [*lines, f"resuming the training begun before: {time}" if fit.resumed else time]


def board(
    workspace: Workspace,
    pipeline: str | None = None,
    run: str | None = None,
    host: str | None = None,
    port: int | None = None,
) -> None:
    """Show the curves of trainings in TensorBoard."""
    folder = selection.select_run(pipeline, run, workspace).path if pipeline or run else workspace.runs
    if not folder.is_dir():
        raise UserError(f"there is no {shown(folder)} yet: `{command_line(workspace, 'train')}` makes a run")
    console = make_console()
    with backend.without_messages():
        address = _launch_tensorboard(folder, host or LOOPBACK, port)
        console.print(f"{address} (Ctrl-C ends it)")
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


def _launch_tensorboard(folder: Path, host: str, port: int | None) -> str:
    """Serve TensorBoard from another thread and return its address; without a port the first free one from 6006.

    Raises:
        UserError: TensorBoard is not installed, or it can't listen on that address.
    """
    try:
        from tensorboard import default, program
    except ImportError:
        raise UserError("TensorBoard is not installed: pip install tensorboard") from None
    server = program.TensorBoard(plugins=default.get_plugins())
    server.configure(logdir=str(folder), host=host, port=port)
    try:
        return server.launch()
    except program.TensorBoardServerException as error:
        raise UserError(f"TensorBoard: {str(error).strip().partition(chr(10))[0]}; set HOST and PORT") from None
    except SystemExit:  # its web server ends the program for an address that is not this machine's
        raise UserError(f"TensorBoard can't listen on {host}: set HOST to an address of this machine") from None


def _add_train_options(options: Parser) -> None:
    options.add_argument("--pipeline", metavar="NAMES", help="names or files of pipelines, such as 'fast mlp' (default: fast)")
    options.add_argument("--run", metavar="NAME", help="a name for the run (default: the pipeline's)")
    options.add_argument("--folds", type=parser.numbers, metavar="0,2", help="train only these folds")
    parser.add_training_options(options)
    options.add_argument("--full", action="store_true", help="train on all rows instead of on folds")
    options.add_argument("--force", action="store_true", help="start again: rename the old run and train a new one")
    parser.add_place(options)


def _add_board_options(options: Parser) -> None:
    parser.add_run_selection(options)
    parser.add_server(options)


COMMANDS = (Command(train, _add_train_options), Command(board, _add_board_options))
