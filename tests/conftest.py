"""Fixtures and settings of all tests: no GPU, quiet libraries, none of the user's settings."""

import os
import shutil
import signal
import sys

import pytest

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["MPLBACKEND"] = "Agg"

# A shell that starts the tests in the background has Ctrl-C ignored, and the processes that the tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_user_settings(monkeypatch):
    for name in ("OPTUNA_STORAGE", "KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "COLUMNS", "MAKEFLAGS", "MAKELEVEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _keras_in_float32():
    """Undo the precision that a training in this process has set for all models to come."""
    yield
    if keras := sys.modules.get("keras"):
        keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def bundled(tmp_path_factory):
    """A workspace with the bundled digits, which no test may change."""
    from digit_recognizer.data import sources
    from digit_recognizer.workspace import Workspace

    workspace = Workspace(tmp_path_factory.mktemp("bundled"))
    sources.fetch("bundled", workspace)
    return workspace


@pytest.fixture
def no_explanations(monkeypatch):
    """Omit explanations from reports: runs with invented predictions have no models."""
    from digit_recognizer.report import explanation_tasks

    monkeypatch.setattr(explanation_tasks, "plan", lambda *_: explanation_tasks.ExplanationPlan([], []))


@pytest.fixture(scope="session")
def noise():
    """Twenty images of noise, two of each class."""
    import numpy as np

    from digit_recognizer.data.dataset import DIGITS, Dataset

    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28, 1)).astype(np.uint8)
    return Dataset(images, np.arange(20) % 10, images[:4], DIGITS, sha256="", source="drawn", competition=False)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A workspace with the pipeline `tiny` and some of the bundled digits; tests only add runs to it."""
    from tiny_run import make_workspace

    return make_workspace(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def trained(tiny):
    """The folder of a run of `tiny`, two folds and two seeds, which no test may change."""
    from tiny_run import request, train_here

    train_here(request(tiny, "trained", folds=2, seeds=(0, 1)), tiny)
    return tiny.run("trained")


@pytest.fixture
def copied(trained, tiny, tmp_path):
    """A copy of the workspace with only that run, which a test may damage."""
    for name in ("input", "pipelines", "runs/trained"):
        shutil.copytree(tiny.root / name, tmp_path / name)
    return type(tiny)(tmp_path)
