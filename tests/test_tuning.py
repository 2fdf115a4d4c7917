"""Studies: what is searched, what is stopped, what survives a kill, and what is left in the morning."""

import collections
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest
import study_worker

from digit_recognizer.data import sources
from digit_recognizer.errors import DiskFullError, UserError
from digit_recognizer.experiment import load, override, settings
from digit_recognizer.training.events import EpochEnded
from digit_recognizer.tuning import confirmation, session, space, storage, study, trials
from digit_recognizer.tuning.events import ConfirmationStarted, StudyStarted, TrialEnded, TrialProgress
from digit_recognizer.tuning.pruning import MIN_COMPLETE, Axis, hopeless, replay
from digit_recognizer.tuning.study import StudyRequest, tune
from digit_recognizer.tuning.trainer import Trainer
from digit_recognizer.workspace import Workspace

WORKER = Path(study_worker.__file__)


@pytest.fixture
def workspace(tmp_path):
    return study_worker.workspace_with_pipeline(tmp_path)


@pytest.fixture
def quick(monkeypatch):
    """Trainings that take no time."""
    monkeypatch.setattr(study, "load_dataset", study_worker.dataset)
    monkeypatch.setattr(Trainer, "evaluate", study_worker.quick_evaluate(0))


def search(workspace, on_event=lambda event: None, **options):
    changes = options.pop("changes", {})
    return tune(StudyRequest(load("quick", workspace, changes), "quick", **options), workspace, on_event)


def known_trials(workspace, name="quick"):
    return optuna.load_study(study_name=name, storage=storage.journal(workspace, "quick")).get_trials()


def counted(workspace):
    return [trial for trial in known_trials(workspace) if trials.counts(trial)]


# The space


def test_own_values_are_read_from_the_experiment_and_the_networks_defaults(workspace):
    own = space.own_parameters(load("quick", workspace, {"learning_rate": 0.02}))
    assert own == {"learning_rate": 0.02, "network_options.dropout": 0.0, "augmentation.rotation": 5.0}


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("def suggest(trial)", "def other(trial)", "has no suggest"),
        ("1e-4, 0.04", "1e-4, 1e-3", "out of the range"),
        ('trial.suggest_float("learning_rate"', 'trial.suggest_float("rate"', "'rate' is no setting"),
        ("network_options.dropout", "network_options.dropuot", "neither set nor has a default"),
        ('rotation", 0, 20)', 'rotation", 0, 20) + 1', "augmentation.rotation: 5.0 -> 6.0"),
        ('"augmentation.rotation": trial.suggest_float("augmentation.rotation", 0, 20)', '"folds": 5', "can't vary folds"),
        ('"augmentation.rotation": trial', '"augmentation.rotation": tiral', "NameError"),
        ("folds=3,", 'folds=3, teacher="other",', "can't be tuned with a teacher"),
    ],
)
def test_a_wrong_suggest_is_refused_before_anything_is_trained(workspace, before, after, words):
    assert before in study_worker.PIPELINE
    study_worker.workspace_with_pipeline(workspace.root, study_worker.PIPELINE.replace(before, after))
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        search(workspace, trials=1)
    assert "quick.py" in str(caught.value)
    assert not workspace.studies.exists()


@pytest.mark.parametrize("name", ["baseline", "fast", "strided"])
def test_the_projects_own_spaces_hold_the_pipelines_settings_and_only_possible_ones(name):
    pipeline = load(name)
    own = space.own_parameters(pipeline)
    random = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    random.enqueue_trial(own)
    asked = [random.ask() for _ in range(100)]
    drawn = [override(pipeline.experiment, pipeline.suggest(trial)) for trial in asked]
    assert asked[0].params == own
    assert len({repr(experiment) for experiment in drawn}) == len(drawn)


# Pruning


AXIS = Axis(epochs=4, folds=3)


def test_axis_is_the_first_folds_epochs_then_a_step_a_fold():
    assert [AXIS.epoch_step(epoch, 4) for epoch in range(1, 5)] == [1, 2, 3, 4]
    assert [AXIS.fold_step(fold) for fold in range(1, 4)] == [5, 6, 7]
    assert [AXIS.epoch_step(epoch, 8) for epoch in (2, 4, 8)] == [1, 2, 4]
    assert AXIS.cost(2) == pytest.approx(1 / 6)
    assert AXIS.cost(4) == AXIS.cost(5) == pytest.approx(1 / 3)


def test_only_trials_worse_than_the_median_of_complete_ones_at_the_same_step_are_stopped():
    complete = [{3: value, 6: value} for value in (0.1, 0.2, 0.3, 0.4, 0.5)]
    assert hopeless(0.31, 3, complete, AXIS)
    assert not hopeless(0.3, 3, complete, AXIS)
    assert not hopeless(9.0, 3, complete[: MIN_COMPLETE - 1], AXIS)
    assert not hopeless(9.0, 4, complete, AXIS), "no complete trial has reported step 4"
    assert not hopeless(9.0, 1, complete, AXIS), "too early"
    assert not hopeless(9.0, 7, [{7: 0.1}] * 9, AXIS), "nothing is saved after the last fold"


def test_an_easy_first_fold_does_not_save_a_trial_from_its_running_mean():
    complete = [{4: 0.1, 5: 0.1, 6: 0.2}] * 5
    easy = {4: 0.05, 6: 0.3}
    assert hopeless(easy[6], 6, complete, AXIS)


def test_replay_of_stored_curves_shows_what_pruning_saves_at_equal_result():
    """31 trials, none stopped, of an MLP with the one-cycle schedule on the bundled digits: 4 folds of 6 epochs."""
    curves = [
        {int(step): value for step, value in curve.items()}
        for curve in json.loads((Path(__file__).parent / "data" / "study_curves.json").read_text())
    ]
    result = replay(curves, Axis(epochs=6, folds=4))
    assert result.trials >= 30
    assert result.saved > 0.4
    assert result.best_kept > 0.95


# The search


def test_the_pipelines_own_settings_come_first_and_trials_counts_all_commands(workspace, quick):
    search(workspace, trials=3)
    assert known_trials(workspace)[0].params["learning_rate"] == 0.04
    summary = search(workspace, trials=7)
    assert summary.trials == len(counted(workspace)) == 7
    again = search(workspace, trials=7)
    assert again.trials == 7


def test_several_workers_begin_no_more_trials_than_asked(workspace, quick):
    assert search(workspace, trials=9, workers=4).trials == len(counted(workspace)) == 9
    assert all(trial.state.is_finished() for trial in known_trials(workspace))


def test_a_failed_trial_is_recorded_with_its_reason_and_the_study_goes_on(workspace, quick, monkeypatch):
    monkeypatch.setattr(session, "FAILURES_IN_A_ROW", 12)  # trials are drawn at random, and most of this range fails
    study_worker.workspace_with_pipeline(workspace.root, study_worker.PIPELINE.replace("0.04, log=True", "10.0, log=True"))
    summary = search(workspace, trials=12)
    assert summary.trials == 12
    assert summary.failed
    assert all(reason.startswith("the loss became nan") for reason in summary.failed.values())
    assert summary.best.changes["learning_rate"] <= 0.05


def test_a_study_whose_trials_all_fail_ends_with_the_reason(workspace, quick, monkeypatch):
    def evaluate(*arguments, **options):
        raise MemoryError("no room")

    monkeypatch.setattr(Trainer, "evaluate", evaluate)
    with pytest.raises(UserError, match="5 trials failed one after another; the last: MemoryError: no room"):
        search(workspace, hours=1)
    assert len(known_trials(workspace)) == session.FAILURES_IN_A_ROW


def test_a_start_or_a_confirmation_that_failed_gets_another_try_with_the_next_command(workspace, quick, monkeypatch):
    def failing_at(name):
        evaluate = study_worker.quick_evaluate(0)

        def fail(self, experiment, changes, folder, **options):
            if folder.name.startswith(name):
                raise MemoryError("no room")
            return evaluate(self, experiment, changes, folder, **options)

        return fail

    monkeypatch.setattr(Trainer, "evaluate", failing_at("trial_0"))
    assert search(workspace, trials=12).winner is None
    monkeypatch.setattr(Trainer, "evaluate", failing_at("confirm_0"))
    assert search(workspace, trials=12).winner is None
    monkeypatch.setattr(Trainer, "evaluate", study_worker.quick_evaluate(0))
    summary = search(workspace, trials=12)
    assert summary.winner is not None
    assert sum(trials.is_start(trial) for trial in known_trials(workspace)) == 1


def test_the_start_is_finished_however_bad_it_looks(workspace, quick, monkeypatch):
    monkeypatch.setattr(study, "hopeless", lambda *arguments: True)
    summary = search(workspace, trials=3)
    assert [figures.number for figures in summary.complete] == [trials.START]
    assert summary.pruned == 2


def test_a_full_disk_ends_the_study_and_the_trial_goes_on_later(workspace, quick, monkeypatch):
    def evaluate(self, experiment, changes, folder, **options):
        if folder.name == "trial_2":
            folder.mkdir(parents=True)
            raise DiskFullError("the disk is full")
        return study_worker.quick_evaluate(0)(self, experiment, changes, folder, **options)

    monkeypatch.setattr(Trainer, "evaluate", evaluate)
    with pytest.raises(DiskFullError):
        search(workspace, trials=5)
    assert (workspace.studies / "quick" / "trial_2").exists()
    monkeypatch.setattr(Trainer, "evaluate", study_worker.quick_evaluate(0))
    summary = search(workspace, trials=5)
    assert (summary.trials, summary.failed) == (5, {})


def test_settings_given_as_a_whole_are_searched_within(workspace, quick):
    whole = {"network_options": {"hidden": (32,)}}
    summary = search(workspace, trials=15, changes=whole)
    options = load("quick_tuned", workspace).experiment.network_options
    assert options["hidden"] == (32,)
    assert summary.winner == 0 or "dropout" in options


def test_pruned_trials_are_tagged_and_never_the_best(workspace, quick):
    summary = search(workspace, trials=25)
    pruned = [trial for trial in known_trials(workspace) if trial.state == optuna.trial.TrialState.PRUNED]
    assert summary.pruned == len(pruned) > 0
    assert all(0 < trial.user_attrs["share"] < 1 for trial in pruned)
    assert 0 < summary.pruned_share < 1
    assert not {figures.number for figures in summary.complete} & {trial.number for trial in pruned}
    assert not list(workspace.studies.glob(f"quick/trial_{pruned[0].number}"))


def test_hours_hold_the_search_and_the_best_trained_again(workspace, quick, monkeypatch):
    monkeypatch.setattr(Trainer, "evaluate", study_worker.quick_evaluate(0.05))
    events = []
    summary = search(workspace, events.append, hours=6 / 3600)
    assert summary.seconds < 6.5
    assert summary.trials > 3
    assert summary.winner is not None
    assert all(one.repeats == confirmation.REPEATS for one in summary.confirmed)
    assert [type(event) for event in events if isinstance(event, StudyStarted | ConfirmationStarted)] == [
        StudyStarted,
        ConfirmationStarted,
    ]


def test_the_deadline_ends_a_confirmation_that_takes_longer_and_the_same_command_goes_on(workspace, quick, monkeypatch):
    monkeypatch.setattr(Trainer, "evaluate", study_worker.quick_evaluate(0.3))  # 0.9 s a trial, 3.6 s and more to confirm
    summary = search(workspace, hours=5 / 3600)
    assert 3 < summary.seconds < 5.5
    assert summary.winner is None or summary.confirmed[0].repeats < confirmation.REPEATS
    trained = (workspace.root / "trained.txt").read_text().splitlines()
    assert any(line.startswith("confirm_") for line in trained)
    summary = search(workspace, trials=summary.trials)
    assert summary.winner is not None
    again = (workspace.root / "trained.txt").read_text().splitlines()
    assert again[: len(trained)] == trained and len(set(again)) == len(again), "a finished fold was trained twice"


def test_time_is_kept_for_as_many_trainings_as_the_better_trials_need(workspace, quick):
    assert confirmation.trainings_after([]) == 2 * confirmation.REPEATS
    search(workspace, trials=15)
    assert confirmation.trainings_after(known_trials(workspace)) == (1 + confirmation.FINALISTS) * confirmation.REPEATS


def test_neither_hours_nor_trials_is_refused(workspace):
    with pytest.raises(UserError, match="HOURS=8"):
        search(workspace)


def test_trials_of_other_settings_data_or_code_cant_mix(workspace, quick, monkeypatch):
    search(workspace, trials=1)
    with pytest.raises(UserError, match=r"settings\.epochs: 4 -> 5"):
        search(workspace, trials=2, changes={"epochs": 5})
    study_worker.workspace_with_pipeline(workspace.root, study_worker.PIPELINE.replace("0, 20)", "0, 30)"))
    with pytest.raises(UserError, match="code of the pipeline"):
        search(workspace, trials=2)
    other_words = study_worker.PIPELINE.replace("A pipeline to tune.", "Other words.")
    study_worker.workspace_with_pipeline(workspace.root, other_words + "# a remark\n")
    assert search(workspace, trials=2).trials == 2


def test_a_second_command_on_a_running_journal_is_refused(workspace, quick):
    (workspace.studies / "quick").mkdir(parents=True)
    patience = storage.Patience(None, None)
    with (
        storage.opened("quick", workspace, None, patience),
        pytest.raises(UserError, match=f"process {os.getpid()}"),
    ):
        search(workspace, trials=1)


# Interruptions


def start_worker(workspace, seconds, **options):
    command = [sys.executable, WORKER, workspace.root, json.dumps(options), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def read_until(worker, text):
    lines = []
    for line in worker.stdout:
        lines.append(line)
        if text in line:
            return
    pytest.fail("the worker ended: " + "".join(lines))


@pytest.mark.slow
def test_kill_at_any_point_loses_and_doubles_nothing(workspace, quick):
    for words in ("TrialStarted(trial=1,", "TrialStarted(trial=3,", "repeat=0"):  # trial 2 continues 1
        worker = start_worker(workspace, 0.15, trials=4)
        read_until(worker, words)
        worker.kill()
        worker.wait()
    summary = search(workspace, trials=4)

    assert summary.trials == len(counted(workspace)) == len({trials.root(trial) for trial in counted(workspace)}) == 4
    trained = collections.Counter((workspace.root / "trained.txt").read_text().splitlines())
    assert set(trained.values()) == {1}, "a finished fold was trained twice"
    assert summary.winner is not None


def test_ctrl_c_ends_with_the_summary_so_far(workspace):
    worker = start_worker(workspace, 0.3, hours=1)
    read_until(worker, "TrialStarted(trial=2,")
    worker.send_signal(signal.SIGINT)
    output, _ = worker.communicate(timeout=20)
    assert worker.returncode == 0, output
    assert json.loads(output.splitlines()[-1]) | {"verdict": ""} == {"trials": 2, "interrupted": True, "verdict": ""}
    assert "Traceback" not in output


def test_a_line_that_was_being_written_at_a_power_cut_is_cut_off(workspace, quick):
    search(workspace, trials=2)
    path = workspace.studies / "quick.journal"
    with path.open("ab") as file:
        file.write(b'{"op_code":6,"worker_id":"')
    assert search(workspace, trials=3).trials == 3
    assert all(json.loads(line) for line in path.read_text().splitlines())


# The morning


def test_corrected_t_test_is_wider_than_the_plain_one():
    """Against the formula worked by hand: mean 0.2, sd 0.1, n = 5, 5 folds: t = 0.2 / (0.1 * sqrt(1/5 + 1/4)) = 2.98."""
    differences = 0.2 + 0.1 * np.array([-1.0, -1.0, 0.0, 1.0, 1.0])
    assert confirmation.corrected_t_test(differences, folds=5) == pytest.approx(0.0406, abs=2e-4)
    assert confirmation.corrected_t_test(np.zeros(5), folds=5) == 1.0


def test_the_confirmed_winner_becomes_a_pipeline_that_loads(workspace, quick):
    summary = search(workspace, trials=15)
    assert summary.winner
    assert summary.verdict.startswith("Gain confirmed")
    tuned = load("quick_tuned", workspace)
    assert summary.tuned == tuned.file
    assert tuned.experiment.learning_rate == summary.winning_trial.changes["learning_rate"]
    assert tuned.experiment.seeds == (0,)
    assert "p = " in tuned.description and "15 trials" in tuned.description
    for line in tuned.file.read_text().splitlines():
        assert len(line) <= 128


def test_the_start_is_kept_where_nothing_beats_it(workspace, quick):
    summary = search(workspace, trials=6, changes={"learning_rate": 1e-3, "epochs": 3})
    assert summary.winner == trials.START
    assert "start is kept" in summary.verdict
    assert settings(load("quick_tuned", workspace).experiment) == settings(
        load("quick", workspace, {"learning_rate": 1e-3, "epochs": 3}).experiment
    )


def test_a_pipeline_of_the_persons_own_is_not_overwritten(workspace, quick):
    mine = workspace.root / "pipelines" / "quick_tuned.py"
    mine.write_text('"""Mine."""\n')
    assert search(workspace, trials=6).tuned is None
    assert mine.read_text() == '"""Mine."""\n'


def test_the_finalists_are_trained_on_fresh_seeds_and_folds(workspace, quick):
    search(workspace, trials=15)
    rounds = known_trials(workspace, "quick confirmation")
    assert len(rounds) == len({tuple(trial.params.values()) for trial in rounds})
    assert {trial.params["repeat"] for trial in rounds} == set(range(confirmation.REPEATS))
    for trial in rounds:
        assert trial.user_attrs["changes"]["seeds"] == [1000 + trial.params["repeat"]]
        assert trial.user_attrs["changes"]["fold_seed"] == 1000 + trial.params["repeat"]


def test_the_page_opens_from_disk_and_shows_the_study(workspace, quick, monkeypatch):
    monkeypatch.setattr(study, "hopeless", lambda *_: False)  # importances need enough complete trials; leave none to chance
    summary = search(workspace, trials=12)
    page = summary.report.read_text()
    assert not re.search(r"""(src|href)=["'](https?:)?//""", page)
    for words in (
        summary.verdict.replace("'", "&#39;"),
        "Importance",
        "learning_rate",
        "<h2>Time</h2>",
        "<h2>Confirmation</h2>",
    ):
        assert words in page
    assert page.count("<svg") == 2 + 3


# With real training


TRAINED = '''"""A small network for the bundled digits."""
from digit_recognizer.models import networks
from digit_recognizer.experiment import Experiment

EXPERIMENT = Experiment(network=networks.mlp, network_options={"hidden": (16,)},
    learning_rate=1e-2, label_smoothing=0.1, folds=2, epochs=3
)


def suggest(trial):
    return {"learning_rate": trial.suggest_float("learning_rate", 1e-3, 3e-2, log=True)}
'''


@pytest.fixture
def digits(tmp_path):
    workspace = Workspace(tmp_path)
    sources.fetch("bundled", workspace)
    study_worker.workspace_with_pipeline(tmp_path, TRAINED)
    return workspace


def start_study(workspace, on_event, **options):
    """Run `search` in a process of its own; `on_event` names a function of this module or of Python's."""
    program = (
        "import sys; sys.path[:0] = [sys.argv[2]]; from test_tuning import *\n"
        f"if __name__ == '__main__': search(Workspace(Path(sys.argv[1])), {on_event}, **{options})"
    )
    command = [sys.executable, "-u", "-c", program, workspace.root, Path(__file__).parent]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def print_memory(event):
    """Print the process's resident memory in MiB at the end of each trial."""
    if isinstance(event, TrialEnded) and event.state in ("complete", "pruned"):
        print(int(re.search(r"VmRSS:\s*(\d+)", Path("/proc/self/status").read_text())[1]) / 1024)


@pytest.mark.slow
def test_memory_does_not_grow_from_trial_to_trial(digits):
    """Each trial trains in a process that ends with it, so only the study's own process could grow."""
    output, _ = start_study(digits, "print_memory", trials=50, workers=2).communicate()
    memory = [float(line) for line in output.splitlines()]
    print(f"MiB after trial 1: {memory[0]:.1f}, 10: {memory[9]:.1f}, 50: {memory[49]:.1f}")
    assert len(memory) == 50
    assert memory[49] - memory[9] < 10


@pytest.mark.slow
def test_a_real_study_killed_in_its_second_fold_goes_on_there(digits):
    worker = start_study(digits, "print", trials=1)
    read_until(worker, "MemberFinished(")
    worker.kill()
    worker.wait()
    first_fold = digits.studies / "quick" / "trial_0" / "seed_0" / "fold_0" / "metrics.json"
    written = first_fold.stat().st_mtime_ns
    events = []
    summary = search(digits, events.append, trials=1)

    assert {
        one.event.member.fold for one in events if isinstance(one, TrialProgress) and isinstance(one.event, EpochEnded)
    } == {1}
    assert written and summary.trials == 1
    (start,) = summary.complete
    assert start.log_loss < 2
    curve = counted(digits)[0].intermediate_values
    assert sorted(curve) == [1, 2, 3, 4, 5]
    assert curve[5] == pytest.approx(start.log_loss)
    assert curve[3] == pytest.approx(curve[4], rel=0.01), "the epochs' log loss is free of label smoothing, like the fold's"
    assert [path.name for path in (digits.studies / "quick" / "trial_0").iterdir()] == ["oof.npz"]


@pytest.mark.slow
def test_deadline_is_kept_to_within_an_epoch_and_the_trial_goes_on_later(digits):
    summary = search(digits, hours=4 / 3600)
    assert summary.seconds < 40
    assert summary.trials == 0
    assert summary.unfinished == 1
    assert search(digits, trials=1).trials == 1
