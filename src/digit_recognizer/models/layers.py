"""Keras layers of this project's own, and what a model becomes without them. Imported only where Keras is."""

import math
from typing import Any

import keras
from keras import ops

RELU_GAIN = math.sqrt(2 / (1 - 1 / math.pi))  # a ReLU of unit normal values times this has deviation 1


@keras.saving.register_keras_serializable("digit_recognizer")
class StandardizedConv2D(keras.layers.Conv2D):
    """A convolution whose kernel is standardised filter by filter (scaled weight standardisation, Brock et al., 2021).

    It keeps the deviation of what a ReLU before it passes on, so that a network trains without batch normalisation, whose
    passes over all maps cost a CPU more time than they take arithmetic. Each filter has a gain and a bias to learn.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Add the gains to the kernel and the biases."""
        super().build(input_shape)
        self.gain = self.add_weight(name="gain", shape=(self.filters,), initializer="ones")

    def add_weight(self, *arguments: Any, **options: Any) -> keras.Variable:
        """Add a variable that stays float32 under mixed precision, since rounding it would spoil the statistics."""
        return super().add_weight(*arguments, **options, autocast=False)

    def standardized_kernel(self) -> Any:
        """Return the kernel that convolves, float32 (height, width, channels, filters)."""
        centred = self.kernel - ops.mean(self.kernel, axis=(0, 1, 2), keepdims=True)
        power = ops.sum(ops.square(centred), axis=(0, 1, 2), keepdims=True)
        return centred * (RELU_GAIN * self.gain * ops.rsqrt(power + 1e-4))

    def call(self, inputs: Any) -> Any:
        """Convolve maps (batch, height, width, channels)."""
        kernel, bias = (ops.cast(array, inputs.dtype) for array in (self.standardized_kernel(), self.bias))
        return self.activation(ops.conv(inputs, kernel, strides=self.strides, padding=self.padding) + bias)


def plain(model: keras.Model) -> keras.Model:
    """Return an uncompiled model that predicts the same, of Keras's own layers, so that Keras alone can load what is saved.

    Layers that Keras has are shared, unless the model has others; `update_plain` takes over weights that have changed since.
    """

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind = keras.layers.Conv2D if isinstance(layer, StandardizedConv2D) else type(layer)
        return kind.from_config(layer.get_config())

    model = keras.Model(model.input, model.output)  # without optimizer and metrics
    if not any(isinstance(layer, StandardizedConv2D) for layer in model.layers):
        return model
    copy = keras.models.clone_model(model, clone_function=copied)
    update_plain(copy, model)
    return copy


def update_plain(copy: keras.Model, model: keras.Model) -> None:
    """Give the model that `plain(model)` returned the present weights of `model`."""
    for layer, copied_layer in zip(model.layers, copy.layers, strict=True):
        weights = layer.get_weights()
        if isinstance(layer, StandardizedConv2D):
            weights = [ops.convert_to_numpy(array) for array in (layer.standardized_kernel(), layer.bias)]
        if copied_layer is not layer:
            copied_layer.set_weights(weights)
