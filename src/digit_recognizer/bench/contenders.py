"""What `make bench` times: parts of this project, the usual ways, and the machine alone. Each is a `racing.Work`."""

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from digit_recognizer.bench import plain_script
from digit_recognizer.bench.racing import Tick
from digit_recognizer.experiment import Augmentation, Experiment, load
from digit_recognizer.runs.member import Member
from digit_recognizer.training.events import EpochEnded, Event, OnEvent, StepEnded
from digit_recognizer.workspace import Workspace

ENDLESS = 1_000_000  # steps or epochs: more than anybody waits for
COPIED = 128 << 20  # bytes, more than the caches hold
SIDE = 2048  # of the matrices multiplied on a CPU


def augmentation(tick: Tick, policy: Augmentation, batch: int) -> None:
    """Augment a batch of the bundled digits again and again, on one core; counts images."""
    import cv2

    from digit_recognizer import augmentation
    from digit_recognizer.data.sources import bundled

    cv2.setNumThreads(1)
    images = bundled.load().images[:batch]
    change, random = augmentation.build(policy, images.shape[1:]), np.random.default_rng(0)
    _repeat(tick, lambda: len(change(images, random)))


def reading_checked(tick: Tick, workspace: Workspace) -> None:
    """Read and check the CSV files; counts readings."""
    from digit_recognizer.data.dataset import load_dataset, read_arrays

    data = load_dataset(workspace)
    _repeat(tick, lambda: len(read_arrays(workspace.input, data.classes, data.image_shape)) > 0)


def reading_cached(tick: Tick, workspace: Workspace) -> None:
    """Load the data as every command does; counts loads."""
    from digit_recognizer.data.dataset import load_dataset

    _repeat(tick, lambda: len(load_dataset(workspace).labels) > 0)


def reading_with_pandas(tick: Tick, workspace: Workspace) -> None:
    """Read train.csv and test.csv as notebooks do; counts readings of both."""
    import pandas as pd

    def read() -> int:
        frames = [pd.read_csv(workspace.input / name) for name in ("train.csv", "test.csv")]
        return len([frame.to_numpy() for frame in frames]) // 2

    _repeat(tick, read)


def training(tick: Tick, pipeline: Path, changes: dict[str, Any], workspace: Workspace, jobs: int) -> None:
    """Train a pipeline with `make train`'s own function in a workspace of its own; counts each member's images."""
    changes = {**changes, "steps_per_epoch": ENDLESS}
    counter = _image_counter(tick, load(str(pipeline), workspace, changes).experiment.batch_size)
    _train(pipeline, changes, workspace, jobs, None, counter)


def training_to_accuracy(tick: Tick, pipeline: Path, changes: dict[str, Any], workspace: Workspace) -> None:
    """Train fold 0 with `make train`'s own function; reports the validation accuracy of each epoch."""

    _train(pipeline, changes, workspace, 1, [0], _accuracies(tick))


def _train(
    pipeline: Path,
    changes: dict[str, Any],
    workspace: Workspace,
    jobs: int,
    folds: list[int] | None,
    on_event: OnEvent,
) -> None:
    from digit_recognizer.training.cross_validation import Request, train

    with tempfile.TemporaryDirectory() as folder:
        inner = Workspace(Path(folder))
        inner.input.symlink_to(workspace.input.resolve())
        train(Request(load(str(pipeline), workspace, changes), "bench", folds, jobs=jobs), inner, on_event)


def plain_training(tick: Tick, pipeline: Path, changes: dict[str, Any], workspace: Workspace) -> None:
    """Train the same network by the plain script on fold 0; counts images."""
    experiment = load(str(pipeline), workspace, changes).experiment
    counted = _image_counter(tick, experiment.batch_size)
    _train_plainly(experiment, workspace, ENDLESS, counted, validated=False)


def plain_training_to_accuracy(tick: Tick, pipeline: Path, changes: dict[str, Any], workspace: Workspace) -> None:
    """Train the same network by the plain script on fold 0; reports the validation accuracy of each epoch."""
    experiment = load(str(pipeline), workspace, changes).experiment
    _train_plainly(experiment, workspace, experiment.epochs, _accuracies(tick), validated=True)


def _train_plainly(experiment: Experiment, workspace: Workspace, epochs: int, on_event: OnEvent, validated: bool) -> None:
    from digit_recognizer.data.dataset import load_dataset
    from digit_recognizer.data.folds import stratified_folds

    data = load_dataset(workspace)
    held_out = stratified_folds(data.labels, experiment.folds, experiment.fold_seed) == 0
    validation = (data.images[held_out], data.labels[held_out]) if validated else None
    rows = ~held_out
    callbacks = [_events(on_event, experiment.batch_size)]
    plain_script.train(experiment, data.images[rows], data.labels[rows], validation, epochs, callbacks)


def _events(on_event: OnEvent, batch_size: int) -> Any:
    """Return a callback that tells of the plain script what `train` tells of its own trainings."""
    from digit_recognizer.training.callbacks import Reporter

    member = Member(seed=0, fold=0)

    class Events(Reporter):
        def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
            figures = {name: logs.get(name) for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
            on_event(EpochEnded(member, epoch + 1, learning_rate=0.0, seconds=0.0, **figures))

    return Events(on_event, member, batch_size)


def prediction(tick: Tick, pipeline: Path, changes: dict[str, Any], workspace: Workspace) -> None:
    """Predict as a member does after its training; counts images."""
    from digit_recognizer import backend
    from digit_recognizer.data.dataset import load_dataset
    from digit_recognizer.models import prediction
    from digit_recognizer.models.build_model import build_model

    experiment, data = load(str(pipeline), workspace, changes).experiment, load_dataset(workspace)
    backend.configure(experiment.threads, deterministic=False)
    import keras

    keras.config.set_dtype_policy(backend.precision(experiment.precision))
    model = build_model(experiment, data.image_shape, len(data.classes), 0.0, 1.0)
    images = data.images[: 4 * prediction.BATCH_SIZE]
    _repeat(tick, lambda: len(prediction.predict(model, images, experiment.tta)))


def matrix_products(tick: Tick) -> None:
    """Multiply large square matrices on the device that trains; counts floating-point operations."""
    from digit_recognizer import backend

    backend.configure(len(os.sched_getaffinity(0)), deterministic=False)
    import keras

    side = 4 * SIDE if backend.gpus() else SIDE
    kind = keras.DTypePolicy(backend.precision("auto")).compute_dtype
    matrix = keras.ops.cast(keras.random.normal((side, side)), kind)

    def multiply() -> float:
        float(keras.ops.cast(keras.ops.matmul(matrix, matrix)[0, 0], "float32"))
        return 2.0 * side**3

    _repeat(tick, multiply)


def memory_copies(tick: Tick, cores: int) -> None:
    """Copy more than the caches hold on some cores; counts bytes read and written."""
    pairs = [(np.ones(COPIED // cores, np.uint8), np.ones(COPIED // cores, np.uint8)) for _ in range(cores)]
    with ThreadPoolExecutor(cores) as pool:
        _repeat(tick, lambda: 2 * sum(pool.map(lambda pair: np.copyto(*pair) or pair[0].nbytes, pairs)))


def _repeat(tick: Tick, work: Callable[[], float]) -> None:
    """Do `work` for ever and tick with the sum of what it returns."""
    total = 0.0
    while True:
        total += work()
        tick(total)


def _image_counter(tick: Tick, batch_size: int) -> OnEvent:
    def on_event(event: Event) -> None:
        if isinstance(event, StepEnded):
            tick((event.epoch * event.steps + event.step) * batch_size, str(event.member))

    return on_event


def _accuracies(tick: Tick) -> OnEvent:
    """Tick when the first step is done, start-up and compiling over, then with each epoch's validation accuracy."""
    begun = False

    def on_event(event: Event) -> None:
        nonlocal begun
        if isinstance(event, StepEnded) and not begun:
            begun = True
            tick(0.0)
        if isinstance(event, EpochEnded) and event.val_accuracy is not None:
            tick(event.val_accuracy)

    return on_event
