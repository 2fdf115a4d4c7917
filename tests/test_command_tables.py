"""The tables that commands print."""

import io
import json

import pytest
from rich.console import Console

from digit_recognizer.cli.commands.overview import runs_table, studies_table
from digit_recognizer.cli.commands.submission import submissions_table
from digit_recognizer.cli.commands.training import training_summary
from digit_recognizer.metrics import Estimate
from digit_recognizer.runs.status import run_statuses
from digit_recognizer.submission import ledger
from digit_recognizer.submission.ledger import Entry
from digit_recognizer.tuning.overview import StudyStatus
from digit_recognizer.workspace import Workspace


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=200, highlight=False)


def shown(console) -> str:
    return console.file.getvalue()


def test_summary_shows_folds_mean_sd_interval_and_the_published_figure(console):
    scores = {"folds_done": [0, 2], "folds": 5, "fold_accuracy": [0.99, 0.98], "oof_accuracy": 0.985, "oof_accuracy_low": 0.98}
    scores |= {"oof_accuracy_high": 0.99, "epoch_selected_on_fold": False, "published": "0.99757", "seconds": 7500.0}
    console.print(training_summary("x", {**scores, "members": 2, "images_per_second": 1234, "peak_memory": 1.2e9}))
    text = " ".join(shown(console).split())
    assert "fold 0 0.99000 fold 2 0.98000 mean of folds 0.98500, sd 0.00707" in text
    assert "out of fold, 2 of 5 folds 0.98500 (0.98000 to 0.99000)" in text
    assert "published 0.99757" in text
    assert "2 h 5 min of training in 2 models; 1,234 images/s and 1.2 GB per process" in text


def test_status_shows_whole_partial_and_damaged_runs(tmp_path, console):
    workspace = Workspace(tmp_path)
    record = {"pipeline": "fast", "dataset": {"source": "kaggle"}, "settings": {"folds": 5}}
    scores = {"oof_accuracy": 0.995, "oof_accuracy_low": 0.994, "oof_accuracy_high": 0.996, "seconds": 60}
    for name, files in {
        "fast": {"experiment.json": record, "metrics.json": scores, "seed_0/fold_0/metrics.json": {}},
        "begun": {"experiment.json": record},
        "torn": {"experiment.json": []},
    }.items():
        for path, content in files.items():
            (tmp_path / "runs" / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "runs" / name / path).write_text(json.dumps(content))
    runs = {run.name: run for run in run_statuses(workspace, ledger.best_scores_by_run(workspace))}
    assert runs["fast"].accuracy == Estimate(0.995, 0.994, 0.996)
    assert (runs["fast"].folds_done, runs["fast"].members) == (1, 1)
    assert runs["begun"].accuracy is None
    assert "damaged" in runs["torn"].problem
    console.print(runs_table(list(runs.values())))
    assert "0.99500 (0.99400 to 0.99600)" in shown(console)
    assert "begun (fast)" in shown(console)


def test_ledger_shows_cross_validation_against_the_leaderboard(console):
    entry = Entry("a.csv", "0", "complete", oof_accuracy="0.99700", public_score="0.99750", message="[bold]first")
    console.print(submissions_table([entry]))
    assert "0.99700" in shown(console)
    assert "+0.00050" in shown(console)
    assert "[bold]first" in shown(console)


def test_status_shows_studies_with_their_best_trial(console):
    console.print(studies_table([StudyStatus("fast", 2, 2, 0.03, Estimate(0.97, 0.9, 1.0), age=60.0)]))
    assert "0.97000 (0.90000 to 1.00000)" in shown(console)
