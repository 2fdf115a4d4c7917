"""The commands of `digit-recognizer`: each calls functions of other rooms and prints what they return.

    digit-recognizer [--workspace DIR] [--debug] VERB [options]

Whatever takes time to import is imported where it is used, so that `--help` and a wrong option answer at once.
"""

import errno
import os
import subprocess
import sys
import traceback
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from digit_recognizer.cli import selection
from digit_recognizer.cli.console import make_console, spinner
from digit_recognizer.cli.parser import make_parser
from digit_recognizer.errors import UserError
from digit_recognizer.workspace import Workspace

# What a disk answers for which the person can do something: full, over quota, read-only, no rights.
OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 for an error, 2 for wrong usage, 130 for Ctrl-C."""
    arguments = make_parser(COMMANDS).parse_args(argv)
    workspace = Workspace(arguments.workspace.expanduser().resolve()) if arguments.workspace else Workspace.default()
    try:
        arguments.command(arguments, workspace)
    except KeyboardInterrupt:
        return _complain("stopped: what is finished is kept, and the same command goes on from there", 130)
    except Exception as error:
        if arguments.debug:
            traceback.print_exc()
        if isinstance(error, UserError):
            return _complain(str(error), 1)
        if isinstance(error, OSError) and error.errno in OF_THE_DISK:
            return _complain(f"{error.filename or 'writing failed'}: {error.strerror}", 1)
        said = " ".join(str(error).split())
        return _complain(f"unexpected {type(error).__name__}: {said} (with --debug: where)", 1)
    return 0


def _complain(message: str, status: int) -> int:
    print(f"digit-recognizer: {message}", file=sys.stderr)
    return status


def data(arguments: Namespace, workspace: Workspace) -> None:
    """Bring the data to input/, checked."""
    from digit_recognizer.data import sources

    console = make_console()
    with spinner(console, "looking at what is there") as say:
        report = sources.fetch(arguments.source, workspace, force=arguments.force, on_progress=say)
    console.print(report.summary)
    if report.warning:
        console.print(f"warning: {report.warning}")


def train(arguments: Namespace, workspace: Workspace) -> None:
    """Train pipelines' folds, or go on where that stopped."""
    from digit_recognizer.experiment import parse_settings

    console, changes = make_console(), parse_settings(arguments.set or "")
    if arguments.seeds:
        changes["seeds"] = tuple(arguments.seeds)
    pipelines = selection.load_pipelines(arguments.pipeline, workspace, changes)
    if arguments.run and len(pipelines) > 1:
        raise UserError(f"RUN={arguments.run} names one run, but this trains {len(pipelines)} pipelines: leave RUN out")
    if warning := selection.fold_warning(pipelines):
        console.print(f"warning: {warning}")

    from digit_recognizer.cli.console import budget_lines, training_summary
    from digit_recognizer.cli.training_display import training_display
    from digit_recognizer.training import cross_validation, time_budget

    requests = [
        cross_validation.Request(
            pipeline=pipeline,
            changes=changes,
            run=selection.check_run_name(arguments.run or pipeline.name),
            folds=arguments.folds,
            full=arguments.full,
            jobs=arguments.jobs,
            force=arguments.force,
        )
        for pipeline in pipelines
    ]
    if arguments.minutes:
        with spinner(console, "timing some steps on this machine"):
            fit = time_budget.fit(requests, arguments.minutes, workspace)
        curve = {} if changes or arguments.full else _measured_curve(arguments.pipeline, workspace)
        for line in budget_lines(fit, time_budget.measured(curve, fit.factor)):
            console.print(line)
        requests = fit.requests
    for request in requests:
        with training_display(console) as on_event:
            scores = cross_validation.train(request, workspace, on_event)
        console.print(training_summary(request.run, scores))


def _measured_curve(pipelines: str | None, workspace: Workspace) -> Mapping[float, tuple[float, int]]:
    """What one pipeline was measured to reach on the competition's data; nothing for several, or for other data."""
    from digit_recognizer.data.dataset import load_dataset
    from digit_recognizer.experiment import load

    references = selection.words(pipelines or selection.DEFAULT)
    return load(references[0], workspace).curve if len(references) == 1 and load_dataset(workspace).competition else {}


def report(arguments: Namespace, workspace: Workspace) -> None:
    """Write the report of each run, and a comparison where there are several."""
    from digit_recognizer.data.dataset import load_dataset
    from digit_recognizer.report import write_comparison, write_report

    selected, dataset = selection.select_runs(arguments.pipeline, arguments.run, workspace), load_dataset(workspace)
    folders = [workspace.run(name) for name in selected.runs]
    for folder in folders:
        make_console().print(f"report: {write_report(folder, dataset)}")
    if len(folders) > 1:
        path = workspace.runs / f"{'+'.join(selected.runs)}.html"
        make_console().print(f"comparison: {write_comparison(folders, dataset, path)}")


def ensemble(arguments: Namespace, workspace: Workspace) -> None:
    """Blend the members of a run, or of several, into a submission."""
    from digit_recognizer.cli.console import blend_lines
    from digit_recognizer.data.dataset import load_dataset
    from digit_recognizer.ensemble import blending
    from digit_recognizer.report import write_blend

    console, selected = make_console(), _selected(arguments, workspace)
    with spinner(console, "blending"):
        blend = blending.blend(workspace, selected.runs, selected.name)
    for line in blend_lines(blend):
        console.print(line)
    if len(selected.runs) > 1:
        folders, page = [workspace.run(name) for name in selected.runs], blend.csv.with_suffix(".html")
        write_blend(folders, load_dataset(workspace), page, weights=blend.weights or {}, oof=blend.oof, test=blend.test)
        console.print(f"report: {page}")


def submit(arguments: Namespace, workspace: Workspace) -> None:
    """Send a submission to Kaggle and wait for its score, or score it here where the test labels are public."""
    from digit_recognizer.cli.console import submission_lines
    from digit_recognizer.submission import submitting

    path = arguments.file or workspace.submissions / f"{_selected(arguments, workspace).name}.csv"
    if not path.exists():
        raise UserError(f"there is no {path}: `make ensemble` writes it, with the same PIPELINE and RUN")
    console = make_console()
    with spinner(console, "checking the file") as say:
        result = submitting.submit(path, workspace, arguments.message or "", on_progress=say)
    for line in submission_lines(path, result):
        console.print(line)


def tune(arguments: Namespace, workspace: Workspace) -> None:
    """Search better settings of a pipeline, or go on with that."""
    from digit_recognizer.cli.console import study_lines
    from digit_recognizer.cli.study_display import study_display
    from digit_recognizer.experiment import load, parse_settings
    from digit_recognizer.tuning.study import StudyRequest
    from digit_recognizer.tuning.study import tune as run_study

    console, changes = make_console(), parse_settings(arguments.set or "")
    references = selection.words(arguments.pipeline or selection.DEFAULT)
    if len(references) > 1:
        raise UserError(f"PIPELINE={arguments.pipeline}: a study is of one pipeline, not of {len(references)}")
    pipeline = load(references[0], workspace, changes)
    request = StudyRequest(
        pipeline=pipeline,
        changes=changes,
        name=selection.check_run_name(arguments.run or pipeline.name),
        hours=arguments.hours,
        trials=arguments.trials,
        workers=arguments.workers or 1,
        storage=_storage(arguments),
    )
    with study_display(console) as on_event:
        summary = run_study(request, workspace, on_event)
    for line in study_lines(summary):
        console.print(line)
    if summary.interrupted:
        raise KeyboardInterrupt


def dashboard(arguments: Namespace, workspace: Workspace) -> None:
    """Watch a study in the browser."""
    from digit_recognizer.tuning.study import dashboard as serve

    name = arguments.run or selection.only(_selected(arguments, workspace).runs)
    make_console().print("http://127.0.0.1:8080 until Ctrl-C")
    serve(selection.check_run_name(name), workspace, _storage(arguments))


def _storage(arguments: Namespace) -> str | None:
    return arguments.storage or os.environ.get("OPTUNA_STORAGE") or None


def predict(arguments: Namespace, workspace: Workspace) -> None:
    """Recognise the digits in image files."""
    from digit_recognizer.cli.console import predictions_table
    from digit_recognizer.data import digit_images
    from digit_recognizer.runs.evaluation import model_probabilities, run_record

    if not arguments.images:
        raise UserError("name an image, several, a folder, or a CSV like test.csv: `make predict IMAGES=path`")
    console, run = make_console(), workspace.run(selection.only(_selected(arguments, workspace).runs))
    data = run_record(run)["dataset"]
    paths = [Path(word).expanduser() for word in selection.words(arguments.images)]
    prepare = digit_images.are_digits(data["classes"], data["image_shape"]) and not arguments.as_is
    found = digit_images.read_images(paths, tuple(data["image_shape"]), prepare)
    for problem in found.problems:
        console.print(f"warning: {problem}")
    probabilities = model_probabilities(run, found.images).mean(axis=0)
    table = digit_images.prediction_table(found.names, found.images, probabilities, tuple(data["classes"]))
    digit_images.write_predictions(run / "predictions.csv", table)
    console.print(predictions_table(table))
    console.print(f"image files were {'prepared as MNIST was (--as-is: only scaled)' if prepare else 'only scaled'}")
    console.print(f"all probabilities: {run / 'predictions.csv'}")


def evaluate(arguments: Namespace, workspace: Workspace) -> None:
    """Load the saved models and score them on the test labels, where these are public."""
    from digit_recognizer.cli.console import evaluation_table
    from digit_recognizer.runs.evaluation import evaluate_run

    for name in _selected(arguments, workspace).runs:
        make_console().print(evaluation_table(name, evaluate_run(workspace.run(name), workspace)))


def status(arguments: Namespace, workspace: Workspace) -> None:
    """List all runs, studies and submissions."""
    from digit_recognizer.cli.console import runs_table, studies_table
    from digit_recognizer.runs.status import run_statuses
    from digit_recognizer.submission.ledger import best_scores_by_run
    from digit_recognizer.tuning.overview import study_statuses

    runs, studies = run_statuses(workspace, best_scores_by_run(workspace)), study_statuses(workspace)
    make_console().print(runs_table(runs) if runs else f"no runs in {workspace.runs} yet: `make train` makes one")
    if studies:
        make_console().print(studies_table(studies))
    ledger(Namespace(refresh=False), workspace)


def ledger(arguments: Namespace, workspace: Workspace) -> None:
    """List the submissions, out-of-fold accuracy beside the public score."""
    from digit_recognizer.cli.console import ledger_table
    from digit_recognizer.submission import ledger

    if arguments.refresh:
        make_console().print(f"{len(ledger.refresh(workspace))} submissions have news from Kaggle")
    entries = ledger.read_ledger(workspace)
    make_console().print(ledger_table(entries) if entries else "nothing was submitted yet")


def pipelines(arguments: Namespace, workspace: Workspace) -> None:
    """List the pipelines that there are."""
    from digit_recognizer.cli.console import table
    from digit_recognizer.experiment import available, summary_of

    rows = [(name, summary_of(file)) for name, file in available(workspace).items()]
    make_console().print(table("", "pipeline", "what it is", rows=rows))


def compare(arguments: Namespace, workspace: Workspace) -> None:
    """Compare two runs image by image."""
    from digit_recognizer.runs.comparison import compare_runs

    first, second = (selection.check_run_name(name) for name in (arguments.first, arguments.second))
    make_console().print(f"{first} against {second}: {compare_runs(first, second, workspace)}")


def verify(arguments: Namespace, workspace: Workspace) -> None:
    """Recompute a submission from the stored probabilities, or with --retrain from nothing, and compare."""
    from digit_recognizer.cli.training_display import training_display
    from digit_recognizer.ensemble.verification import verify

    path, console = Path(arguments.submission), make_console()
    with training_display(console) as on_event:
        rows = verify(path, workspace, retrain=arguments.retrain, on_event=on_event)
    source = "training again gives" if arguments.retrain else "the stored probabilities give"
    console.print(f"{path}: all {rows:,} labels are what {source}")


def draw(arguments: Namespace, workspace: Workspace) -> None:
    """Draw digits in the browser and see what a run makes of them."""
    import webbrowser

    from digit_recognizer import drawing
    from digit_recognizer.models import prediction
    from digit_recognizer.runs.evaluation import keras_at_hand, run_record

    run = workspace.run(selection.only(_selected(arguments, workspace).runs))
    drawing.check_data(run_record(run)["dataset"])
    with keras_at_hand():
        page = drawing.export(prediction.load_models(run), run / "draw")
    server = drawing.server(page.parent)
    address = f"http://127.0.0.1:{server.server_port}"
    make_console().print(f"{address} until Ctrl-C (any web server shows {page.parent} as well)")
    webbrowser.open(address)
    server.serve_forever()


def board(arguments: Namespace, workspace: Workspace) -> None:
    """Watch trainings in TensorBoard."""
    named = arguments.pipeline or arguments.run
    folder = workspace.run(selection.only(_selected(arguments, workspace).runs)) if named else workspace.runs
    if not folder.is_dir():
        raise UserError(f"there is no {folder} yet: `make train` makes a run")
    subprocess.run([sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)], check=True)


def bench(arguments: Namespace, workspace: Workspace) -> None:
    """Time this project against the usual ways, on this machine."""
    from digit_recognizer import backend
    from digit_recognizer.bench import compare, workspace_with_data
    from digit_recognizer.cli.console import benchmark_table

    console = make_console()
    with spinner(console, "looking for data") as say, workspace_with_data(workspace, console.print) as filled:
        rows = list(compare(filled, arguments.full, say))
    console.print(benchmark_table(rows, backend.device()))


def demo(arguments: Namespace, workspace: Workspace) -> None:
    """Go the whole way on the bundled digits, in demo/."""
    console, inner = make_console(), Workspace(workspace.root / "demo")
    force = " --force" if arguments.force else ""
    for step in ("data --source=bundled", f"train{force}", "report", "ensemble", "submit"):
        step += "" if step.startswith("data") else " --pipeline=demo"
        console.print(f"\n$ digit-recognizer --workspace {inner.root.name} {step}")
        parsed = make_parser(COMMANDS).parse_args(step.split())
        parsed.command(parsed, inner)
    console.print(f"\nthe report: {inner.run('demo') / 'report.html'}\neverything else: {inner.root}")


def _selected(arguments: Namespace, workspace: Workspace) -> selection.Selection:
    return selection.select_runs(arguments.pipeline, arguments.run, workspace)


COMMANDS = (
    (data, "--source --force"),
    (train, "--pipeline --run --folds --set --seeds --jobs --minutes --full --force"),
    (report, "--pipeline --run"),
    (ensemble, "--pipeline --run"),
    (submit, "--pipeline --run --file --message"),
    (tune, "--pipeline --run --set --hours --trials --workers --storage"),
    (dashboard, "--pipeline --run --storage"),
    (predict, "--images --as-is --pipeline --run"),
    (evaluate, "--pipeline --run"),
    (compare, "first second"),
    (status, ""),
    (ledger, "--refresh"),
    (pipelines, ""),
    (verify, "submission --retrain"),
    (draw, "--pipeline --run"),
    (board, "--pipeline --run"),
    (bench, "--full"),
    (demo, "--force"),
)
