"""Fixtures and settings of all tests: no GPU, quiet libraries, none of the user's settings."""

import io
import os
import signal
import sys

import numpy as np
import pytest
from rich.console import Console

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
def bundled_copy(bundled, tmp_path):
    """A workspace with the bundled digits, to which a test may add files."""
    from digit_recognizer.workspace import Workspace

    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "input").symlink_to(bundled.input)
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def nearly_right(bundled):
    """Probabilities that are right for all test images of the bundled digits but the first three."""
    from digit_recognizer.data import dataset

    labels = dataset.load_test_labels(bundled).copy()
    labels[:3] = (labels[:3] + 1) % 10
    return np.eye(10, dtype=np.float32)[labels]


@pytest.fixture
def submission(bundled_copy, nearly_right):
    """The path of a submission in `bundled_copy`."""
    from kaggle_server import BLEND

    from digit_recognizer.submission.submission_file import write_submission

    path = bundled_copy.submissions / "fast+baseline.csv"
    write_submission(path, nearly_right, bundled_copy, BLEND)
    return path


@pytest.fixture
def two_pipelines(tmp_path):
    """A workspace with the pipelines `a` and `b`, and `both`, which blends them."""
    from pipeline_files import write_pipeline

    from digit_recognizer.workspace import Workspace

    workspace = Workspace(tmp_path)
    for name in "ab":
        write_pipeline(workspace, name)
    write_pipeline(workspace, "both", "members=('a', 'b')")
    return workspace


@pytest.fixture
def console():
    """A console of 200 columns that writes to memory: `console.file.getvalue()`."""
    return Console(file=io.StringIO(), width=200, highlight=False)


@pytest.fixture
def quick_reports(monkeypatch):
    """Omit the slow parts of reports."""
    from synthetic_run import omit_slow_parts

    omit_slow_parts(monkeypatch)


@pytest.fixture(scope="session")
def bars():
    """600 images of bars, 60 of each class."""
    from synthetic_run import make_dataset

    return make_dataset(600)


@pytest.fixture(scope="session")
def synthetic_run(tmp_path_factory, bars):
    """The folder of a run on `bars` with made-up predictions, which no test may change."""
    from synthetic_run import make_run

    return make_run(tmp_path_factory.mktemp("runs") / "smoke", bars)


@pytest.fixture(scope="session")
def noise():
    """Twenty images of noise, two of each class."""
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
    from tiny_run import copy_with_run

    return copy_with_run(tiny, "trained", tmp_path)


@pytest.fixture(scope="session")
def stopped_early(tiny):
    """The folder of a run of one fold that early stopping ended after its third epoch, which no test may change."""
    from tiny_run import train_one

    return train_one(tiny, "stopped", early_stopping__patience=2, early_stopping__min_delta=100.0, epochs=9)
