"""Stratified folds, and the detection of copies across folds."""

import numpy as np
import pytest

from digit_recognizer.data.folds import copies_across_folds, load_folds, save_folds, stratified_folds
from digit_recognizer.errors import UserError

labels = np.random.default_rng(0).choice(10, 2000, p=np.arange(1, 11) / 55)


def test_each_fold_has_its_share_of_each_class():
    folds = stratified_folds(labels, 5, seed=0)
    for label in range(10):
        counts = np.bincount(folds[labels == label], minlength=5)
        assert np.ptp(counts) <= 1
    assert np.ptp(np.bincount(folds)) <= 5


def test_folds_depend_only_on_labels_number_and_seed():
    assert np.array_equal(stratified_folds(labels, 5, 0), stratified_folds(labels, 5, 0))
    assert not np.array_equal(stratified_folds(labels, 5, 0), stratified_folds(labels, 5, 1))
    assert set(stratified_folds(labels, 3, 0)) == {0, 1, 2}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (3, "class 1 has 3 training rows, too few for 5 folds: choose SET=folds=3 or fewer"),
        (2, "class 1 has 2 training rows, too few for 5 folds: choose SET=folds=2 or fewer"),
        (1, "class 1 has 1 training row: validation needs at least two of each class"),
    ],
)
def test_too_few_rows_of_a_class_are_an_error_with_a_remedy(rows, message):
    with pytest.raises(UserError, match=message):
        stratified_folds(np.array([0] * 20 + [1] * rows), 5, 0)


def test_one_row_of_each_class_in_each_fold_is_enough():
    folds = stratified_folds(np.array([0] * 20 + [1] * 5), 5, 0)
    assert sorted(folds[20:]) == [0, 1, 2, 3, 4]


def test_saved_folds_are_read_back(tmp_path):
    folds = stratified_folds(labels, 5, 0)
    save_folds(tmp_path / "folds.csv", folds)
    assert (tmp_path / "folds.csv").read_text().startswith("row,fold\n0,")
    assert np.array_equal(load_folds(tmp_path / "folds.csv"), folds)


@pytest.mark.parametrize("content", ["", "a,b\n0,1\n", "row,fold\n1,0\n0,0\n", "row,fold\n0,x\n"])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "folds.csv").write_text(content)
    with pytest.raises(UserError, match=r"folds\.csv can't be read"):
        load_folds(tmp_path / "folds.csv")


def test_exact_copies_in_other_folds_are_found():
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28, 1)).astype(np.uint8)
    folds = np.arange(20) % 4
    assert len(copies_across_folds(images, folds)) == 0
    images[7], images[13] = images[2], images[2]  # folds 3 and 1 of a row in fold 2
    images[9] = images[0]  # folds 1 and 0
    images[8] = images[4]  # the same fold
    images[19] = images[1]
    images[19, 0, 0, 0] ^= 1  # not exact
    assert list(copies_across_folds(images, folds)) == [0, 2, 7, 9, 13]
