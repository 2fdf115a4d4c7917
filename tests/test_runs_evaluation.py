"""Applying a run's saved models to images."""

import shutil
import warnings

import pytest
from synthetic_run import make_dataset, make_run

from digit_recognizer.errors import UserError
from digit_recognizer.runs import evaluation


def test_run_without_a_trained_model_is_refused_before_keras_is_imported(tmp_path, monkeypatch):
    dataset = make_dataset(100)
    run = make_run(tmp_path / "begun", dataset, folds=2)
    shutil.rmtree(run.path / "seed_0")
    run.metrics.unlink()
    monkeypatch.setattr(evaluation, "keras_session", lambda: pytest.fail("Keras is imported"))
    with pytest.raises(UserError, match="begun has no trained model: run `make train PIPELINE=begun` first"):
        evaluation.model_probabilities(run, dataset.test_images)


def test_warnings_of_libraries_are_not_shown(monkeypatch):
    monkeypatch.setattr(evaluation.backend, "prepare_environment", lambda threads: None)
    monkeypatch.setattr(evaluation.backend, "configure", lambda threads, deterministic: None)
    with warnings.catch_warnings(record=True) as shown, evaluation.keras_session():
        warnings.warn("of Keras's export", FutureWarning, stacklevel=1)
    assert not shown


def test_limit_of_memory_under_which_tensorflow_aborts_is_named(monkeypatch):
    monkeypatch.setattr(evaluation.resource, "getrlimit", lambda kind: (3_000_000_000, -1))
    with pytest.raises(UserError, match=r"only use 3.0 GB of memory here \(ulimit -v\).* `ulimit -v 3600000` or more"):
        evaluation.keras_session().__enter__()
