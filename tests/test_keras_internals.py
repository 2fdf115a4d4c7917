"""The private members of Keras that models/keras_internals.py uses exist and behave as in Keras 3.15."""

import keras
import numpy as np
import pytest
from keras import layers

from digit_recognizer.models import keras_internals


def test_private_members_were_checked_for_this_version():
    """After an update of Keras: run the other tests of this file, look at their code in Keras, then change the version here."""
    assert keras.__version__.startswith("3.15.")


def test_producing_layer_of_a_tensor():
    inputs = keras.Input((4,))
    layer = layers.Dense(3)
    assert keras_internals.producing_layer(layer(inputs)) is layer


def test_seed_generators_of_all_random_layers():
    inputs = keras.Input((4,))
    outer, inner = layers.Dropout(0.5), layers.Dropout(0.5)
    nested = keras.Sequential([layers.Dense(4), inner])
    model = keras.Model(inputs, nested(outer(layers.Dense(4)(inputs))))
    assert set(map(id, keras_internals.seed_generators(model))) == {id(outer.seed_generator), id(inner.seed_generator)}


def compiled(loss_scaling: bool, **options) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(3, name="last")(layers.BatchNormalization()(inputs)))
    optimizer = keras.optimizers.SGD(1.0, **options)
    model.compile(keras.optimizers.LossScaleOptimizer(optimizer) if loss_scaling else optimizer, "mse", run_eagerly=True)
    return model


@pytest.mark.parametrize("loss_scaling", [False, True])
def test_averaged_variables_are_the_moving_averages_of_the_trained_weights(loss_scaling):
    model = compiled(loss_scaling, use_ema=True, ema_momentum=0.9)
    x, y, kernels = np.arange(8.0).reshape(2, 4) ** 2, np.ones((2, 3)), []
    for _ in range(3):
        model.train_on_batch(x, y)
        kernels.append(model.get_layer("last").get_weights()[0])
    averaged = keras_internals.averaged_variables(model)
    pairs = list(zip(averaged, model.variables, strict=True))
    trainable = {id(variable) for variable in model.trainable_variables}
    assert [new is old for new, old in pairs] == [id(old) not in trainable for _, old in pairs]
    (average,) = (new for new, old in pairs if old is model.get_layer("last").kernel)
    expected = 0.9 * (0.9 * kernels[0] + 0.1 * kernels[1]) + 0.1 * kernels[2]
    assert keras.ops.convert_to_numpy(average) == pytest.approx(expected, abs=1e-6)
    assert np.abs(kernels[2] - expected).max() > 0.01


def test_averaged_variables_without_averages_are_those_of_the_model():
    model = compiled(loss_scaling=False)
    assert all(new is old for new, old in zip(keras_internals.averaged_variables(model), model.variables, strict=True))
