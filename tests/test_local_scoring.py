"""Submissions scored on public test labels."""

import shutil

import numpy as np
import pytest

from digit_recognizer.data import csv_format, dataset, sources
from digit_recognizer.errors import UserError
from digit_recognizer.submission.local_scoring import score_locally
from digit_recognizer.workspace import Workspace


def test_score_is_the_share_of_right_labels(bundled, tmp_path):
    labels = dataset.load_test_labels(bundled)
    wrong = np.where(np.arange(len(labels)) < 3, (labels + 1) % 10, labels)
    csv_format.write_labels(tmp_path / "a.csv", wrong, dataset.DIGITS)
    assert score_locally(tmp_path / "a.csv", bundled) == (357 / 360, 357, 360)


def test_faulty_submission_is_not_scored(bundled, tmp_path):
    (tmp_path / "a.csv").write_text("ImageId,Label\n1,2\n")
    with pytest.raises(UserError, match=r"a\.csv: 1 rows"):
        score_locally(tmp_path / "a.csv", bundled)


def test_data_without_public_labels_are_not_scored(bundled, tmp_path):
    workspace = Workspace(tmp_path)
    workspace.input.mkdir()
    for name in dataset.FILES:
        shutil.copyfile(bundled.input / name, workspace.input / name)
    sources.fetch(None, workspace)
    with pytest.raises(UserError, match=r"has no test_labels\.csv: the labels of this test set are not public"):
        score_locally(tmp_path / "a.csv", workspace)
