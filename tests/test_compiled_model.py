"""The compiled Keras model of one member."""

import numpy as np
import pytest
from tiny_run import compiled

from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Experiment
from digit_recognizer.models import networks
from digit_recognizer.runs.member import Member


def test_calibrated_log_loss_approximates_the_exact_one():
    from digit_recognizer import metrics
    from digit_recognizer.training.compiled_model import CalibratedLogLoss

    random = np.random.default_rng(0)
    probabilities = metrics.apply_temperature(random.dirichlet(np.full(10, 0.2), 1000), 1.7).astype(np.float32)
    labels = probabilities.argmax(axis=1)
    labels[::10] = random.integers(0, 10, 100)
    metric = CalibratedLogLoss()
    for part in np.split(np.arange(1000), 4):
        metric.update_state(np.eye(10)[labels[part]], probabilities[part])
    expected = metrics.calibrated_log_loss(labels, probabilities)
    assert float(metric.result()) == pytest.approx(expected, rel=0.02)
    assert expected < 0.9 * metrics.log_loss(labels, probabilities)


def test_initial_weights_are_a_function_of_seed_and_fold(noise):
    def weights(seed, fold):
        return compiled(Experiment(network=networks.browser_cnn), noise, Member(seed, fold)).get_weights()[0]

    assert np.array_equal(weights(0, 0), weights(0, 0))
    assert not np.array_equal(weights(0, 0), weights(1, 0))
    assert not np.array_equal(weights(0, 0), weights(0, 1))


def test_probabilities_are_float32_under_mixed_precision(noise):
    def network(x, classes):
        from keras import layers

        return layers.Dense(classes, activation="softmax")(layers.Flatten()(x))

    model = compiled(Experiment(network=network, precision="mixed_bfloat16"), noise)
    probabilities = np.asarray(model(noise.images.astype("float32")))
    assert probabilities.dtype == np.float32
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-6)


def without_softmax(x, classes):
    from keras import layers

    return layers.Dense(classes)(layers.Flatten()(x))


def sigmoid(x, classes):
    from keras import layers

    return layers.Dense(classes, activation="sigmoid")(layers.Flatten()(x))


@pytest.mark.parametrize("network", [without_softmax, sigmoid])
def test_network_whose_outputs_are_no_probabilities_is_refused(network, noise):
    with pytest.raises(UserError, match=r"^network: its outputs must be probabilities.*activation='softmax'") as refused:
        compiled(Experiment(network=network), noise)
    assert "\n" not in str(refused.value)
