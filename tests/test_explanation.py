"""Explanations: nearest training images and occlusion maps of models, in this process and in another one."""

import multiprocessing
import os
import signal

import numpy as np
import pytest

from digit_recognizer.errors import UserError
from digit_recognizer.report import explanation
from digit_recognizer.report.explanation import CELLS, Background, Task


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(1, 256, (60, 28, 28, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def corner_model():
    """A network that depends only on the upper left 7x7 pixels: bright ones increase the probability of class 1."""
    import keras
    from keras import layers

    pixels = keras.Input((28, 28, 1))
    x = layers.Flatten()(layers.Cropping2D(((0, 21), (0, 21)))(pixels))
    model = keras.Model(pixels, layers.Dense(3, activation="softmax")(layers.Rescaling(1 / 255)(x)))
    weights = np.tile(np.float32([[0, 0.1, -0.1]]), (49, 1))
    model.layers[-1].set_weights([weights, np.zeros(3, np.float32)])
    return model


@pytest.fixture(scope="module")
def model():
    """An untrained network with a dense layer of features before the probabilities."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    pixels = keras.Input((28, 28, 1))
    x = layers.Dense(8, activation="tanh")(layers.Flatten()(layers.Rescaling(1 / 255, -0.5)(pixels)))
    return keras.Model(pixels, layers.Dense(3, activation="softmax")(layers.Dropout(0.5)(x)))


def test_occlusion_map_is_zero_outside_the_corner_that_the_network_depends_on(corner_model, images):
    maps = explanation.occlusion_maps(corner_model, images[:3], np.full((3, 2), (1, 0)), np.zeros((28, 28, 1)))
    assert maps.shape == (3, CELLS, CELLS)
    assert (maps[:, :3, :3] > 0.1).all()  # hiding bright pixels there lowers the probability of class 1
    reached = 4  # centres of squares of 5x5 pixels that touch the corner's 7 pixels
    rounding = 1e-5  # of float32 logarithms, which may depend on an image's place in the batch
    assert maps[:, reached:] == pytest.approx(0, abs=rounding)
    assert maps[:, :, reached:] == pytest.approx(0, abs=rounding)


def test_sign_of_an_occlusion_map_follows_the_order_of_the_classes(corner_model, images):
    one, other = (
        explanation.occlusion_maps(corner_model, images[:2], np.full((2, 2), pair), np.zeros((28, 28, 1)))
        for pair in ((1, 2), (2, 1))
    )
    assert one == pytest.approx(-other, abs=1e-5)


def test_value_of_a_cell_is_the_change_of_the_log_odds(model, images):
    (found,) = explanation.occlusion_maps(model, images[:1], np.array([[2, 0]]), np.zeros((28, 28, 1)))
    hidden = images[:1].copy()
    hidden[:, 9:14, 15:20] = 0  # cell (5, 8): centre (11, 17), two pixels to each side
    before, after = np.log(model.predict(np.concatenate([images[:1], hidden]), verbose=0))
    assert found[5, 8] == pytest.approx((before[2] - before[0]) - (after[2] - after[0]), abs=1e-4)


def test_images_are_hidden_in_blocks_with_the_same_maps(model, images, monkeypatch):
    whole = explanation.occlusion_maps(model, images[:5], np.full((5, 2), (0, 1)), np.zeros((28, 28, 1)))
    monkeypatch.setattr(explanation, "BLOCK", images[0].nbytes * CELLS**2 * 2)
    blocks = explanation.occlusion_maps(model, images[:5], np.full((5, 2), (0, 1)), np.zeros((28, 28, 1)))
    assert blocks == pytest.approx(whole, abs=1e-5)


@pytest.mark.parametrize("block", [explanation.BLOCK, 9 * 784], ids=["one block", "several blocks"])
def test_neighbours_are_the_nearest_by_cosine(model, images, monkeypatch, block):
    monkeypatch.setattr(explanation, "BLOCK", block)
    features, learned = explanation.feature_model(model), np.arange(5, 60, 2)
    rows, similarities = explanation.nearest(features, images[:4], images, learned)
    vectors = features.predict(images, verbose=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors[:4] @ vectors[learned].T
    order = np.argsort(-cosines, axis=1)[:, :5]
    assert rows.tolist() == learned[order].tolist()
    assert similarities == pytest.approx(np.take_along_axis(cosines, order, axis=1), abs=1e-5)


def test_few_training_rows_give_few_neighbours(model, images):
    rows, _ = explanation.nearest(explanation.feature_model(model), images[:2], images, np.array([7, 9, 11]))
    assert sorted(rows[0].tolist()) == [7, 9, 11]


def test_features_are_the_input_of_the_last_layer_with_weights(model):
    assert explanation.feature_model(model).output_shape == (None, 8)


def task(path, images) -> Task:
    return Task(path, "seed 0, fold 0", np.arange(20, 60), images[:4], np.full((4, 2), (0, 1)))


def test_another_process_gives_the_same_explanations(model, images, tmp_path):
    model.save(tmp_path / "model.keras")
    wanted = task(tmp_path / "model.keras", images)
    with Background([wanted], images) as background:
        (found,) = background.results()
    for one, other in zip(found, explanation.explain(wanted, images), strict=True):
        assert (one.model, one.classes) == ("seed 0, fold 0", (0, 1))
        assert one.neighbours.tolist() == other.neighbours.tolist()
        assert one.occlusion == pytest.approx(other.occlusion, abs=1e-4)


def test_model_that_cannot_be_loaded_is_one_line(images, tmp_path):
    (tmp_path / "model.keras").write_text("no model")
    broken = Background([task(tmp_path / "model.keras", images)], images)
    with broken as background, pytest.raises(UserError, match=r"model\.keras can't be loaded") as error:
        background.results()
    assert "\n" not in str(error.value)


def test_backend_that_cannot_be_used_is_one_line(images, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("KERAS_BACKEND", "nonsense")
    with Background([task(tmp_path / "model.keras", images)], images) as background, pytest.raises(UserError, match="nonsense"):
        background.results()
    assert not capfd.readouterr().err


def test_process_that_is_killed_is_one_line(images, tmp_path):
    with Background([task(tmp_path / "model.keras", images)], images) as background:
        (process,) = multiprocessing.active_children()
        process.kill()
        with pytest.raises(UserError, match="ended early"):
            background.results()


def test_process_ignores_ctrl_c_so_that_it_prints_no_traceback(model, images, tmp_path):
    model.save(tmp_path / "model.keras")
    with Background([task(tmp_path / "model.keras", images)], images) as background:
        (process,) = multiprocessing.active_children()
        os.kill(process.pid, signal.SIGINT)
        assert len(background.results()) == 1


def test_without_tasks_no_process_is_started(images):
    with Background([], images) as background:
        assert background.results() == []
        assert not multiprocessing.active_children()
