"""The only module that uses private members of Keras; tests/test_keras_internals.py states the tested Keras version."""

from typing import Any

import keras


def producing_layer(outputs: Any) -> Any:
    """Return the layer or operation that computes a symbolic tensor."""
    return outputs._keras_history.operation


def seed_generators(model: keras.Model) -> list[keras.random.SeedGenerator]:
    """Return the generators of all random layers, such as dropout, those of nested models included."""
    return [layer.seed_generator for layer in model._flatten_layers() if hasattr(layer, "seed_generator")]


def averaged_variables(model: keras.Model) -> list[Any]:
    """Return `model.variables` with the optimizer's moving average in place of each weight that has one."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not optimizer.use_ema:
        return list(model.variables)
    pairs = zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True)
    averages = {id(variable): average for variable, average in pairs}
    return [averages.get(id(variable), variable) for variable in model.variables]
