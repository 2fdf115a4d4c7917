"""Width normalisation of digits, alone and in a training."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tiny_run import history, make_workspace, request, train_here

from digit_recognizer import files
from digit_recognizer.data import sources
from digit_recognizer.data.dataset import load_dataset
from digit_recognizer.data.sources import ImageArrays
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Experiment
from digit_recognizer.models import networks, prediction
from digit_recognizer.models.width_normalization import normalized
from digit_recognizer.training.members import choose_members, digit_width

pytestmark = pytest.mark.filterwarnings("ignore:`shuffle=True`", "ignore:__array__ implementation")  # Keras's own


def bar(top: int, left: int, height: int, width: int) -> np.ndarray:
    """Return an image with a bright rectangle."""
    image = np.zeros((1, 28, 28, 1), np.uint8)
    image[0, top : top + height, left : left + width] = 255
    return image


def extent(image: np.ndarray) -> list[float]:
    """Return the height, width and centre (row, column) of what is brighter than half the rectangle."""
    rows, columns = np.nonzero(image[0, :, :, 0] > 127)
    return [np.ptp(rows) + 1, np.ptp(columns) + 1, (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2]


@pytest.mark.parametrize(
    ("image", "height", "width"),
    [
        (bar(2, 3, 16, 12), 20, 12),  # enlarged in height
        (bar(0, 0, 28, 28), 20, 12),  # shrunk in both
        (bar(8, 20, 10, 6), 20, 12),  # doubled
        (bar(4, 12, 5, 3), 10, 6),  # not more than doubled
    ],
)
def test_digit_is_scaled_to_the_box_in_the_middle(image, height, width):
    assert extent(normalized(image, 12)) == pytest.approx([height, width, 13.5, 13.5], abs=0.5)


def test_digit_that_fits_stays_as_it_is():
    image = bar(4, 6, 20, 16)
    assert np.array_equal(normalized(image, 16), image)


def test_shrinking_averages_over_the_pixels():
    stripes = np.zeros((1, 28, 28, 1), np.uint8)
    stripes[:, :, ::2] = 255
    middle = normalized(stripes, 9)[0, 6:22, 11:17]
    assert middle.mean() == pytest.approx(255 / 2, abs=8)
    assert np.ptp(middle) < 100


def test_only_pixels_above_forty_belong_to_the_digit():
    image = bar(4, 6, 20, 16)
    image[0, 1, 1] = 40
    assert np.array_equal(normalized(image, 16), image)
    image[0, 1, 1] = 41
    assert not np.array_equal(normalized(image, 16), image)


def test_blank_images_stay_as_they_are():
    blank = np.full((2, 28, 28, 1), 30, np.uint8)
    assert np.array_equal(normalized(blank, 20), blank)


def test_colours_are_scaled_together():
    red = np.concatenate([bar(8, 20, 10, 6), bar(10, 20, 2, 2), bar(0, 0, 0, 0)], axis=3)
    scaled = normalized(red, 12)
    assert extent(scaled[..., :1]) == [20, 12, 13.5, 13.5]
    assert extent(scaled[..., 1:2])[:2] == [4, 4]
    assert not scaled[..., 2].any()


@pytest.mark.parametrize("scaling", ["unit", "standardised"])
def test_training_with_a_digit_width_equals_training_on_normalised_images(tmp_path, scaling):
    """Training, ranking and validation use normalised images; saved models take images as they are.

    Fold 0, which is trained first in the same process, has images as they are.
    """
    raw = make_workspace(tmp_path / "raw")
    data = load_dataset(raw)
    (tmp_path / "scaled").mkdir()
    scaled = replace(raw, root=tmp_path / "scaled")
    images, test_images = normalized(data.images, 16), normalized(data.test_images, 16)
    sources.place(ImageArrays(images, data.labels, test_images, None, data.classes), "normalised", scaled)
    train_here(request(raw, "tiny", digit_widths=(0, 16), scaling=scaling, only=[0, 1]), raw)
    train_here(request(raw, "tiny", scaling=scaling, only=[1]), scaled)
    folder, expected = (workspace.run("tiny") / "seed_0/fold_1" for workspace in (raw, scaled))
    found = files.read_npz(folder / "predictions.npz")
    for name, values in files.read_npz(expected / "predictions.npz").items():
        assert found[name] == pytest.approx(values, abs=1e-5)
    assert not np.array_equal(images, data.images)
    pd.testing.assert_frame_equal(history(folder), history(expected), rtol=1e-4)

    model = prediction.load_model(folder / "model.keras")
    assert {type(layer).__module__.partition(".")[0] for layer in model.layers} == {"keras"}
    assert prediction.predict(model, data.test_images) == pytest.approx(found["test"], abs=1e-6)
    best, own = (prediction.load_model(path / "best_val_loss.keras") for path in (folder, expected))
    assert prediction.predict(best, data.test_images) == pytest.approx(prediction.predict(own, test_images), abs=1e-5)


def test_images_that_are_too_small_are_refused():
    with pytest.raises(UserError, match=r"digit_widths: images of 19x28 pixels are too small for digits of 20x20 \(SET="):
        normalized(np.zeros((1, 19, 28, 1), np.uint8), 20)
    with pytest.raises(UserError, match="images of 28x28 pixels are too small for digits of 20x29"):
        normalized(np.zeros((1, 28, 28, 1), np.uint8), 29)


def test_folds_take_turns_and_each_seed_begins_with_the_next_width():
    experiment = Experiment(network=networks.mlp, folds=3, seeds=(0, 1), digit_widths=(0, 20))
    members = choose_members(experiment, folds=None, full=False)
    assert [digit_width(experiment, member) for member in members] == [0, 20, 0, 20, 0, 20]
    assert [digit_width(experiment, member) for member in choose_members(experiment, None, full=True)] == [0, 20]


@pytest.mark.parametrize("widths", [(), (-1,)])
def test_impossible_widths_are_refused(widths):
    with pytest.raises(ValueError, match=r"digit_widths=.*: must be one or more whole numbers from 0"):
        Experiment(network=networks.mlp, digit_widths=widths)
