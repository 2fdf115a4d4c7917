"""What commands show: numbers in words, and tables. The live display of a training is in live.py."""

import contextlib
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from digit_recognizer.formatting import duration, interval

if TYPE_CHECKING:
    import pandas as pd

    from digit_recognizer.bench import Row
    from digit_recognizer.ensemble.blending import Blend
    from digit_recognizer.runs.evaluation import Evaluation
    from digit_recognizer.runs.status import RunStatus
    from digit_recognizer.submission.ledger import Entry
    from digit_recognizer.submission.submitting import SubmissionResult
    from digit_recognizer.training.time_budget import Fit, Measured
    from digit_recognizer.tuning.overview import StudyStatus
    from digit_recognizer.tuning.summary import StudySummary

WIDTH_WITHOUT_TERMINAL = 200  # a log or pipe wraps no table


def make_console() -> Console:
    """Return a console that prints text as it is: no markup, no highlighting, no line breaks of its own."""
    console = Console(markup=False, highlight=False, emoji=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = WIDTH_WITHOUT_TERMINAL
    return console


@contextlib.contextmanager
def spinner(console: Console, text: str) -> Iterator[Callable[[str], None]]:
    """Yield a function that shows what is being done: beside a spinner on a terminal, else as a line for each change."""
    if console.is_terminal:
        with console.status(text) as status:
            yield status.update
        return
    shown = text

    def show(text: str) -> None:
        nonlocal shown
        if text != shown:
            console.print(text)
        shown = text

    yield show


def table(title: str, *columns: str, rows: Iterable[Sequence[Any]]) -> Table:
    """Return a plain table; columns whose name begins with `>` are aligned to the right."""
    result = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        right = column.startswith(">")
        result.add_column(Text(column.lstrip(">")), justify="right" if right else "left", overflow="fold")
    for row in rows:
        result.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    return result


def training_summary(name: str, scores: dict[str, Any]) -> Table:
    """Return a run's metrics.json as the table that ends a training."""
    rows: list[tuple[str, str]] = [
        (f"fold {fold}", f"{accuracy:.5f}")
        for fold, accuracy in zip(scores["folds_done"], scores["fold_accuracy"], strict=True)
    ]
    if len(rows) > 1:
        mean, sd = statistics.mean(scores["fold_accuracy"]), statistics.stdev(scores["fold_accuracy"])
        rows.append(("mean", f"{mean:.5f}, sd {sd:.5f}"))
    if "oof_accuracy" in scores:
        missing = scores["folds"] - len(scores["folds_done"])
        partial = f" on {len(scores['folds_done'])} of {scores['folds']} folds" if missing else ""
        rows.append((f"out of fold{partial}", _oof(scores)))
    if scores["epoch_selected_on_fold"]:
        rows.append(("", "the epochs were chosen on these folds, so this is a little too good"))
    if scores["published"]:
        rows.append(("published", scores["published"]))
    cost = f"{scores['images_per_second']:,} images/s and {scores['peak_memory'] / 1e9:.1f} GB a process"
    rows.append(("training", f"{duration(scores['seconds'])} summed over {scores['members']} models, {cost}"))
    return table(name, "", "accuracy", rows=rows)


def budget_lines(fit: "Fit", measured: "Measured | None") -> list[str]:
    """Say what fits into the minutes, and the accuracy that such a training was once measured to reach."""
    lines = []
    for request in fit.requests:
        chosen = request.pipeline.experiment
        seeds = f", {len(chosen.seeds)} seeds" if len(chosen.seeds) > 1 else ""
        lines.append(f"{request.run}: {chosen.epochs} epochs of about {chosen.steps_per_epoch} steps{seeds}")
    if measured:
        low, high = measured.accuracy.low, measured.accuracy.high
        length = f"{fit.factor:.2f} times the pipeline's own length; measured at {measured.factor:.2f}"
        expected = f"{measured.accuracy.value:.5f} ({low:.5f} to {high:.5f}) of {measured.images:,} images"
        lines.append(f"expect {expected} out of fold: {length}")
    time = f"about {duration(fit.seconds)}, timing included"
    return [*lines, f"goes on with what was begun, in all {time}" if fit.goes_on else f"in all {time}"]


def runs_table(runs: Sequence["RunStatus"]) -> Table:
    """Return all runs as a table."""
    return table(
        "Runs",
        "run",
        "OOF accuracy (95 %)",
        ">folds",
        ">models",
        ">training",
        ">age",
        ">score",
        "data",
        rows=(
            (
                run.name if run.pipeline in ("", run.name) else f"{run.name} ({run.pipeline})",
                run.problem or (interval(run.accuracy) if run.accuracy else ""),
                f"{run.folds_done}/{run.folds}",
                run.members,
                duration(run.seconds) if run.seconds else "",
                duration(run.age),
                None if run.score is None else f"{run.score:.5f}",
                run.source,
            )
            for run in runs
        ),
    )


def studies_table(studies: Sequence["StudyStatus"]) -> Table:
    """Return all studies as a table; the best trial's figures are those of the search, so a little too good."""
    rows = (
        (
            study.name,
            study.problem or (interval(study.accuracy) if study.accuracy else ""),
            _five_digits(study.log_loss),
            f"{study.complete}/{study.trials}",
            duration(study.age),
        )
        for study in studies
    )
    return table("Studies", "study", "best OOF accuracy (95 %)", ">log loss", ">complete/trials", ">age", rows=rows)


def ledger_table(entries: Sequence["Entry"]) -> Table:
    """Return the submissions as a table, cross-validation beside the leaderboard."""
    return table(
        "Submissions",
        "time",
        "file",
        ">OOF (CV)",
        ">score (LB)",
        ">LB - CV",
        "status",
        "message",
        rows=(
            (
                entry.time,
                entry.file,
                _five_digits(entry.accuracy),
                _five_digits(entry.score),
                None if entry.score is None or entry.accuracy is None else f"{entry.score - entry.accuracy:+.5f}",
                entry.status,
                entry.message,
            )
            for entry in entries
        ),
    )


def blend_lines(blend: "Blend") -> Iterator[str | Table]:
    """Yield what a blend is made of and how good it is."""
    rows = [(run.name, _oof(run.metrics), "still in training" if run.partial else "") for run in blend.runs]
    look = blend.second_look
    if len(rows) > 1 or (look and look.better):
        rows.append((blend.name, interval(blend.accuracy), "what is submitted, nested"))
    yield table("", "run", "OOF accuracy (95 %)", "", rows=rows)
    if len(blend.runs) > 1:
        yield table(
            "Ways of blending, each judged on folds that its weights were not fitted on",
            "method",
            ">OOF accuracy",
            ">log loss",
            "against the first",
            "",
            rows=(
                (
                    score.method,
                    f"{score.accuracy:.5f}",
                    f"{score.log_loss:.5f}",
                    score.comparison,
                    "chosen" if score.chosen else "",
                )
                for score in blend.table
            ),
        )
        if blend.weights:
            yield "weights: " + ", ".join(f"{name} {weight:.2f}" for name, weight in blend.weights.items())
        yield f"the blend {blend.against_best}"
    if look:
        yield f"second look at {look.doubtful} doubtful images, {'used' if look.better else 'not used'}: {look}"
    yield f"submission: {blend.csv}"


def _oof(scores: dict[str, Any]) -> str:
    from digit_recognizer.metrics import Estimate

    if "oof_accuracy" not in scores:
        return ""
    return interval(Estimate(*(scores[f"oof_accuracy{part}"] for part in ("", "_low", "_high"))))


def study_lines(summary: "StudySummary") -> Iterator[str | Table]:
    """Yield what a study found."""
    yield (
        f"study {summary.name}: {summary.trials} trials, {len(summary.complete)} complete, {summary.pruned} pruned, "
        f"{len(summary.failed)} failed, in {duration(summary.seconds)}"
    )
    best = summary.complete[:5]
    rows = ((trial.number, f"{trial.log_loss:.5f}", interval(trial.accuracy), _settings(trial.changes)) for trial in best)
    yield table("The best trials", ">trial", ">log loss", "accuracy (95 %)", "settings", rows=rows)
    yield summary.verdict
    if summary.report:
        yield f"report: {summary.report}"
    if summary.tuned:
        yield f"pipeline: {summary.tuned} (`make train PIPELINE={summary.tuned.stem}`)"


def _settings(changes: dict[str, Any]) -> str:
    return " ".join(f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in changes.items())


def submission_lines(path: Path, result: "SubmissionResult") -> Iterator[str]:
    """Yield what came of a submission."""
    if result.local:
        yield f"{path}: {result.local.accuracy:.5f} on the test labels ({result.local.right:,} of {result.local.n:,} right)"
    elif result.public_score is None:
        yield f"{path}: sent, but there is no score yet: `digit-recognizer ledger --refresh` picks it up"
    else:
        yield f"{path}: public score {result.public_score:.5f}, the best so far {result.best_score:.5f}"
    if result.oof_accuracy is not None:
        yield f"out-of-fold accuracy: {result.oof_accuracy:.5f}"
    if result.not_sent:
        yield result.not_sent
    if result.warning:
        yield f"warning: {result.warning}"


def evaluation_table(name: str, evaluation: "Evaluation") -> Table:
    """Return a run's accuracy on the test labels, each model's and their mean's."""
    rows = [(f"model {number}", interval(one)) for number, one in enumerate(evaluation.models, 1)]
    return table(f"{name} on the test labels", "", "accuracy (95 %)", rows=[*rows, ("their mean", interval(evaluation.mean))])


def predictions_table(predictions: "pd.DataFrame") -> Table:
    """Return what `image_files.prediction_table` found, without the ten probabilities."""
    return table(
        "",
        "file",
        "digit",
        ">probability",
        "runner-up",
        "",
        rows=(
            (row.file, row.digit, f"{row.probability:.4f}", row.runner_up, row.flag)
            for row in predictions[["file", "digit", "probability", "runner_up", "flag"]].itertuples()
        ),
    )


def _five_digits(value: float | None) -> str | None:
    return None if value is None else f"{value:.5f}"


def benchmark_table(rows: Sequence["Row"], device: str) -> Table:
    """Return the rows of `make bench`: medians, ratios first."""
    return table(
        f"Benchmark on {device}: medians of repeats in turns",
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
