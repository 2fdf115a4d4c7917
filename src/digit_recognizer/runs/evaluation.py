"""The saved models of a run on images with known labels, and two runs image by image."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from digit_recognizer import backend, files, metrics
from digit_recognizer.data import dataset
from digit_recognizer.errors import UserError
from digit_recognizer.metrics import Estimate
from digit_recognizer.models import prediction
from digit_recognizer.workspace import Workspace


class Evaluation(NamedTuple):
    """Accuracy on the public test labels of a run's models, each alone, and of their mean probabilities."""

    models: list[Estimate]
    mean: Estimate


def evaluate_run(run: Path, workspace: Workspace) -> Evaluation:
    """Load a run's saved models and score them on `input/test_labels.csv`.

    Raises:
        UserError: the test labels are not public, or there is no trained model.
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


def model_probabilities(run: Path, images: np.ndarray) -> np.ndarray:
    """Return what each saved model of a run says, float32 (models, n, classes), with the run's test-time augmentation.

    Args:
        images: uint8 (n, height, width, channels) as the run was trained on.

    Raises:
        UserError: there is no such run, it has no trained model, or the images have another shape.
    """
    record = run_record(run)
    if list(images.shape[1:]) != record["dataset"]["image_shape"]:
        raise UserError(f"{run} was trained on images of {record['dataset']['image_shape']}, not {list(images.shape[1:])}")
    with keras_at_hand():
        models = prediction.load_models(run)
        return np.stack([prediction.predict(model, images, record["settings"]["tta"]) for model in models])


def run_record(run: Path) -> dict:
    """Return the run's experiment.json.

    Raises:
        UserError: there is no such run, or the file is damaged.
    """
    if not run.is_dir():
        raise UserError(f"there is no run {run.name} in {run.parent}: `make status` lists the runs, `make train` makes one")
    return files.read_json(run / "experiment.json")


@contextlib.contextmanager
def keras_at_hand() -> Iterator[None]:
    """Let Keras compute in this process, with all cores and without what its backend prints past Python."""
    threads = os.cpu_count() or 1
    backend.prepare_environment(threads)
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        backend.configure(threads, deterministic=False)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
