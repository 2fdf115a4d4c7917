"""Comparison of two runs image by image."""

import numpy as np
import pytest
from synthetic_run import make_run
from tiny_run import make_workspace

from digit_recognizer import metrics
from digit_recognizer.data.dataset import load_dataset
from digit_recognizer.errors import UserError
from digit_recognizer.runs.comparison import common_rows, compare_runs
from digit_recognizer.runs.run import read_run


@pytest.fixture
def workspace(tmp_path):
    return make_workspace(tmp_path)


def test_runs_are_compared_on_the_rows_that_both_predict(workspace):
    data = load_dataset(workspace)
    first = read_run(make_run(workspace.run("first"), data, accuracy=0.9, finished=[0, 1, 2]), data)
    second = read_run(make_run(workspace.run("second"), data, accuracy=0.5, seeds=(7,), finished=[1, 2, 4]), data)
    rows = common_rows([first, second])
    assert np.array_equal(rows, np.flatnonzero(np.isin(first.fold, (1, 2))))
    expected = metrics.compare(data.labels[rows], first.predictions[rows], second.predictions[rows])
    assert compare_runs("first", "second", workspace) == expected
    assert expected.images > 0


def test_runs_without_a_common_row_are_refused(workspace):
    data = load_dataset(workspace)
    make_run(workspace.run("first"), data, finished=[0])
    make_run(workspace.run("second"), data, finished=[1])
    with pytest.raises(UserError, match="first, second: no training image is predicted by all of them"):
        compare_runs("first", "second", workspace)
