"""Blending methods on invented probabilities."""

import numpy as np
import pytest
from synthetic_run import guesses

from digit_recognizer import metrics
from digit_recognizer.ensemble.methods import METHODS, ArithmeticMean, GeometricMean, HillClimbing, Stacking, method_named
from digit_recognizer.errors import UserError


def stack_of(labels, *accuracies):
    return np.stack([guesses(labels, accuracy, seed) for seed, accuracy in enumerate(accuracies)]).astype(np.float64)


@pytest.fixture
def labels():
    return np.random.default_rng(0).integers(0, 10, 300)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_probabilities(method, labels):
    stack = stack_of(labels, 0.8, 0.8)
    blended = method().fit(stack, labels).apply(stack)
    assert blended.shape == (300, 10)
    assert blended.min() >= 0
    assert blended.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("method", METHODS[:3])  # stacking fits a model, which changes predictions
def test_one_run_keeps_its_predictions(method, labels):
    stack = stack_of(labels, 0.8)
    assert np.array_equal(method().fit(stack, labels).apply(stack).argmax(axis=1), stack[0].argmax(axis=1))


def test_means_are_those_of_probabilities_and_of_their_logarithms(labels):
    stack = stack_of(labels, 0.8, 0.5)
    assert ArithmeticMean().fit(stack, labels).apply(stack) == pytest.approx(stack.mean(axis=0))
    geometric = np.sqrt(stack.prod(axis=0))
    assert GeometricMean().fit(stack, labels).apply(stack) == pytest.approx(geometric / geometric.sum(axis=1, keepdims=True))


def test_hill_climbing_adds_the_run_with_the_lowest_log_loss_50_times(labels):
    stack = stack_of(labels, 0.6, 0.75, 0.8)
    chosen = []
    for _ in range(50):
        losses = [metrics.log_loss(labels, stack[[*chosen, run]].mean(axis=0)) for run in range(3)]
        chosen.append(int(np.argmin(losses)))
    assert len(set(chosen)) == 3
    assert HillClimbing().fit(stack, labels).weights == pytest.approx(np.bincount(chosen) / 50)


def test_hill_climbing_gives_the_better_run_more_weight():
    labels = np.random.default_rng(0).integers(0, 10, 2000)
    weights = HillClimbing().fit(stack_of(labels, 0.3, 0.95), labels).weights
    assert weights.sum() == pytest.approx(1)
    assert weights[1] > 0.9


def test_stacking_of_few_rows_is_regularised():
    """Fitted on 500 rows, it is at most 1.5 points worse on unseen rows than equal weights, which are best for equal runs."""
    labels = np.random.default_rng(1).integers(0, 10, 5500)
    stack = stack_of(labels, 0.8, 0.8, 0.8)
    blended = [method().fit(stack[:, :500], labels[:500]).apply(stack[:, 500:]) for method in (Stacking, ArithmeticMean)]
    stacked, equal = (metrics.accuracy(labels[500:], probabilities).value for probabilities in blended)
    assert equal - 0.015 < stacked


def test_unknown_method_is_an_error_that_lists_all_methods():
    assert method_named("stacking").name == "stacking"
    with pytest.raises(UserError, match="no blending method 'mean'; there are: equal weights, geometric mean, "):
        method_named("mean")
