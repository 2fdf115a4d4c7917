"""Export of Keras models as one ONNX graph that averages their probabilities."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from digit_recognizer.errors import UserError


def write_onnx(models: Sequence[Any], path: Path) -> None:
    """Write the graph: float32 pixels 0..255 (batch, 28, 28, 1) to float32 probabilities (batch, 10).

    Raises:
        UserError: Keras runs on another backend than TensorFlow, or the network has an operation that ONNX lacks.
    """
    import keras
    import onnx

    if keras.backend.backend() != "tensorflow":
        raise UserError("the drawing page needs TensorFlow: set KERAS_BACKEND=tensorflow (runs of other backends too)")
    shape = models[0].input_shape
    pixels = keras.Input(shape[1:], name="pixels")
    probabilities = [_in_float32(model, f"member_{number}")(pixels) for number, model in enumerate(models)]
    average = keras.layers.Average()(probabilities) if len(models) > 1 else probabilities[0]
    signature = [keras.InputSpec(dtype="float32", shape=shape, name="pixels")]
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # it logs unknown operations, which are checked below
    keras.Model(pixels, average).export(path, format="onnx", verbose=False, input_signature=signature)
    operations = {node.op_type for node in onnx.load(path).graph.node}
    unknown = sorted(name for name in operations if not onnx.defs.has(name))
    if unknown:
        raise UserError(f"the drawing page can't run this network: ONNX has no operation {', '.join(unknown)}")


def _in_float32(model: Any, name: str) -> Any:
    """Return a copy of the model that computes in float32, which the export needs; it may be trained in mixed precision."""
    import keras

    def copied(layer: Any) -> Any:
        if not isinstance(layer, keras.Layer):  # an operation, such as those of the width normalisation
            return layer
        return type(layer).from_config(layer.get_config() | {"dtype": "float32"})

    copy = keras.models.clone_model(model, clone_function=copied, recursive=True)
    copy.set_weights(model.get_weights())
    copy.name = name
    return copy
