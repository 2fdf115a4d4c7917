"""Label issues: wrong and ambiguous labels, and the highest accuracy to expect."""

import numpy as np
import pytest
from synthetic_run import predict

from digit_recognizer import metrics
from digit_recognizer.report.label_issues import find_label_issues


@pytest.fixture
def labels():
    return np.random.default_rng(0).permutation(np.arange(1200) % 10)


def test_wrong_labels_are_found_and_lower_the_highest_accuracy(labels):
    probabilities = predict(labels, 10, 1.0, 0)
    swapped = np.arange(0, 1200, 100)
    probabilities[swapped] = np.roll(np.eye(10)[labels[swapped]], 1, axis=1)
    issues = find_label_issues(labels, probabilities)
    assert set(swapped) <= set(issues.wrong_labels)
    assert issues.highest_accuracy.value <= 1 - len(swapped) / 1200


def test_undecided_images_are_ambiguous(labels):
    probabilities = predict(labels, 10, 1.0, 0)
    for row, share in ((10, 0.45), (20, 0.55)):
        probabilities[row] = 0
        probabilities[row, labels[row]], probabilities[row, (labels[row] + 1) % 10] = share, 1 - share
    issues = find_label_issues(labels, probabilities)
    assert {10, 20} <= {*issues.ambiguous, *issues.wrong_labels}


def test_highest_accuracy_is_not_below_the_accuracy(labels):
    flat = predict(labels, 10, 0.95, 0) ** 0.05  # the same predictions with less confidence
    probabilities = flat / flat.sum(axis=1, keepdims=True)
    accuracy = metrics.accuracy(labels, probabilities).value
    assert find_label_issues(labels, probabilities).highest_accuracy.value >= accuracy
