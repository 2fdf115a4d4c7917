"""The tables that commands print."""

import shutil

from synthetic_run import make_dataset, make_run

from digit_recognizer import files
from digit_recognizer.cli.commands.overview import runs_table, studies_table
from digit_recognizer.cli.commands.submission import submissions_table
from digit_recognizer.cli.commands.training import training_summary
from digit_recognizer.formatting import interval
from digit_recognizer.metrics import Estimate
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.lifecycle import locked
from digit_recognizer.runs.records import RunMetrics, read_run_metrics
from digit_recognizer.runs.status import run_statuses
from digit_recognizer.submission import ledger
from digit_recognizer.submission.ledger import Entry
from digit_recognizer.tuning.overview import StudyStatus
from digit_recognizer.workspace import Workspace


def test_summary_shows_folds_mean_sd_interval_and_the_published_figure(console):
    scores = RunMetrics(
        oof_accuracy=0.985,
        oof_accuracy_low=0.98,
        oof_accuracy_high=0.99,
        fold_accuracy=[0.99, 0.98],
        folds_done=[0, 2],
        folds=5,
        members=2,
        members_planned=5,
        copies_across_folds=0,
        epoch_selected_on_fold=False,
        seconds=7500.0,
        images_per_second=1234,
        peak_memory=1_200_000_000,
        published="0.99757",
    )
    console.print(training_summary("x", scores))
    text = " ".join(console.file.getvalue().split())
    assert "fold 0 0.99000 fold 2 0.98000 mean of folds 0.98500, sd 0.00707" in text
    assert "out of fold, 2 of 5 folds 0.98500 (0.98000 to 0.99000)" in text
    assert "published 0.99757" in text
    assert "2 h 5 min of training in 2 models; 1,234 images/s and 1.2 GB per process" in text


def test_status_shows_whole_partial_and_damaged_runs(tmp_path, console):
    workspace, dataset = Workspace(tmp_path), make_dataset(200)
    make_run(workspace.run("fast"), dataset, finished=[0])
    begun = make_run(workspace.run("begun"), dataset, finished=[0])
    shutil.rmtree(begun.path / "seed_0")
    begun.metrics.unlink()
    files.write_text(make_run(workspace.run("torn"), dataset, finished=[0]).record, "[]")
    make_run(workspace.run("moved"), dataset, finished=[0]).record.unlink()
    runs = {run.name: run for run in run_statuses(workspace, ledger.best_scores_by_run(workspace))}
    assert runs["fast"].accuracy == read_run_metrics(RunFolder.of(workspace, "fast")).accuracy
    assert (runs["fast"].folds_done, runs["fast"].members) == (1, 1)
    assert runs["begun"].accuracy is None
    assert "experiment.json is damaged" in runs["torn"].problem
    assert "experiment.json is missing" in runs["moved"].problem
    console.print(runs_table(list(runs.values()), {"fast": 0.99664}))
    assert interval(runs["fast"].accuracy) in console.file.getvalue()
    assert "0.99664" in console.file.getvalue()
    assert "not finished" in console.file.getvalue()


def test_status_says_which_run_is_being_trained(tmp_path, console):
    workspace = Workspace(tmp_path)
    run = make_run(workspace.run("busy"), make_dataset(100))
    run.metrics.unlink()
    with locked(run.path):
        console.print(runs_table(run_statuses(workspace, {}), {}))
    assert "training now" in console.file.getvalue()


def test_ledger_shows_the_score_against_the_rehearsed_accuracy(console):
    entry = Entry(
        file="a.csv",
        sha256="0",
        status="complete",
        oof_accuracy="0.99600",
        rehearsed="0.99700",
        public_score="0.99750",
        message="[bold]first",
    )
    console.print(submissions_table([entry]))
    assert "0.99700" in console.file.getvalue()
    assert "+0.00050" in console.file.getvalue()
    assert "[bold]first" in console.file.getvalue()


def test_status_shows_studies_with_their_best_trial(console):
    console.print(studies_table([StudyStatus("fast", 2, 2, 0.03, Estimate(0.97, 0.9, 1.0), age=60.0)]))
    assert "0.97000 (0.90000 to 1.00000)" in console.file.getvalue()
