"""The network builders."""

import numpy as np
import pytest
from tiny_run import compiled

from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Experiment
from digit_recognizer.models import networks


@pytest.mark.parametrize(
    ("network", "options", "factor"),
    [
        (networks.pooled_cnn, {"width": 0.5}, 0.25),
        (networks.strided_cnn, {"width": 1.5}, 2.25),
        (networks.strided_cnn, {"extra_layers": 1}, 1.67),
    ],
)
def test_width_and_extra_layers_change_the_size(network, options, factor, noise):
    own, changed = (compiled(Experiment(network=network, network_options=some), noise) for some in ({}, options))
    assert changed.count_params() / own.count_params() == pytest.approx(factor, rel=0.05)


def test_border_pixels_are_ignored(noise):
    model = compiled(Experiment(network=networks.strided_cnn, network_options={"border": 2}), noise)
    whole, framed = noise.images[:1].astype("float32"), noise.images[:1].astype("float32")
    framed[:, 2:-2, 2:-2] = 255 - framed[:, 2:-2, 2:-2]
    inner = np.pad(whole[:, 2:-2, 2:-2], ((0, 0), (2, 2), (2, 2), (0, 0)))
    assert np.array_equal(model(whole), model(inner))
    assert not np.array_equal(model(whole), model(framed))


def test_unknown_normalisation_is_refused(noise):
    with pytest.raises(UserError, match=r"network_options\.normalize='batch': choose 'maps' or 'weights'"):
        compiled(Experiment(network=networks.strided_cnn, network_options={"normalize": "batch"}), noise)
