"""The uncompiled Keras model of an experiment."""

from typing import Any

from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Experiment

SCALING = "scaling"  # name of the first layer


def build_model(
    experiment: Experiment, image_shape: tuple[int, int, int], classes: int, pixel_mean: float, pixel_sd: float
) -> Any:
    """Return the uncompiled `keras.Model` from pixels 0..255 (batch, *image_shape) to float32 probabilities (batch, classes).

    Its first layer scales the pixels, so that a saved model needs no preprocessing. `pixel_mean` and `pixel_sd` (0..255) are
    those of the training images that the network gets.

    Raises:
        UserError: the network's output is not (batch, classes).
    """
    import keras

    offset = 0.0 if experiment.scaling == "unit" else pixel_mean
    divisor = pixel_sd if experiment.scaling == "standardised" else 255.0
    inputs = keras.Input(image_shape, name="pixels")
    scaled = keras.layers.Rescaling(1 / divisor, -offset / divisor, name=SCALING)(inputs)
    outputs = experiment.network(scaled, classes, **experiment.network_options)
    if tuple(outputs.shape) != (None, classes):
        raise UserError(f"network: its output has the shape {tuple(outputs.shape)}, but must have (None, {classes})")
    return keras.Model(inputs, _in_float32(outputs))


def _in_float32(outputs: Any) -> Any:
    """Return the outputs, computed in float32 even under mixed precision, because float16 has only three digits."""
    import keras

    from digit_recognizer.models.keras_internals import producing_layer

    layer = producing_layer(outputs)
    if not isinstance(layer, keras.Layer) or layer.compute_dtype == "float32":
        return outputs
    layer.dtype_policy = "float32"
    return layer(layer.input)
