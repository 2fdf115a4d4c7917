"""Predicting: batches, test-time augmentation, and a run's models loaded safely."""

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


def test_batches_make_no_difference(model, monkeypatch):
    whole = prediction.predict(model, IMAGES)
    monkeypatch.setattr(prediction, "BATCH_SIZE", 7)
    assert prediction.predict(model, IMAGES) == pytest.approx(whole, abs=1e-6)


def test_views_are_averaged_and_the_same_at_each_call(model):
    plain, two = prediction.predict(model, IMAGES), prediction.predict(model, IMAGES, tta=2)
    assert not np.array_equal(two, plain)
    assert np.array_equal(two, prediction.predict(model, IMAGES, tta=2))
    assert two.sum(axis=1) == pytest.approx(1, abs=1e-5)
    moved = prediction.predict(model, prediction._view(IMAGES, 1))
    assert two == pytest.approx((plain + moved) / 2, abs=1e-6)


def test_a_runs_models_are_all_loaded(model, tmp_path):
    for member in ("seed_0/fold_0", "seed_0/fold_1", "full/seed_0"):
        (tmp_path / member).mkdir(parents=True)
        model.save(tmp_path / member / "model.keras")
    loaded = prediction.load_models(tmp_path)
    assert len(loaded) == 3
    assert np.array_equal(prediction.predict(loaded[0], IMAGES), prediction.predict(model, IMAGES))


def test_a_run_without_models_is_named(tmp_path):
    with pytest.raises(UserError, match="holds no trained model: run `make train` first"):
        prediction.load_models(tmp_path)


def test_a_damaged_model_is_named(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"PK damaged")
    with pytest.raises(UserError, match=r"model\.keras can't be loaded .*delete its folder and train again"):
        prediction.load_models(tmp_path)


def test_a_model_that_brings_code_is_not_loaded(tmp_path):
    import keras

    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs)).save(tmp_path / "model.keras")
    with pytest.raises(UserError, match="can't be loaded"):
        prediction.load_models(tmp_path)
