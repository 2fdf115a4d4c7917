"""The training of a trial: its figures, its reports, and resuming it."""

import threading

import numpy as np
import pytest
import tiny_run

from digit_recognizer import metrics
from digit_recognizer.backend import Gpu
from digit_recognizer.data.dataset import load_dataset
from digit_recognizer.data.folds import load_folds
from digit_recognizer.experiment import load
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.training import workers
from digit_recognizer.training.events import MemberFinished
from digit_recognizer.tuning import trainer
from digit_recognizer.workspace import Workspace


class Stopped(BaseException):
    """Raised by a callback to end the training."""


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    workspace = tiny_run.make_workspace(tmp_path_factory.mktemp("trainer"))
    changes = {"folds": 2, "epochs": 2, "ema": 0.0, "hard_examples": 0.0}
    return workers.Job(load("tiny", workspace, changes), workspace, RunFolder(workspace.studies / "tiny" / "trial_0"))


@pytest.fixture
def trained(monkeypatch):
    """Train members in this process; return the list of those that are trained."""
    members = []

    def train_members(job, waiting, slots, on_event, length):
        members.extend(waiting)
        dataset, folds = load_dataset(job.workspace), load_folds(job.run.folds)
        workers.train_here(
            job, dataset, folds, [(member, None) for member in waiting], on_event, 1, job.pipeline.experiment.precision
        )

    monkeypatch.setattr(trainer, "train_members", train_members)
    return members


def test_trial_reports_epochs_and_folds_resumes_where_it_was_stopped_and_keeps_only_its_probabilities(job, trained):
    data = load_dataset(Workspace(job.workspace.root))
    epochs, folds = [], []

    def evaluate(on_event):
        return trainer.evaluate(
            job, data, trainer.TrialWorkers(1), on_event, lambda *epoch: epochs.append(epoch), lambda *fold: folds.append(fold)
        )

    def stop_after_first_fold(event):
        if isinstance(event, MemberFinished):
            raise Stopped

    with pytest.raises(Stopped):
        evaluate(stop_after_first_fold)
    assert [epoch for epoch, _ in epochs] == [1, 2]
    assert folds == []
    result = evaluate(lambda event: None)
    assert [member.fold for member in trained] == [0, 1, 1]
    assert [count for count, _ in folds] == [1, 2]
    assert [epoch for epoch, _ in epochs] == [1, 2], "those of the first fold only"

    with np.load(job.run.oof) as archive:
        oof, labels, fold = archive["probabilities"], archive["label"], archive["fold"]
    assert np.array_equal(labels, data.labels)
    assert result.log_loss == folds[-1][1] == metrics.calibrated_log_loss(labels, oof)
    assert result.accuracy == metrics.accuracy(labels, oof)
    expected = [metrics.calibrated_log_loss(labels[fold == one], oof[fold == one]) for one in range(2)]
    assert result.fold_losses == expected
    assert folds[0][1] == pytest.approx(expected[0])
    assert result.rows == len(labels)
    assert result.seconds > 0
    assert [path.name for path in job.run.path.iterdir()] == [job.run.oof.name]

    assert evaluate(lambda event: None) == result
    assert len(trained) == 3


def test_trials_in_parallel_use_different_gpus_and_return_them(monkeypatch):
    gpus = [Gpu(f"GPU-{number}", "A", 8 * 10**9, 0, 8.0) for number in range(2)]
    monkeypatch.setattr(trainer, "usable_gpus", lambda: gpus)
    used, all_started = [], threading.Barrier(4)

    def train_members(job, members, slots, on_event, length):
        used.append(slots.take().gpu.uuid)
        all_started.wait(timeout=20)

    monkeypatch.setattr(trainer, "train_members", train_members)
    workers = trainer.TrialWorkers(4)
    for _ in range(2):
        threads = [threading.Thread(target=workers.train, args=(None, [], None)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(used) == 4 * ["GPU-0"] + 4 * ["GPU-1"]
