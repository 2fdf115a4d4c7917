"""Numbers as text, the same on a terminal and on pages."""

import pytest

from digit_recognizer.formatting import duration, interval, winner
from digit_recognizer.metrics import Comparison, Estimate


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (99, "99 s"), (120, "2 min"), (5940, "99 min"), (12_000, "3 h 20 min"), (200_000, "2 days")],
)
def test_durations_have_units(seconds, said):
    assert duration(seconds) == said


def test_estimate_is_shown_with_its_interval():
    assert interval(Estimate(0.995712, 0.995, 0.9963)) == "0.99571 (0.99500 to 0.99630)"


def test_winner_margin_and_p_come_first():
    better = "b is better: 58 more of 42,000 images right (p < 0.001, 95 % interval 40 to 76)"
    assert winner("a", "b", Comparison(42_000, only_first_right=14, only_second_right=72, both_wrong=50)) == better
    assert winner("b", "a", Comparison(42_000, only_first_right=72, only_second_right=14, both_wrong=50)) == better


def test_difference_by_chance_has_no_winner():
    said = winner("a", "b", Comparison(42_000, only_first_right=30, only_second_right=26, both_wrong=50))
    assert said.startswith("no significant difference between a and b: a has 4 more of 42,000 images right (p = 0.6")
