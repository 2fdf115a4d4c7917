"""Custom Keras layers, and the conversion of a model to Keras's own layers. Imports Keras."""

import math
from typing import Any

import keras
from keras import ops

from digit_recognizer.models.build_model import SCALING
from digit_recognizer.models.width_normalization import normalize_width

RELU_GAIN = math.sqrt(2 / (1 - 1 / math.pi))  # ReLU(x) times this has standard deviation 1 for standard normal x


@keras.saving.register_keras_serializable("digit_recognizer")
class StandardizedConv2D(keras.layers.Conv2D):
    """A convolution whose kernel is standardised filter by filter (scaled weight standardisation, Brock et al., 2021).

    It preserves the standard deviation of the preceding ReLU's output, so that a network trains without batch normalisation,
    which is slow on a CPU because it is bound by memory. Each filter has a trainable gain and bias.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Add the gains to the kernel and the biases."""
        super().build(input_shape)
        self.gain = self.add_weight(name="gain", shape=(self.filters,), initializer="ones")

    def add_weight(self, *arguments: Any, **options: Any) -> keras.Variable:
        """Add a variable that stays float32 under mixed precision, since rounding would make the statistics inaccurate."""
        return super().add_weight(*arguments, **options, autocast=False)

    def standardized_kernel(self) -> Any:
        """Return the standardised kernel, float32 (height, width, channels, filters)."""
        centred = self.kernel - ops.mean(self.kernel, axis=(0, 1, 2), keepdims=True)
        power = ops.sum(ops.square(centred), axis=(0, 1, 2), keepdims=True)
        return centred * (RELU_GAIN * self.gain * ops.rsqrt(power + 1e-4))

    def call(self, inputs: Any) -> Any:
        """Convolve feature maps (batch, height, width, channels)."""
        kernel, bias = (ops.cast(array, inputs.dtype) for array in (self.standardized_kernel(), self.bias))
        return self.activation(ops.conv(inputs, kernel, strides=self.strides, padding=self.padding) + bias)


def plain(model: keras.Model, digit_width: int = 0) -> keras.Model:
    """Return an uncompiled model of Keras's own layers with the same predictions, which Keras can load without this package.

    If `digit_width` is not 0, the returned model first normalises the width of the digits, which `model` expects as its input.
    A model without custom layers and digit width is not copied: both models share their layers. `update_plain` copies changed
    weights.
    """

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind = keras.layers.Conv2D if isinstance(layer, StandardizedConv2D) else type(layer)
        return kind.from_config(layer.get_config())

    def called(layer: keras.layers.Layer, inputs: Any, *more: Any, **options: Any) -> Any:
        if digit_width and layer.name == SCALING:
            inputs = normalize_width(inputs, digit_width)
        return layer(inputs, *more, **options)

    model = keras.Model(model.input, model.output)  # without optimizer and metrics
    if not digit_width and not any(isinstance(layer, StandardizedConv2D) for layer in model.layers):
        return model
    copy = keras.models.clone_model(model, clone_function=copied, call_function=called)
    update_plain(copy, model)
    return copy


def update_plain(copy: keras.Model, model: keras.Model) -> None:
    """Copy the present weights of `model` to `copy`, the result of `plain(model)`."""
    for layer, copied_layer in zip(model.layers, copy.layers, strict=True):
        weights = layer.get_weights()
        if isinstance(layer, StandardizedConv2D):
            weights = [ops.convert_to_numpy(array) for array in (layer.standardized_kernel(), layer.bias)]
        if copied_layer is not layer:
            copied_layer.set_weights(weights)
