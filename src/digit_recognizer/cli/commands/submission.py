"""Commands about submissions: ensemble, submit, ledger, verify."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from digit_recognizer.cli import selection
from digit_recognizer.cli.commands.rehearsal import NOT_REHEARSED, expectation_line
from digit_recognizer.cli.console import Table, command_line, make_console, print_next, shown, spinner
from digit_recognizer.cli.index import update_index
from digit_recognizer.cli.parser import Command, Parser, UsageError, add_run_selection
from digit_recognizer.errors import UserError
from digit_recognizer.formatting import decimals, interval, winner
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.workspace import Workspace, user_path

if TYPE_CHECKING:
    from digit_recognizer.ensemble.blending import Blend
    from digit_recognizer.rehearsal.results import Rehearsed
    from digit_recognizer.runs.records import RunMetrics
    from digit_recognizer.submission.ledger import Entry
    from digit_recognizer.submission.record import MethodScore
    from digit_recognizer.submission.submitting import SubmissionResult


def ensemble(workspace: Workspace, pipeline: str | None = None, run: str | None = None) -> None:
    """Blend a run's models, or several runs, into submissions/<name>.csv."""
    from digit_recognizer.rehearsal.rehearse import expectation

    selected = selection.select_runs(pipeline, run, workspace)
    to_submit = write_blend(workspace, selected)
    steps = [(command_line(workspace, "submit", **selection.options_of(pipeline, run)), "upload it and wait for the score")]
    if to_submit != selected.name:
        steps.insert(0, (command_line(workspace, "ensemble", run=to_submit), "the submission of the best run alone"))
    if not expectation(workspace, selected.runs):
        rehearse = command_line(workspace, "rehearse", **_rehearsal_options(workspace, pipeline, selected.runs))
        steps.append((rehearse, "measure what the average of the models scores"))
    print_next(make_console(), *steps)


def _rehearsal_options(workspace: Workspace, pipeline: str | None, runs: Sequence[str]) -> dict[str, str | None]:
    """Return the options of `rehearse` that train as the runs were trained."""
    from digit_recognizer.experiment import settings_text
    from digit_recognizer.runs.records import read_run_record

    if len(runs) > 1:
        return {"pipeline": pipeline or " ".join(runs)}
    record = read_run_record(RunFolder.of(workspace, runs[0]))
    default = selection.references(None, workspace) == [record.pipeline]
    return {
        "pipeline": None if default else record.pipeline,
        "run": None if record.pipeline == runs[0] else runs[0],
        "set": settings_text(record.changes),
    }


def write_blend(workspace: Workspace, selected: selection.Selection) -> str:
    """Blend the runs, write the submission and, for several runs, the blend's page; print the result.

    Returns:
        The name of the submission to prefer: the blend's, or that of its best run if the blend is no better.
    """
    from digit_recognizer import report
    from digit_recognizer.data.dataset import load_dataset
    from digit_recognizer.ensemble import blending
    from digit_recognizer.rehearsal.rehearse import expectation

    console = make_console()
    with spinner(console, "blending"):
        blend = blending.compute_blend(workspace, selected.runs, selected.name)
    for line in blend_lines(blend):
        console.print(line)
    console.print(expectation_line(expectation(workspace, selected.runs)) or NOT_REHEARSED)
    blending.write_blend(blend, workspace)
    console.print(f"submission: {shown(blend.csv)}")
    if len(selected.runs) > 1:
        folders, page = [RunFolder.of(workspace, name) for name in selected.runs], blend.csv.with_suffix(".html")
        data, weights = load_dataset(workspace), blend.weights or {}
        report.write_blend(folders, data, page, weights=weights, oof=blend.oof, test=blend.test)
        console.print(f"report: {shown(page)}")
    update_index(workspace)
    return blend.to_submit


def submit(
    workspace: Workspace,
    pipeline: str | None = None,
    run: str | None = None,
    file: Path | None = None,
    message: str | None = None,
) -> None:
    """Upload the submission to Kaggle and wait for the score."""
    if file and (pipeline or run):
        raise UsageError("FILE names the submission, so PIPELINE and RUN have no effect: leave FILE or the others out")
    path = file or workspace.submissions / f"{selection.select_runs(pipeline, run, workspace).name}.csv"
    if not path.exists():
        chosen = selection.options_of(pipeline, run)
        raise UserError(f"there is no {shown(path)}: `{command_line(workspace, 'ensemble', **chosen)}` writes it")
    submit_file(workspace, path, message or "")
    print_next(make_console(), (command_line(workspace, "status"), "all runs and submissions with their scores"))


def submit_file(workspace: Workspace, path: Path, message: str) -> None:
    """Submit a file, or score it on this machine if the test labels are public; print the result."""
    from digit_recognizer.submission import submitting

    console, expected = make_console(), expectation_of(path, workspace)
    with spinner(console, "checking the file") as on_progress:
        rehearsed = expected.accuracy.value if expected else None
        result = submitting.submit(path, workspace, message, on_progress=on_progress, rehearsed=rehearsed)
    for line in submission_lines(path, result):
        console.print(line)
    if expected:
        console.print(expectation_line(expected))
    update_index(workspace)


def expectation_of(path: Path, workspace: Workspace) -> "Rehearsed | None":
    """Return the rehearsed accuracy of a submission's runs, or None if they were not rehearsed."""
    from digit_recognizer.rehearsal.rehearse import expectation
    from digit_recognizer.submission.record import read_submission_record

    return expectation(workspace, read_submission_record(path).runs) if path.with_suffix(".json").exists() else None


def ledger(workspace: Workspace, refresh: bool = False) -> None:
    """List the submissions with their out-of-fold accuracy and public score."""
    from digit_recognizer.submission import ledger

    console = make_console()
    if not refresh:
        print_submissions(workspace)
        return
    entries = ledger.read_ledger(workspace)
    changed = {entry.sha256: entry for entry in ledger.ask_kaggle(entries)}
    console.print(f"{len(changed)} submissions updated from Kaggle")
    console.print(submissions_table([changed.get(entry.sha256, entry) for entry in entries]))
    for entry in changed.values():
        ledger.record(workspace, entry)
    update_index(workspace)


def print_submissions(workspace: Workspace) -> None:
    from digit_recognizer.submission.ledger import read_ledger

    entries = read_ledger(workspace)
    make_console().print(submissions_table(entries) if entries else "nothing submitted yet")


def verify(workspace: Workspace, submission: Path, retrain: bool = False, pipeline: str | None = None) -> None:
    """Check that the stored probabilities, or with --retrain new models, give the labels of a submission."""
    if pipeline and not retrain:
        raise UsageError("PIPELINE has an effect only with --retrain: leave it out")
    from digit_recognizer.cli.training_display import training_display
    from digit_recognizer.ensemble import verification

    console, named = make_console(), selection.words(pipeline) if pipeline else []
    files = [user_path(word).resolve() for word in named]
    with training_display(console) as on_event:
        rows = verification.verify(submission, workspace, retrain=retrain, pipelines=files, on_event=on_event)
    source = "models trained again" if retrain else "the stored probabilities"
    console.print(f"{submission}: all {rows:,} labels agree with {source}")


def blend_lines(blend: "Blend") -> Iterator[str | Table]:
    """Yield the runs of a blend, its weights, its accuracy and, if it is no better than its best run, what to submit."""
    rows = [
        (run.name, interval(run.metrics.accuracy) if run.metrics.accuracy else "", _trained(run.metrics)) for run in blend.runs
    ]
    if len(rows) > 1:
        rows.append((blend.name, interval(blend.accuracy), "the blend"))
    yield Table("", ["run", "OOF accuracy (95 %)", ""], rows)
    if blend.against_best_run:
        yield Table(
            "Blending methods, each scored on folds that its weights were not fitted on",
            ["method", ">OOF accuracy", ">log loss", ">more images right", ">p", ""],
            map(_method_row, blend.methods),
        )
        if blend.weights:
            yield "weights: " + ", ".join(f"{name} {weight:.2f}" for name, weight in blend.weights.items())
        yield winner(blend.name, blend.best_run, blend.against_best_run)
        if blend.to_submit != blend.name:
            yield f"the blend is no better than its best run: submit {blend.to_submit} instead"


def _method_row(score: "MethodScore") -> tuple[str, ...]:
    figures = f"{score.accuracy:.5f}", f"{score.log_loss:.5f}", f"{score.images:+,}", f"{score.p_value:.2g}"
    return score.method, *figures, "chosen" if score.chosen else ""


def _trained(scores: "RunMetrics") -> str:
    """Return `1 of 5 folds trained`; empty for a finished run."""
    if len(scores.folds_done) < scores.folds:
        return f"{len(scores.folds_done)} of {scores.folds} folds trained"
    return f"{scores.members} of {scores.members_planned} models trained" if scores.partial else ""


def submission_lines(path: Path, result: "SubmissionResult") -> Iterator[str]:
    if result.local:
        right = f"{result.local.right:,} of {result.local.n:,} right"
        yield f"{shown(path)}: {result.local.accuracy:.5f} on the test labels ({right})"
    elif result.public_score is None:
        yield f"{shown(path)}: uploaded, no score yet: `digit-recognizer ledger --refresh` asks for it later"
    else:
        yield f"{shown(path)}: public score {result.public_score:.5f}, best so far {result.best_score:.5f}"
    yield f"out-of-fold accuracy: {result.oof_accuracy:.5f}"
    if result.not_uploaded:
        yield result.not_uploaded
    if result.warning:
        yield f"warning: {result.warning}"


def submissions_table(entries: Sequence["Entry"]) -> Table:
    """Return the submissions as a table: out-of-fold accuracy, rehearsed accuracy, and Kaggle's score with the difference."""
    columns = ("time", "file", ">OOF", ">rehearsed", ">score", ">score - rehearsed", "status", "message")
    rows = (
        (
            entry.time,
            entry.file,
            decimals(entry.accuracy),
            decimals(entry.expected),
            decimals(entry.score),
            None if entry.score is None or entry.expected is None else f"{entry.score - entry.expected:+.5f}",
            entry.status,
            entry.message,
        )
        for entry in entries
    )
    return Table("Submissions", columns, rows, dropped=("message", "time", "score - rehearsed", "status"))


def _add_submit_options(parser: Parser) -> None:
    add_run_selection(parser)
    parser.add_argument("--file", type=Path, help="another submission than that of the pipeline or run")
    parser.add_argument("--message", help="a description that Kaggle shows with the submission")


def _add_ledger_options(parser: Parser) -> None:
    parser.add_argument("--refresh", action="store_true", help="ask Kaggle for scores that are still missing")


def _add_verify_options(parser: Parser) -> None:
    parser.add_argument("submission", type=Path, help="its file, such as submissions/fast.csv")
    parser.add_argument("--retrain", action="store_true", help="train all models again from scratch")
    parser.add_argument(
        "--pipeline", metavar="FILES", help="with --retrain: pipelines of the runs that are not in your pipeline folders"
    )


COMMANDS = (
    Command(ensemble, add_run_selection),
    Command(submit, _add_submit_options),
    Command(ledger, _add_ledger_options),
    Command(verify, _add_verify_options),
)
