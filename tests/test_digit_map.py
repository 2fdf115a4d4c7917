"""The map of digits: all wrong digits and a sample by label, with reproducible positions."""

import numpy as np
import pytest
from synthetic_run import make_dataset, make_run, predict

from digit_recognizer.report import digit_map
from digit_recognizer.report.digit_sheet import DigitSheet
from digit_recognizer.runs.run import read_run


@pytest.fixture(scope="module")
def run(synthetic_run, bars):
    return read_run(synthetic_run, bars)


def test_sample_holds_all_wrong_digits_and_as_many_of_each_label(run, monkeypatch):
    monkeypatch.setattr(digit_map, "SAMPLE", 100)
    rows = digit_map.sample(run)
    wrong = len(run.wrong)
    assert rows[:wrong].tolist() == run.wrong.tolist()
    assert np.bincount(run.labels[rows[wrong:]]).tolist() == pytest.approx([10] * 10, abs=1)
    assert len(np.unique(rows)) == len(rows)


def test_map_places_each_digit_in_the_frame(run, bars):
    sheet = DigitSheet(bars)
    found = digit_map.digit_map(run, sheet)
    assert [sheet.digits()[place] for place in found["digits"]] == [(False, row) for row in digit_map.sample(run)]
    assert {min(found["x"]), max(found["x"]), min(found["y"]), max(found["y"])} == {0, 1000}


def test_same_probabilities_give_the_same_map_with_classes_apart():
    labels = np.arange(120) % 3
    probabilities = predict(labels, 3, 1.0, 0)
    points = digit_map.embed(probabilities)
    assert np.array_equal(points, digit_map.embed(probabilities))
    centres = np.stack([points[labels == label].mean(axis=0) for label in range(3)])
    own = np.linalg.norm(points[:, None] - centres, axis=2).argmin(axis=1)
    assert (own == labels).mean() > 0.9


def test_too_few_digits_give_no_map(tmp_path):
    small = make_dataset(10, ("a", "b"))
    run = read_run(make_run(tmp_path / "small", small, folds=2), small)
    assert digit_map.digit_map(run, DigitSheet(small)) is None
