"""The workloads of `make bench`: parts of this project, alternatives, and limits of the machine; see `timing.Workload`."""

import itertools
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from digit_recognizer.bench import plain_script
from digit_recognizer.bench.timing import Report
from digit_recognizer.experiment import Augmentation, Experiment, Pipeline, load
from digit_recognizer.training.events import EpochEnded, Event, OnEvent, StepEnded
from digit_recognizer.workspace import Workspace

ENDLESS = 1_000_000  # steps or epochs: the workload is killed earlier
COPIED = 128 << 20  # bytes; larger than the caches
SIDE = 2048  # of the matrices that a CPU multiplies


def augmentation(report: Report, policy: Augmentation, batch: int) -> None:
    """Augment a batch of the bundled digits on one core; counts images."""
    import cv2

    from digit_recognizer import augmentation
    from digit_recognizer.data.sources import bundled

    cv2.setNumThreads(1)
    images = bundled.load().images[:batch]
    change, random = augmentation.build(policy, images.shape[1:]), np.random.default_rng(0)
    _repeat(report, lambda: len(change(images, random)))


def reading_checked(report: Report, workspace: Workspace) -> None:
    """Read and check the CSV files; counts readings of both."""
    from digit_recognizer.data.dataset import load_dataset, read_arrays

    data = load_dataset(workspace)
    _repeat(report, lambda: len(read_arrays(workspace.input, data.classes, data.image_shape)) > 0)


def reading_cached(report: Report, workspace: Workspace) -> None:
    """Load the data from the cache, as every command does; counts loads."""
    from digit_recognizer.data.dataset import load_dataset

    _repeat(report, lambda: len(load_dataset(workspace).labels) > 0)


def reading_with_pandas(report: Report, workspace: Workspace) -> None:
    """Read train.csv and test.csv as notebooks do; counts readings of both."""
    import pandas as pd

    def read() -> int:
        frames = [pd.read_csv(workspace.input / name) for name in ("train.csv", "test.csv")]
        return len([frame.to_numpy() for frame in frames]) // 2

    _repeat(report, read)


def training(report: Report, pipeline: Path, changes: dict[str, Any], workspace: Workspace, jobs: int) -> None:
    """Train a pipeline as `make train` does, in a temporary workspace; counts each member's images."""
    loaded = load(str(pipeline), workspace, {**changes, "steps_per_epoch": ENDLESS})

    def on_event(event: Event) -> None:
        if isinstance(event, StepEnded):
            report((event.epoch * event.steps + event.step) * loaded.experiment.batch_size, str(event.member))

    _train(loaded, workspace, jobs, None, on_event)


def training_to_accuracy(report: Report, pipeline: Path, changes: dict[str, Any], workspace: Workspace) -> None:
    """Train fold 0 as `make train` does; reports 0 during an epoch, then its validation accuracy."""

    def on_event(event: Event) -> None:
        if isinstance(event, StepEnded):
            report(0.0)
        elif isinstance(event, EpochEnded) and event.val_accuracy is not None:
            report(event.val_accuracy)

    _train(load(str(pipeline), workspace, changes), workspace, 1, [0], on_event)


def _train(pipeline: Pipeline, workspace: Workspace, jobs: int, folds: list[int] | None, on_event: OnEvent) -> None:
    from digit_recognizer.training.cross_validation import Request, train

    with tempfile.TemporaryDirectory() as folder:
        inner = Workspace(Path(folder))
        inner.input.symlink_to(workspace.input.resolve())
        train(Request(pipeline, "bench", folds, jobs=jobs), inner, on_event)


def plain_training(report: Report, pipeline: Path, changes: dict[str, Any], workspace: Workspace) -> None:
    """Train the same network with the plain script on fold 0; counts images."""
    from keras.callbacks import LambdaCallback

    experiment, batches = load(str(pipeline), workspace, changes).experiment, itertools.count(1)
    counter = LambdaCallback(on_train_batch_end=lambda batch, logs: report(next(batches) * experiment.batch_size))
    _train_plainly(experiment, workspace, ENDLESS, counter, validated=False)


def plain_training_to_accuracy(report: Report, pipeline: Path, changes: dict[str, Any], workspace: Workspace) -> None:
    """Train the same network with the plain script on fold 0; reports 0 in each epoch, then its validation accuracy."""
    from keras.callbacks import LambdaCallback

    experiment = load(str(pipeline), workspace, changes).experiment
    reporter = LambdaCallback(
        on_train_batch_end=lambda batch, logs: batch or report(0.0),
        on_epoch_end=lambda epoch, logs: report(logs["val_accuracy"]),
    )
    _train_plainly(experiment, workspace, experiment.epochs, reporter, validated=True)


def _train_plainly(experiment: Experiment, workspace: Workspace, epochs: int, callback: Any, *, validated: bool) -> None:
    from digit_recognizer.data.dataset import load_dataset
    from digit_recognizer.data.folds import stratified_folds

    data = load_dataset(workspace)
    held_out = stratified_folds(data.labels, experiment.folds, experiment.fold_seed) == 0
    validation = (data.images[held_out], data.labels[held_out]) if validated else None
    plain_script.train(experiment, data.images[~held_out], data.labels[~held_out], validation, epochs, [callback])


def prediction(report: Report, pipeline: Path, changes: dict[str, Any], workspace: Workspace) -> None:
    """Predict as a member does after training; counts images."""
    from digit_recognizer import backend
    from digit_recognizer.data.dataset import load_dataset
    from digit_recognizer.models import prediction
    from digit_recognizer.models.build_model import build_model

    experiment, data = load(str(pipeline), workspace, changes).experiment, load_dataset(workspace)
    backend.configure(experiment.threads, deterministic=False)
    import keras

    from digit_recognizer.models.layers import plain

    keras.config.set_dtype_policy(backend.precision(experiment.precision))
    model = plain(build_model(experiment, data.image_shape, len(data.classes), 0.0, 1.0), max(experiment.digit_widths))
    images = data.images[: 4 * prediction.BATCH_SIZE]
    _repeat(report, lambda: len(prediction.predict(model, images)))


def matrix_products(report: Report) -> None:
    """Multiply large square matrices on the training device; counts floating-point operations."""
    from digit_recognizer import backend

    backend.configure(backend.cpu_cores(), deterministic=False)
    import keras

    side = 4 * SIDE if backend.gpus() else SIDE
    kind = keras.DTypePolicy(backend.precision("auto")).compute_dtype
    matrix = keras.ops.cast(keras.random.normal((side, side)), kind)

    def multiply() -> float:
        float(keras.ops.cast(keras.ops.matmul(matrix, matrix)[0, 0], "float32"))
        return 2.0 * side**3

    _repeat(report, multiply)


def memory_copies(report: Report, cores: int) -> None:
    """Copy large arrays on some cores; counts bytes read and written."""
    pairs = [(np.ones(COPIED // cores, np.uint8), np.ones(COPIED // cores, np.uint8)) for _ in range(cores)]
    with ThreadPoolExecutor(cores) as pool:
        _repeat(report, lambda: 2 * sum(pool.map(lambda pair: np.copyto(*pair) or pair[0].nbytes, pairs)))


def _repeat(report: Report, work: Callable[[], float]) -> None:
    """Repeat `work` and report the sum of what it returns."""
    total = 0.0
    while True:
        total += work()
        report(total)
