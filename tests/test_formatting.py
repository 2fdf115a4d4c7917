"""Numbers as text, the same on a terminal and on pages."""

import pytest

from digit_recognizer.formatting import duration, interval
from digit_recognizer.metrics import Estimate


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (99, "99 s"), (120, "2 min"), (5940, "99 min"), (12_000, "3 h 20 min"), (200_000, "2 days")],
)
def test_durations_are_in_words(seconds, said):
    assert duration(seconds) == said


def test_estimate_is_shown_with_its_interval():
    assert interval(Estimate(0.995712, 0.995, 0.9963)) == "0.99571 (0.99500 to 0.99630)"
