"""Custom Keras layers."""

import numpy as np
import pytest
from tiny_run import compiled

from digit_recognizer.experiment import Experiment
from digit_recognizer.models import networks


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_saved_model_has_plain_convolutions_and_predicts_the_same(precision, noise):
    import keras

    from digit_recognizer.models import layers

    network = {"network": networks.strided_cnn, "network_options": {"normalize": "weights"}}
    model = compiled(Experiment(**network, precision=precision, label_smoothing=0.05), noise)
    random = np.random.default_rng(0)
    model.set_weights([weights + random.normal(0, 0.1, weights.shape) for weights in model.get_weights()])
    plain = layers.plain(model)
    assert {type(layer).__module__.partition(".")[0] for layer in plain.layers} == {"keras"}
    assert {weights.dtype for weights in plain.get_weights()} == {np.dtype("float32")}
    pixels = noise.images.astype("float32")
    expected = keras.ops.convert_to_numpy(model(pixels))
    assert keras.ops.convert_to_numpy(plain(pixels)) == pytest.approx(expected, abs=1e-6)


def test_standardised_kernels_preserve_the_standard_deviation(noise):
    import keras

    from digit_recognizer.models.layers import StandardizedConv2D

    keras.utils.set_random_seed(0)
    maps = np.maximum(np.random.default_rng(0).normal(size=(4, 32, 32, 64)), 0).astype("float32")
    layer = StandardizedConv2D(64, 3, kernel_initializer=keras.initializers.RandomNormal(3.0, 0.7))
    assert np.std(np.asarray(layer(maps), np.float32)) == pytest.approx(1, rel=0.05)
