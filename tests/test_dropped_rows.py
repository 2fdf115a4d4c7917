"""Rows with wrong labels can be excluded from training; they are still validated."""

import numpy as np
import pytest
from tiny_run import request, train_here

from digit_recognizer.data.dropped_rows import read_dropped_rows
from digit_recognizer.errors import UserError
from digit_recognizer.training.members import split_rows

pytestmark = pytest.mark.filterwarnings("ignore:`shuffle=True`", "ignore:__array__ implementation")  # Keras's own


def test_rows_of_a_list_are_dropped(tmp_path):
    (tmp_path / "labels.csv").write_text("row,label,suggested,probability\n7,1,2,0.99\n3,4,9,0.98\n")
    assert read_dropped_rows(tmp_path / "labels.csv") == (3, 7)


def test_only_rows_marked_wrong_are_dropped(tmp_path):
    (tmp_path / "marked.csv").write_text("row,label,mark\n7,1,fine\n3,4,wrong\n5,4,\n8,0,unclear\n")
    assert read_dropped_rows(tmp_path / "marked.csv") == (3,)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("label\n1\n", "it has no column row"),
        ("row\nseven\n", "whole numbers"),
        ("row\n1.5\n", "whole numbers"),
        ("", "can't be read"),
        ("row,mark\n1,fine\n", "no row is marked wrong"),
        ("row,mark\n1,wrong\n2,wrung\n", "the mark 'wrung' is none of wrong, fine, unclear"),
        ("row,label,marc\n1,0,wrong\n2,0,fine\n", "it has marks, but no column mark"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    (tmp_path / "labels.csv").write_text(content)
    with pytest.raises(UserError, match=message):
        read_dropped_rows(tmp_path / "labels.csv")


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        read_dropped_rows(tmp_path / "labels.csv")


def test_dropped_rows_are_validated_but_not_trained_on():
    split = split_rows(np.array([0, 1, 0, 1, 0, 1]), 0, drop_rows=(0, 1))
    assert split.train.tolist() == [3, 5]
    assert split.valid.tolist() == [0, 2, 4]
    assert split_rows(np.array([0, 1, 0]), None, drop_rows=(1,)).train.tolist() == [0, 2]


def test_row_that_does_not_exist_is_refused():
    with pytest.raises(UserError, match="there is no row 6; the training rows are 0 to 5"):
        split_rows(np.zeros(6, int), 0, drop_rows=(6,))


def test_run_records_the_dropped_rows_and_validates_all_rows(tiny):
    train_here(request(tiny, "dropped", folds=2, epochs=1, drop_rows=(0, 1, 2)), tiny)
    folder = tiny.run("dropped")
    for fold in (0, 1):
        with np.load(folder / f"seed_0/fold_{fold}/predictions.npz") as archive:
            assert not set(archive["trained_rows"]) & {0, 1, 2}
    with np.load(folder / "oof.npz") as archive:
        assert np.isfinite(archive["probabilities"]).all()
    with pytest.raises(UserError, match=r"drop_rows: \[0, 1, 2\] -> \[0, 1\]"):
        train_here(request(tiny, "dropped", folds=2, epochs=1, drop_rows=(0, 1)), tiny)
