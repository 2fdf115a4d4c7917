"""Running a study: which trials count, resuming after an interruption, refused studies."""

import collections
import json
import re
import signal
import time
from pathlib import Path

import optuna
import pytest
import study_worker
from study_worker import counted_trials, known_trials, read_until, search, start

from digit_recognizer.data import sources
from digit_recognizer.errors import DiskFullError, UserError
from digit_recognizer.experiment import load
from digit_recognizer.runs.lifecycle import locked
from digit_recognizer.training.events import EpochEnded
from digit_recognizer.tuning import confirmation, page, study, trainer, trial_loop, trials
from digit_recognizer.tuning.events import ConfirmationStarted, StudyStarted, TrialEnded, TrialProgress
from digit_recognizer.tuning.pruner import CrossValidationPruner
from digit_recognizer.workspace import Workspace


@pytest.fixture
def workspace(tmp_path):
    return study_worker.workspace_with_pipeline(tmp_path)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Replace trainings and pages by fast fakes."""
    monkeypatch.setattr(study, "load_dataset", study_worker.dataset)
    monkeypatch.setattr(trainer, "evaluate", study_worker.quick_evaluate(0))
    monkeypatch.setattr(page, "write_page", lambda path, *others: path)
    monkeypatch.setattr(trial_loop, "POLL_INTERVAL", 0.05)


def trained_folds(workspace):
    return (workspace.root / "trained.txt").read_text().splitlines()


def test_baseline_trial_is_the_first_and_trials_counts_those_of_all_commands(workspace):
    assert search(workspace, trials=2).trials == 2
    first = known_trials(workspace)[0]
    assert trials.is_baseline(first)
    assert first.params["learning_rate"] == 0.04
    assert search(workspace, trials=4).trials == len(counted_trials(workspace)) == 4
    assert search(workspace, trials=4).trials == 4


def test_several_workers_start_no_more_trials_than_asked(workspace):
    assert search(workspace, trials=7, workers=4).trials == len(counted_trials(workspace)) == 7
    assert all(trial.state.is_finished() for trial in known_trials(workspace))


def test_failed_trials_are_recorded_with_their_reason_and_the_study_continues(workspace, monkeypatch):
    monkeypatch.setattr(trial_loop, "MAX_FAILURES", 12)  # trials are drawn at random; nearly all of this range fails
    pipeline = study_worker.PIPELINE.replace("1e-4, 0.04, log=True", "0.03, 100, log=True")
    study_worker.workspace_with_pipeline(workspace.root, pipeline)
    summary = search(workspace, trials=12)
    assert summary.trials == 12
    assert summary.failed
    assert all(reason.startswith("the loss became nan") for reason in summary.failed.values())
    assert summary.best.changes["learning_rate"] <= 0.05


def test_study_ends_with_the_reason_when_one_trial_after_another_fails(workspace, monkeypatch):
    def evaluate(*arguments, **options):
        raise MemoryError("out of memory")

    monkeypatch.setattr(trainer, "evaluate", evaluate)
    with pytest.raises(UserError, match="5 trials failed one after another; the last: MemoryError: out of memory"):
        search(workspace, hours=1)
    assert len(known_trials(workspace)) == trial_loop.MAX_FAILURES


def test_failed_baseline_and_failed_confirmation_are_repeated_by_the_next_command(workspace, monkeypatch):
    def failing_at(name):
        evaluate = study_worker.quick_evaluate(0)

        def fail(job, *arguments, **options):
            if job.run.path.name.startswith(name):
                raise MemoryError("out of memory")
            return evaluate(job, *arguments, **options)

        return fail

    monkeypatch.setattr(trainer, "evaluate", failing_at("trial_0"))
    assert search(workspace, trials=10).winner is None
    monkeypatch.setattr(trainer, "evaluate", failing_at("confirm_10"))  # the repeated baseline trial
    assert search(workspace, trials=10).winner is None
    monkeypatch.setattr(trainer, "evaluate", study_worker.quick_evaluate(0))
    summary = search(workspace, trials=10)
    assert summary.winner is not None
    baselines = [trial for trial in known_trials(workspace) if trials.is_baseline(trial)]
    assert [trials.failed(trial) for trial in baselines] == [True, False]


def test_baseline_trial_is_never_pruned(workspace, monkeypatch):
    monkeypatch.setattr(CrossValidationPruner, "is_worse", lambda *arguments: True)
    summary = search(workspace, trials=3)
    assert [one.is_baseline for one in summary.complete] == [True]
    assert summary.pruned == 2


def test_full_disk_ends_the_study_and_the_trial_is_resumed_later(workspace, monkeypatch):
    def evaluate(job, *arguments, **options):
        if job.run.path.name == "trial_2":
            job.run.path.mkdir(parents=True)
            raise DiskFullError("the disk is full")
        return study_worker.quick_evaluate(0)(job, *arguments, **options)

    monkeypatch.setattr(trainer, "evaluate", evaluate)
    with pytest.raises(DiskFullError):
        search(workspace, trials=4)
    assert (workspace.studies / "quick" / "trial_2").exists()
    interrupted = known_trials(workspace)[2]
    monkeypatch.setattr(trainer, "evaluate", study_worker.quick_evaluate(0))
    summary = search(workspace, trials=4)
    assert (summary.trials, summary.failed) == (4, {})
    assert known_trials(workspace)[2].params == interrupted.params


def test_pruned_trials_are_never_the_best_and_leave_no_files(workspace):
    summary = search(workspace, trials=25)
    pruned = [trial for trial in known_trials(workspace) if trial.state == optuna.trial.TrialState.PRUNED]
    assert summary.pruned == len(pruned) > 0
    assert 0 < summary.pruned_share < 1
    assert not {one.number for one in summary.complete} & {trial.number for trial in pruned}
    assert not (workspace.studies / f"quick/trial_{pruned[0].number}").exists()


def test_pruned_trial_that_was_killed_before_it_was_recorded_is_not_trained_again(workspace, monkeypatch):
    search(workspace, trials=6)
    storage = study.journal.open_journal(workspace.studies / "quick.journal")
    opened = optuna.load_study(study_name="quick", storage=storage)
    trial = opened.ask()
    load("quick", workspace).suggest(trial)
    trial.report(9.0, 5)
    search(workspace, trials=7)
    assert known_trials(workspace)[trial.number].state == optuna.trial.TrialState.PRUNED
    assert not [line for line in trained_folds(workspace) if line.startswith(f"trial_{trial.number} ")]


class Clock:
    """A clock that advances only during training, and stops after the deadline."""

    def __init__(self, deadline):
        self.now, self.deadline = 0.0, deadline

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        if seconds and self.now >= self.deadline:
            time.sleep(0.3)  # until the study's main thread has noticed


@pytest.fixture
def clock(monkeypatch):
    """Return a function that sets the deadline, in seconds, and makes each fold take 20 s."""

    def start(deadline):
        clock = Clock(deadline)
        for module in (study, trial_loop, study_worker):
            monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(trainer, "evaluate", study_worker.quick_evaluate(20))

    return start


def test_hours_include_the_confirmation(workspace, clock):
    clock(1818)  # no multiple of an epoch's 5 s: nothing ends just then
    events = []
    summary = search(workspace, events.append, hours=1818 / 3600)
    assert 1000 < summary.seconds < 1818
    assert summary.trials > 10
    assert summary.winner is not None
    assert all(one.repeats == confirmation.REPEATS for one in summary.confirmed)
    kinds = [type(event) for event in events if isinstance(event, StudyStarted | ConfirmationStarted)]
    assert kinds == [StudyStarted, ConfirmationStarted]


def test_deadline_interrupts_a_confirmation_that_the_same_command_resumes(workspace, clock, monkeypatch):
    clock(330)  # a trial takes 60 s, the confirmation 240 s or more
    summary = search(workspace, hours=330 / 3600)
    assert 330 <= summary.seconds < 350
    assert summary.winner is None or summary.confirmed[0].repeats < confirmation.REPEATS
    trained = trained_folds(workspace)
    assert any(line.startswith("confirm_") for line in trained)
    monkeypatch.setattr(trainer, "evaluate", study_worker.quick_evaluate(0))
    assert search(workspace, trials=summary.trials).winner is not None
    again = trained_folds(workspace)
    assert again[: len(trained)] == trained and len(set(again)) == len(again), "a finished fold was trained twice"


def test_neither_hours_nor_trials_is_refused(workspace):
    with pytest.raises(UserError, match="HOURS=8"):
        search(workspace)


def test_trials_of_other_settings_search_space_or_code_are_refused(workspace):
    search(workspace, trials=1)
    with pytest.raises(UserError, match=r"settings\.epochs: 4 -> 5"):
        search(workspace, trials=2, changes={"epochs": 5})
    study_worker.workspace_with_pipeline(workspace.root, study_worker.PIPELINE.replace("0, 20)", "0, 30)"))
    with pytest.raises(UserError, match=r"search space\.augmentation\.rotation.*code of the pipeline"):
        search(workspace, trials=2)
    other_words = study_worker.PIPELINE.replace("A pipeline to tune.", "Other words.")
    study_worker.workspace_with_pipeline(workspace.root, other_words + "# a comment\n")
    assert search(workspace, trials=2).trials == 2


def test_second_command_on_the_same_journal_is_refused(workspace):
    with locked(workspace.studies / "quick"), pytest.raises(UserError, match="is being written by process"):
        search(workspace, trials=1)


# Data of a study never decides which code is executed, sets nothing outside the search space and names no path outside.


def test_settings_in_a_studys_attributes_are_not_used(workspace):
    search(workspace, trials=3)
    storage = study.journal.open_journal(workspace.studies / "quick.journal")
    forged = {"network": "os.system", "epochs": 10**6, "changes": {"network": "os.system"}}
    for number in range(3):
        for name, value in forged.items():
            append_attribute(storage, number, name, value)
    summary = search(workspace, trials=4)
    names = {"learning_rate", "network_options.dropout", "augmentation.rotation"}
    assert all(set(one.changes) == names for one in summary.complete)


def test_trial_number_that_is_a_path_is_refused(workspace):
    search(workspace, trials=2)
    outside = workspace.root / "outside"
    outside.mkdir()
    (outside / "mine.txt").write_text("mine")
    storage = study.journal.open_journal(workspace.studies / "quick.journal")
    opened = optuna.load_study(study_name="quick", storage=storage)
    opened.enqueue_trial({})
    append_attribute(storage, 2, "failed_trial", "0/../../../outside", system=True)
    with pytest.raises(UserError, match="the study is damaged: trial 2"):
        search(workspace, trials=3)
    assert (outside / "mine.txt").exists()


def append_attribute(storage, number, name, value, *, system=False):
    """Write an attribute of a trial of the first study without Optuna's checks."""
    operation = optuna.storages.journal._storage.JournalOperation
    kind, field = (operation.SET_TRIAL_SYSTEM_ATTR, "system_attr") if system else (operation.SET_TRIAL_USER_ATTR, "user_attr")
    trial_id = storage.get_trial_id_from_study_id_trial_number(0, number)
    storage._backend.append_logs([{"op_code": kind, "worker_id": "x", "trial_id": trial_id, field: {name: value}}])


# Interruptions


@pytest.mark.slow
def test_kill_at_any_point_loses_and_repeats_no_fold(workspace):
    for text in ("TrialStarted(trial=1,", "TrialStarted(trial=3,", "repeat=0"):
        worker = start(workspace, 0.15, trials=4)
        read_until(worker, text)
        worker.kill()
        worker.wait()
    summary = search(workspace, trials=4)

    assert summary.trials == len(known_trials(workspace)) == 4
    trained = collections.Counter(trained_folds(workspace))
    assert set(trained.values()) == {1}, "a finished fold was trained twice"
    assert summary.winner is not None


def test_ctrl_c_ends_with_the_summary_so_far(workspace):
    worker = start(workspace, 0.3, hours=1)
    read_until(worker, "TrialStarted(trial=1,")
    worker.send_signal(signal.SIGINT)
    output, _ = worker.communicate(timeout=120)
    assert worker.returncode == 0, output
    assert json.loads(output.splitlines()[-1]) | {"verdict": ""} == {"trials": 1, "interrupted": True, "verdict": ""}
    assert "Traceback" not in output
    assert [trial.state.name for trial in known_trials(workspace)] == ["COMPLETE", "WAITING"]


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
def digits(tmp_path, monkeypatch):
    monkeypatch.undo()  # train with the real functions
    workspace = Workspace(tmp_path)
    sources.fetch("bundled", workspace)
    return study_worker.workspace_with_pipeline(tmp_path, TRAINED)


def start_training(workspace, on_event, **options):
    """Run `search` in another process; `on_event` names a function of this module or of Python's."""
    program = (
        "import sys; sys.path[:0] = [sys.argv[2]]; from test_tuning_study import *\n"
        f"if __name__ == '__main__': search(Workspace(Path(sys.argv[1])), {on_event}, **{options})"
    )
    return study_worker.start_program(["-u", "-c", program, workspace.root, Path(__file__).parent])


def print_memory(event):
    """Print the process's resident memory in MiB at the end of each trial of the search."""
    if isinstance(event, TrialEnded) and event.repeat is None and event.state != "failed":
        print(int(re.search(r"VmRSS:\s*(\d+)", Path("/proc/self/status").read_text())[1]) / 1024)


@pytest.mark.slow
def test_memory_does_not_grow_from_trial_to_trial(digits):
    """Each trial trains in a process that ends with it, so only the memory of the study's process could grow."""
    output, _ = start_training(digits, "print_memory", trials=50, workers=2).communicate()
    memory = [float(line) for line in output.splitlines()]
    print(f"MiB after trial 1: {memory[0]:.1f}, 10: {memory[9]:.1f}, 50: {memory[49]:.1f}")
    assert len(memory) == 50
    assert memory[49] - memory[9] < 10


@pytest.mark.slow
def test_real_study_killed_in_its_second_fold_is_resumed_there(digits):
    worker = start_training(digits, "print", trials=1)
    read_until(worker, "MemberFinished(")
    worker.kill()
    worker.wait()
    events = []
    summary = search(digits, events.append, trials=1)

    progress = [event.event for event in events if isinstance(event, TrialProgress)]
    assert {event.member.fold for event in progress if isinstance(event, EpochEnded)} == {1}
    assert summary.trials == 1
    (baseline,) = summary.complete
    assert baseline.log_loss < 2
    curve = counted_trials(digits)[0].intermediate_values
    assert sorted(curve) == [1, 2, 3, 4, 5]
    assert curve[5] == pytest.approx(baseline.log_loss)
    assert curve[3] == pytest.approx(curve[4], rel=0.01), "the epochs' log loss has no label smoothing, like the fold's"
    assert [path.name for path in (digits.studies / "quick" / "trial_0").iterdir()] == ["oof.npz"]


@pytest.mark.slow
def test_deadline_is_kept_to_within_an_epoch_and_the_trial_is_resumed_later(digits):
    summary = search(digits, hours=4 / 3600)
    assert summary.seconds < 40
    assert summary.trials == 0
    assert summary.unfinished == 1
    assert search(digits, trials=1).trials == 1
