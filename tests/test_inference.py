"""Predicting: batches, test-time augmentation, and a run's models loaded safely."""

import numpy as np
import pytest

from digit_recognizer import inference, models
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Experiment

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 28, 28, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def model():
    return models.build_model(Experiment(network=models.browser_cnn), (28, 28, 1), 10, pixel_mean=30, pixel_sd=70)


def test_probabilities_are_float32_and_sum_to_one(model):
    found = inference.predict(model, IMAGES)
    assert (found.shape, found.dtype) == ((30, 10), np.float32)
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert inference.predict(model, IMAGES[:0]).shape == (0, 10)


def test_batches_make_no_difference(model, monkeypatch):
    whole = inference.predict(model, IMAGES)
    monkeypatch.setattr(inference, "BATCH_SIZE", 7)
    assert inference.predict(model, IMAGES) == pytest.approx(whole, abs=1e-6)


def test_views_are_averaged_and_the_same_at_each_call(model):
    plain, two = inference.predict(model, IMAGES), inference.predict(model, IMAGES, tta=2)
    assert not np.array_equal(two, plain)
    assert np.array_equal(two, inference.predict(model, IMAGES, tta=2))
    assert two.sum(axis=1) == pytest.approx(1, abs=1e-5)
    moved = inference.predict(model, inference._view(IMAGES, 1))
    assert two == pytest.approx((plain + moved) / 2, abs=1e-6)


def test_a_runs_models_are_all_loaded(model, tmp_path):
    for member in ("seed_0/fold_0", "seed_0/fold_1", "full/seed_0"):
        (tmp_path / member).mkdir(parents=True)
        model.save(tmp_path / member / "model.keras")
    loaded = inference.load_models(tmp_path)
    assert len(loaded) == 3
    assert np.array_equal(inference.predict(loaded[0], IMAGES), inference.predict(model, IMAGES))


def test_a_run_without_models_is_named(tmp_path):
    with pytest.raises(UserError, match="holds no trained model: run `make train` first"):
        inference.load_models(tmp_path)


def test_a_damaged_model_is_named(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"PK damaged")
    with pytest.raises(UserError, match=r"model\.keras can't be loaded .*delete its folder and train again"):
        inference.load_models(tmp_path)


def test_a_model_that_brings_code_is_not_loaded(tmp_path):
    import keras

    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs)).save(tmp_path / "model.keras")
    with pytest.raises(UserError, match="can't be loaded"):
        inference.load_models(tmp_path)
