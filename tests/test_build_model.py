"""The uncompiled Keras model of an experiment."""

import numpy as np
import pytest

from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Experiment
from digit_recognizer.models import networks
from digit_recognizer.models.build_model import build_model


@pytest.mark.parametrize("network", [lambda x, classes: networks.mlp(x, classes + 1), lambda x, classes: x])
def test_wrong_output_width_is_refused(network):
    with pytest.raises(UserError, match=r"its output has the shape .* but must have \(None, 10\)"):
        build_model(Experiment(network=network), (28, 28, 1), 10, pixel_mean=30, pixel_sd=70)


@pytest.mark.parametrize(
    ("scaling", "mean", "deviation"), [("unit", 100 / 255, 50 / 255), ("centred", 0, 50 / 255), ("standardised", 0, 1)]
)
def test_scaling_is_a_layer_of_the_model(scaling, mean, deviation):
    import keras

    keras.config.set_dtype_policy("float32")

    def network(x, classes):
        from keras import layers

        return layers.Flatten()(x)[:, :classes]

    model = build_model(Experiment(network=network, scaling=scaling), (2, 5, 1), 10, pixel_mean=100, pixel_sd=50)
    pixels = np.array([50, 150] * 5, dtype=np.uint8).reshape(1, 2, 5, 1)
    assert np.asarray(model(pixels)).mean() == pytest.approx(mean, abs=1e-6)
    assert np.asarray(model(pixels)).std() == pytest.approx(deviation, abs=1e-6)
