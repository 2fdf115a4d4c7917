"""The charts of a study's page: their ticks can be read."""

import re

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from digit_recognizer.tuning import charts


def x_labels(svg: str) -> list[float]:
    """Return the numbers along the x axis of a chart: matplotlib draws them first."""
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    return [float(text) for text in texts[: texts.index("parameter")]]


@pytest.mark.parametrize(("low", "high"), [(1e-5, 1e-1), (2e-3, 3e-2), (1e-3, 0.1)])
def test_labels_of_a_logarithmic_parameter_do_not_overlap(low, high):
    study = optuna.create_study()
    distribution = {"parameter": FloatDistribution(low, high, log=True)}
    for value in (low, (low * high) ** 0.5, high):
        study.add_trial(create_trial(params={"parameter": value}, distributions=distribution, value=0.1 + value))
    assert 2 <= len(x_labels(charts.slice_of(study, "parameter"))) <= 5
