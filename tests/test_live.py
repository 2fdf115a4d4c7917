"""What a person sees while a training or a study runs, and what runs and submissions look like afterwards."""

import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from digit_recognizer.cli.commands.overview import runs_table, studies_table
from digit_recognizer.cli.commands.submission import submissions_table
from digit_recognizer.cli.commands.training import training_summary
from digit_recognizer.cli.study_display import study_display
from digit_recognizer.cli.training_display import Work, training_display
from digit_recognizer.experiment import Experiment
from digit_recognizer.formatting import duration
from digit_recognizer.metrics import Estimate
from digit_recognizer.models.networks import mlp
from digit_recognizer.runs.status import run_statuses
from digit_recognizer.submission import ledger
from digit_recognizer.submission.ledger import Entry
from digit_recognizer.training.events import EpochEnded, MemberFinished, SpeedMeasured, StepEnded, TrainingPlanned
from digit_recognizer.training.members import Member
from digit_recognizer.tuning import events
from digit_recognizer.workspace import Workspace

EXPERIMENT = Experiment(network=mlp, epochs=10, batch_size=50, folds=5)
MEMBERS = [Member(0, fold) for fold in range(5)]
ROWS = 1000  # so 800 to train on, 16 steps an epoch, 160 a member


def work(waiting=MEMBERS, jobs=1) -> Work:
    return Work(EXPERIMENT, waiting, jobs, ROWS)


def step(member, epoch, number, **more):
    return StepEnded(member, epoch, number, 16, **{"images_per_second": 10.0, "loss": 2.0, "accuracy": 0.5, **more})


def epoch_ended(member, epoch):
    return EpochEnded(member, epoch, loss=1.5, accuracy=0.75, learning_rate=0.001, seconds=1.0)


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=200, highlight=False)


def shown(console) -> str:
    return console.file.getvalue()


def test_estimate_is_all_steps_at_the_timed_speed_over_the_jobs_that_have_a_core(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    for jobs, seconds in ((1, 80.0), (2, 40.0), (3, 40.0)):
        one = work(jobs=jobs)
        one.on_event(SpeedMeasured(MEMBERS[0], 0.1), now=0.0)
        assert one.seconds_left(0.0) == pytest.approx(seconds)


def test_time_left_follows_the_pace_of_this_session():
    one = work()
    one.on_event(SpeedMeasured(MEMBERS[0], 9.9), now=0.0)
    one.on_event(step(MEMBERS[0], 4, 16), now=10.0)
    one = work()
    one.on_event(step(MEMBERS[0], 0, 0), now=0.0)
    one.on_event(step(MEMBERS[0], 4, 16), now=10.0)
    assert one.seconds_left(10.0) == pytest.approx(720 * 10 / 80)


def test_epochs_of_an_earlier_session_do_not_count_as_pace():
    one = work(MEMBERS[:1])
    one.on_event(step(MEMBERS[0], 8, 0), now=0.0)
    one.on_event(step(MEMBERS[0], 9, 0), now=16.0)
    assert one.seconds_left(16.0) == pytest.approx(16.0)


def test_member_that_stops_early_leaves_nothing_to_do():
    one = work(MEMBERS[:1])
    one.on_event(step(MEMBERS[0], 0, 1), now=0.0)
    one.on_event(epoch_ended(MEMBERS[0], 3), now=10.0)
    one.on_event(MemberFinished(MEMBERS[0]), now=11.0)
    assert one.seconds_left(11.0) == 0.0


def plan(waiting):
    return TrainingPlanned(Path("runs/x"), EXPERIMENT, MEMBERS, waiting, jobs=1, rows=ROWS)


def test_without_a_terminal_each_epoch_is_a_line(console):
    with training_display(console) as show:
        show(plan(MEMBERS[1:]))
        show(SpeedMeasured(MEMBERS[1], 0.1))
        show(step(MEMBERS[1], 0, 8, images_per_second=1234.0))
        show(epoch_ended(MEMBERS[1], 1))
    lines = shown(console).splitlines()
    assert lines[0] == "x: training 4 models of up to 10 epochs (1 are finished already)"
    assert lines[1] == "x: about 64 s to go (100 ms a step)"
    assert lines[2].startswith("x seed 0 fold 1: epoch 1/10, loss 1.5000, accuracy 0.7500, learning rate 0.001, 1,234 images/s")
    assert len(lines) == 3


def test_on_a_terminal_there_is_a_bar_for_each_running_model_and_one_for_all():
    console = Console(file=io.StringIO(), width=200, force_terminal=True, highlight=False)
    with training_display(console) as show:
        show(plan(MEMBERS))
        for member in MEMBERS[:2]:
            show(step(member, 0, 8, images_per_second=10.0))
        show(epoch_ended(MEMBERS[0], 1))
        show(MemberFinished(MEMBERS[0]))
    assert "seed 0 fold 1" in shown(console)
    assert "x seed 0 fold 0: epoch 1/10" in shown(console)
    assert "\x1b[?25h" in shown(console)  # the cursor is shown again


def test_finished_run_says_so(console):
    with training_display(console) as show:
        show(plan([]))
    assert shown(console) == "x: finished already, nothing to train in runs/x\n"


def test_study_shows_each_trial_with_the_best_and_the_time_left(console):
    accuracy = Estimate(0.99, 0.98, 0.995)
    with study_display(console) as show:
        show(events.StudyStarted("fast", 3, 20, ["learning_rate"], 7200.0))
        show(events.TrialStarted(3, None, {}, 7200.0))
        show(events.TrialProgress(3, None, SpeedMeasured(MEMBERS[0], 0.1)))
        show(events.TrialProgress(3, None, epoch_ended(MEMBERS[0], 1)))
        show(events.TrialEnded(3, None, "complete", 3600.0, 0.05, accuracy))
        show(events.TrialEnded(4, None, "failed", 3600.0, reason="out of memory"))
        show(events.ConfirmationStarted(4))
    lines = shown(console).splitlines()
    assert lines[0] == "study fast: 3 of 20 trials done, searching learning_rate"
    assert lines[1] == "it ends in 2 h 0 min, with the best trials trained again by then"
    assert lines[2].startswith(
        "trial 3 complete: log loss 0.05000, accuracy 0.99000 (0.98000 to 0.99500), best log loss here 0.05000"
    )
    assert lines[3].startswith("trial 4 failed: out of memory")
    assert lines[4] == "the search is over: 4 trainings of the best trials and the start, on fresh seeds and folds"


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


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (99, "99 s"), (120, "2 min"), (5940, "99 min"), (12_000, "3 h 20 min"), (200_000, "2 days")],
)
def test_durations_are_in_words(seconds, said):
    assert duration(seconds) == said


def test_status_shows_studies_with_their_best_trial(tmp_path, console):
    import optuna

    from digit_recognizer.tuning import storage
    from digit_recognizer.tuning.overview import study_statuses

    workspace = Workspace(tmp_path)
    assert study_statuses(workspace) == []
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(study_name="fast", storage=storage.journal(workspace, "fast"))
    for value in (0.05, 0.03):
        trial = study.ask()
        for name, figure in {"accuracy": 1 - value, "accuracy_low": 0.9, "accuracy_high": 1.0}.items():
            trial.set_user_attr(name, figure)
        study.tell(trial, value)
    study.ask()
    (found,) = study_statuses(workspace)
    assert (found.name, found.trials, found.complete, found.log_loss) == ("fast", 2, 2, 0.03)
    console.print(studies_table([found]))
    assert "0.97000 (0.90000 to 1.00000)" in shown(console)
