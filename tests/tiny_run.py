"""A tiny workspace of bundled digits and tiny pipelines, for tests that really train."""

import functools
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from digit_recognizer import experiment
from digit_recognizer.data import sources
from digit_recognizer.data.dataset import Dataset, load_dataset
from digit_recognizer.data.folds import load_folds
from digit_recognizer.runs.member import Member
from digit_recognizer.training import cross_validation, workers
from digit_recognizer.training.cross_validation import Request
from digit_recognizer.training.events import EpochEnded, Event, MemberFinished, OnEvent, Warned, ignore
from digit_recognizer.training.members import split_rows
from digit_recognizer.workspace import Workspace

# Uses every part of training that has a state across epochs, and a random layer.
PIPELINE = '''"""A tiny net."""

from digit_recognizer.experiment import Augmentation, Checkpoint, EarlyStopping, Experiment, ReduceLROnPlateau


def network(x, classes, hidden=16):
    from keras import layers

    x = layers.Dense(hidden, activation="relu")(layers.Flatten()(x))
    x = layers.BatchNormalization()(x)
    return layers.Dense(classes, activation="softmax")(layers.Dropout(0.2)(x))


EXPERIMENT = Experiment(
    network=network,
    folds=4,
    epochs=4,
    batch_size=32,
    hard_examples=0.5,
    learning_rate=0.01,
    ema=0.8,
    augmentation=Augmentation(rotation=10, zoom=0.1, shift=0.05),
    early_stopping=EarlyStopping(patience=6),
    reduce_lr_on_plateau=ReduceLROnPlateau(patience=1, min_learning_rate=1e-6),
    checkpoint=Checkpoint("val_loss"),
)
'''


def make_workspace(root: Path, rows: int = 160, test_rows: int = 40, test_labels: bool = False) -> Workspace:
    """Return a workspace with some of the bundled digits, fetched from the files in `some`, and the pipeline `tiny`."""
    shutil.copytree(_fetched(rows, test_rows, test_labels).name, root, dirs_exist_ok=True)
    (root / "pipelines").mkdir()
    (root / "pipelines" / "tiny.py").write_text(PIPELINE)
    return Workspace(root)


@functools.cache
def _fetched(rows: int, test_rows: int, test_labels: bool) -> tempfile.TemporaryDirectory:
    """Return the folder of a workspace, which lasts as long as the process; making it takes a second."""
    folder = tempfile.TemporaryDirectory()
    root = Path(folder.name)
    (root / "some").mkdir()
    counts = {"train.csv": rows, "test.csv": test_rows, "sample_submission.csv": test_rows}
    with tempfile.TemporaryDirectory() as bundled:
        full = Workspace(Path(bundled))
        sources.fetch("bundled", full)
        for name, count in (counts | ({"test_labels.csv": test_rows} if test_labels else {})).items():
            lines = (full.input / name).read_text().splitlines(keepends=True)
            (root / "some" / name).write_text("".join(lines[: count + 1]))
    sources.fetch(str(root / "some"), Workspace(root))
    return folder


def copy_with_run(workspace: Workspace, run: str, root: Path) -> Workspace:
    """Return a copy of a workspace with only that run."""
    for name in ("input", "pipelines", f"runs/{run}"):
        shutil.copytree(workspace.root / name, root / name)
    return Workspace(root)


def request(workspace: Workspace, run: str = "tiny", *, only=None, full=False, jobs=1, force=False, **changes) -> Request:
    """Return the request to train `tiny`; `only` are the FOLDS; `augmentation__rotation=5` sets a nested field."""
    changes = {name.replace("__", "."): value for name, value in changes.items()}
    pipeline = experiment.load("tiny", workspace, changes)
    return Request(pipeline, run, folds=only, full=full, jobs=jobs, force=force)


def compiled(wanted: experiment.Experiment, dataset: Dataset, member: Member = Member(0, 0)):  # noqa: B008
    """Return the model of a member of two folds."""
    from digit_recognizer.training.compiled_model import build_compiled_model

    split = split_rows(np.arange(len(dataset.labels)) // (len(dataset.labels) // 2), member.fold)
    return build_compiled_model(wanted, dataset, split, member, steps_per_epoch=1)


def environment(**more: str) -> dict[str, str]:
    """Return the environment for a process of `digit-recognizer`."""
    return {**os.environ, "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "3", **more}


def probabilities(run: Path) -> dict[str, bytes]:
    """Return the bytes of a run's OOF and test probabilities."""
    found = {}
    for name in ("oof.npz", "test.npz"):
        with np.load(run / name) as archive:
            found[name] = archive["probabilities"].tobytes()
    return found


def history(member: Path) -> pd.DataFrame:
    """Return a member's history without the columns of times."""
    return pd.read_csv(member / "history.csv").drop(columns="seconds")


def scores(run: Path, member: str = "seed_0/fold_0") -> dict:
    """Return a member's metrics.json."""
    return json.loads((run / member / "metrics.json").read_text("utf-8"))


def train_here(wanted: Request, workspace: Workspace, on_event: OnEvent = ignore):
    """Do as `cross_validation.train`, but train the members in this process, which is faster."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "train_members", _train_members_here)
        return cross_validation.train(wanted, workspace, on_event)


def train_one(workspace: Workspace, run: str, **changes) -> Path:
    """Train fold 0 of `tiny` and return the run's folder."""
    train_here(request(workspace, run, only=[0], **changes), workspace)
    return workspace.run(run)


def trained_again(workspace: Workspace, **options) -> list[Event]:
    """Train the run of the fixture `trained` again; return the events."""
    events: list[Event] = []
    train_here(request(workspace, "trained", **{"folds": 2, "seeds": (0, 1)} | options), workspace, events.append)
    return events


def warnings_in(events: list[Event]) -> list[str]:
    return [event.message for event in events if isinstance(event, Warned)]


def trained_in(events: list[Event]) -> set[str]:
    """Return the members that were trained."""
    return {str(event.member) for event in events if isinstance(event, MemberFinished)}


class StoppedError(Exception):
    """Raised by `stop_after` to end a training."""


def stop_after(epoch: int) -> OnEvent:
    """Return an `on_event` that ends the training of a member after this epoch."""

    def on_event(event: Event) -> None:
        if isinstance(event, EpochEnded) and event.epoch == epoch:
            raise StoppedError

    return on_event


def rehearse_here(requests, name, part, workspace):
    """Do as `rehearse.rehearse_part`, but train the members in this process."""
    from digit_recognizer.rehearsal import rehearse

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "train_members", _train_members_here)
        return rehearse.rehearse_part(requests, name, part, workspace)


def _train_members_here(job, members, jobs, on_event, length=workers.own_length):
    import keras

    policy = keras.config.dtype_policy()  # which training sets for its process
    try:
        dataset, folds = load_dataset(job.workspace), load_folds(job.run.folds)
        assignments = ((member, length(member)) for member in members)
        workers.train_here(job, dataset, folds, assignments, on_event, 1, job.pipeline.experiment.precision)
    finally:
        keras.config.set_dtype_policy(policy)
