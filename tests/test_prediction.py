"""Predicting in batches, and loading a run's models safely."""

import numpy as np
import pytest

from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Experiment
from digit_recognizer.models import networks, prediction
from digit_recognizer.models.build_model import build_model

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 28, 28, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def model():
    return build_model(Experiment(network=networks.browser_cnn), (28, 28, 1), 10, pixel_mean=30, pixel_sd=70)


def test_probabilities_are_float32_and_sum_to_one(model):
    found = prediction.predict(model, IMAGES)
    assert (found.shape, found.dtype) == ((30, 10), np.float32)
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert prediction.predict(model, IMAGES[:0]).shape == (0, 10)


def test_predictions_do_not_depend_on_the_batch_size(model, monkeypatch):
    whole = prediction.predict(model, IMAGES)
    monkeypatch.setattr(prediction, "BATCH_SIZE", 7)
    assert prediction.predict(model, IMAGES) == pytest.approx(whole, abs=1e-6)


def test_a_saved_model_predicts_the_same(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = prediction.load_model(tmp_path / "model.keras")
    assert np.array_equal(prediction.predict(loaded, IMAGES), prediction.predict(model, IMAGES))


def test_a_damaged_model_is_named(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"PK damaged")
    with pytest.raises(UserError, match=r"model\.keras can't be loaded .*delete its folder and train again"):
        prediction.load_model(tmp_path / "model.keras")


def test_a_model_that_contains_code_is_not_loaded(tmp_path):
    import keras

    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs)).save(tmp_path / "model.keras")
    with pytest.raises(UserError, match="can't be loaded"):
        prediction.load_model(tmp_path / "model.keras")
