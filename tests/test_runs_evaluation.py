"""Applying a run's saved models to images."""

import shutil

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
