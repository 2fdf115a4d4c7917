"""Applying the saved models of a run to images: to `input/test.csv`, if its labels are known, or to others."""

import contextlib
import os
import resource
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from digit_recognizer import backend, metrics
from digit_recognizer.data import dataset
from digit_recognizer.errors import UserError
from digit_recognizer.metrics import Estimate
from digit_recognizer.models import prediction
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.records import read_run_record
from digit_recognizer.runs.run import MemberResult, read_members
from digit_recognizer.workspace import Workspace

ADDRESS_SPACE = 3_600_000_000  # bytes that a process with TensorFlow needs


class Evaluation(NamedTuple):
    """Accuracy on the public test labels of each of a run's models, and of their mean probabilities."""

    models: list[Estimate]
    mean: Estimate


def evaluate_run(run: RunFolder, workspace: Workspace) -> Evaluation:
    """Load a run's saved models and score them on `input/test_labels.csv`.

    Raises:
        UserError: the test labels are not public, there is no trained model, or one is damaged.
    """
    labels = dataset.load_test_labels(workspace)
    if labels is None:
        raise UserError(
            f"{workspace.input} has no {dataset.TEST_LABELS}: this test set's labels are not public; "
            "`make submit` has Kaggle score it, `make report` shows the out-of-fold accuracy"
        )
    predictions = model_probabilities(run, dataset.load_dataset(workspace).test_images)
    mean = metrics.accuracy(labels, predictions.mean(axis=0))
    return Evaluation([metrics.accuracy(labels, one) for one in predictions], mean)


def model_probabilities(run: RunFolder, images: np.ndarray) -> np.ndarray:
    """Return the probabilities of each saved model of a run, float32 (models, n, classes).

    Args:
        images: uint8 (n, height, width, channels) of the shape that the run was trained on.

    Raises:
        UserError: there is no such run, it has no trained model, one is damaged, or the images have another shape.
    """
    record = read_run_record(run)
    if images.shape[1:] != record.dataset.image_shape:
        raise UserError(f"{run} was trained on images of {record.dataset.image_shape}, not {images.shape[1:]}")
    members = _trained_members(run)
    with keras_session():
        return np.stack([prediction.predict(prediction.load_model(one.folder.model), images) for one in members])


def load_models(run: RunFolder) -> list[Any]:
    """Return the models of all finished members, loaded in Keras's safe mode after their checksums were compared.

    Raises:
        UserError: there is no finished member, or a model is damaged.
    """
    return [prediction.load_model(member.folder.model) for member in _trained_members(run)]


def _trained_members(run: RunFolder) -> list[MemberResult]:
    if not (members := read_members(run)):
        raise UserError(f"{run} has no trained model: run `{read_run_record(run).train_command(run.name)}` first")
    return members


@contextlib.contextmanager
def keras_session() -> Iterator[None]:
    """Configure Keras in this process to use all cores, and discard its backend's messages and warnings during the block.

    Raises:
        UserError: the process may not use enough memory; TensorFlow would abort it without a message.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if 0 < limit < ADDRESS_SPACE:  # no limit is -1 or very large
        raise UserError(
            f"a process may only use {limit / 1e9:.1f} GB of memory here (ulimit -v), too little to load models: "
            f"`ulimit -v {ADDRESS_SPACE // 1000}` or more"
        )
    threads = os.cpu_count() or 1
    backend.prepare_environment(threads)
    with backend.without_messages(), warnings.catch_warnings(action="ignore"):
        backend.configure(threads, deterministic=False)
        yield
