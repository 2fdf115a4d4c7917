"""Scores of predictions: values known from the literature or from counting by hand."""

import numpy as np
import pytest

from digit_recognizer import metrics


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (7, 7), (9943, 10_000), (41_850, 42_000)])
def test_wilson_interval_agrees_with_scipy(hits, trials):
    from scipy.stats import binomtest

    expected = binomtest(hits, trials).proportion_ci(method="wilson")
    assert metrics.proportion(hits, trials) == pytest.approx((hits / trials, expected.low, expected.high), abs=1e-12)


def test_wilson_interval_has_its_nominal_coverage():
    hits = np.random.default_rng(0).binomial(400, 0.99, size=4000)
    inside = [low <= 0.99 <= high for _, low, high in (metrics.proportion(count, 400) for count in hits)]
    assert 0.93 < np.mean(inside) < 0.98


def test_no_trials_give_the_interval_from_0_to_1():
    share = metrics.proportion(0, 0)
    assert np.isnan(share.value)
    assert (share.low, share.high) == (0.0, 1.0)


def test_accuracy_and_log_loss():
    probabilities = np.array([[0.7, 0.3], [0.4, 0.6], [0.9, 0.1], [1.0, 0.0]], dtype=np.float32)
    labels = np.array([0, 1, 0, 1])
    assert metrics.accuracy(labels, probabilities).value == 0.75
    expected = -(np.log(0.7) + np.log(0.6) + np.log(0.9) + np.log(1e-7)) / 4
    assert metrics.log_loss(labels, probabilities) == pytest.approx(expected, rel=1e-6)


def test_calibrated_log_loss_does_not_depend_on_the_temperature():
    random = np.random.default_rng(0)
    honest = random.dirichlet(np.full(10, 0.3), 5000)
    labels = np.array([random.choice(10, p=row) for row in honest])
    lowest = metrics.calibrated_log_loss(labels, honest)
    assert lowest == pytest.approx(metrics.log_loss(labels, honest), rel=0.01)
    for temperature in (0.6, 1.8):
        assert metrics.log_loss(labels, metrics.apply_temperature(honest, temperature)) > 1.05 * lowest
        assert metrics.calibrated_log_loss(labels, metrics.apply_temperature(honest, temperature)) == pytest.approx(
            lowest, rel=0.01
        )


def test_rows_without_prediction_are_found():
    assert metrics.predicted_rows(np.array([[0.5, 0.5], [np.nan, np.nan]])).tolist() == [True, False]


def test_confusion_matrix_has_labels_as_rows_and_predictions_as_columns():
    matrix = metrics.confusion_matrix(np.array([0, 0, 1, 2]), np.array([0, 2, 1, 1], dtype=np.uint8), 3)
    assert matrix.tolist() == [[1, 0, 1], [0, 1, 0], [0, 1, 0]]


def test_class_scores_agree_with_scikit_learn():
    from sklearn.metrics import precision_recall_fscore_support

    generator = np.random.default_rng(1)
    labels, predictions = generator.integers(0, 5, 300), generator.integers(0, 5, 300)
    expected = precision_recall_fscore_support(labels, predictions)
    scores = metrics.class_scores(metrics.confusion_matrix(labels, predictions, 5))
    for position, name in enumerate(("precision", "recall", "f1")):
        estimates = [getattr(score, name) for score in scores]
        assert [estimate.value for estimate in estimates] == pytest.approx(expected[position])
        assert all(low < value < high for value, low, high in estimates)
    assert [score.support for score in scores] == expected[3].tolist()


def test_scores_of_a_class_that_never_occurs_are_nan():
    scores = metrics.class_scores(np.array([[3, 0], [0, 0]]))
    assert np.isnan(scores[1].precision.value)
    assert np.isnan(scores[1].f1.value)
    assert scores[1].support == 0


def test_calibration_error_of_overconfident_predictions():
    probabilities = np.tile([0.9, 0.1], (100, 1))
    labels = np.repeat([0, 1], [70, 30])
    result = metrics.calibration(labels, probabilities)
    assert result.error == pytest.approx(0.2)
    assert result.count.sum() == 100
    assert result.accuracy[result.count > 0] == pytest.approx([0.7])


def test_calibration_has_15_bins_of_equal_width():
    probabilities = np.column_stack([first := (np.arange(15) + 0.5) / 15, 1 - first])
    result = metrics.calibration(np.zeros(15, int), probabilities)
    assert result.count.tolist() == [0] * 7 + [1] + [2] * 7  # the higher of two probabilities is at least 0.5
    assert result.confidence[7:] == pytest.approx((np.arange(7, 15) + 0.5) / 15)


def test_calibration_error_of_a_single_row_and_of_none():
    assert metrics.calibration(np.array([0]), np.array([[0.8, 0.2]])).error == pytest.approx(0.2)
    assert metrics.calibration(np.zeros(0, int), np.zeros((0, 2))).error == 0


def test_certain_predictions_fall_into_the_last_bin():
    assert metrics.calibration(np.array([0]), np.array([[1.0, 0.0]])).count[-1] == 1


def test_paired_comparison_counts_image_by_image():
    labels = np.array([0, 1, 2, 3, 4])
    comparison = metrics.compare(labels, np.array([0, 1, 2, 0, 0]), np.array([0, 0, 0, 3, 0]))
    assert (comparison.only_first_right, comparison.only_second_right, comparison.both_wrong) == (2, 1, 1)
    assert (comparison.both_right, comparison.rows) == (1, 5)
    assert comparison.images == 1


def test_mcnemar_mid_p_of_the_published_example():
    # Fagerland, Lydersen and Laake (2013), airway hyper-responsiveness before and after transplantation: 1 and 7 of 21
    comparison = metrics.Comparison(rows=21, only_first_right=1, only_second_right=7, both_wrong=1)
    assert comparison.p_value == pytest.approx(0.0391, abs=1e-4)


def test_difference_of_equal_runs_is_zero():
    comparison = metrics.compare(np.arange(5), np.arange(5), np.arange(5))
    assert (comparison.images, comparison.p_value) == (0, 1.0)


def test_interval_of_the_difference_has_its_nominal_coverage():
    random = np.random.default_rng(0)
    inside = []
    for first_only, second_only, _ in random.multinomial(400, (0.02, 0.05, 0.93), size=4000):
        low, high = metrics.Comparison(400, first_only, second_only, 0).accuracy_difference[1:]
        inside.append(low <= -0.03 <= high)
    assert 0.93 < np.mean(inside) < 0.97


def test_difference_and_interval_counted_by_hand():
    value, low, high = metrics.Comparison(rows=21, only_first_right=1, only_second_right=7, both_wrong=1).accuracy_difference
    assert value == pytest.approx(-6 / 21)
    centre, half = (2 - 8) / 23, metrics.Z_95 * np.sqrt((10 / 23 - (6 / 23) ** 2) / 23)
    assert (low, high) == pytest.approx((centre - half, centre + half))


def test_difference_without_rows_is_nan():
    assert np.isnan(metrics.Comparison(0, 0, 0, 0).accuracy_difference.value)


def test_interval_of_the_difference_is_negated_when_the_runs_are_swapped():
    one, other = metrics.Comparison(42_000, 60, 46, 90), metrics.Comparison(42_000, 46, 60, 90)
    value, low, high = one.accuracy_difference
    assert other.accuracy_difference == pytest.approx((-value, -high, -low))
    assert low < 0 < value < high
