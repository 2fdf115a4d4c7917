"""The report of a run as a file: figures and digits, complete and partial runs, any classes and shapes.

test_report_browser.py opens it.
"""

import base64
import io
import json
import re
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from synthetic_run import make_dataset, make_run, omit_slow_parts
from tiny_run import make_workspace, request, train_here

from digit_recognizer.data.dataset import load_dataset
from digit_recognizer.errors import UserError
from digit_recognizer.report import write_report
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.run import read_run

pytestmark = pytest.mark.usefixtures("quick_reports")


@pytest.fixture(scope="module")
def dataset():
    return make_dataset(800)


@pytest.fixture(scope="module")
def run(tmp_path_factory, dataset):
    return make_run(tmp_path_factory.mktemp("runs") / "smoke", dataset)


@pytest.fixture(scope="module")
def page(run, dataset):
    with pytest.MonkeyPatch.context() as patch:
        omit_slow_parts(patch)
        return write_report(run, dataset).read_text("utf-8")


def data_in(page: str, name: str):
    """Return the JSON in a page's element of that id."""
    return json.loads(re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)[1])


def cells(page: str) -> pd.DataFrame:
    """Return the digits of the confusion matrix's cells."""
    details, names = data_in(page, "digit-data"), ["row", "fold", "label", "prediction", "probabilities"]
    return pd.DataFrame({name: details[name] for name in names}).iloc[data_in(page, "cell-data")]


def test_report_is_one_file_that_needs_no_network(page):
    addresses = re.findall(r'(?:src|href)="([^"]*)"|url\(([^)]*)\)', page)
    assert all(address.startswith(("data:", "#")) for pair in addresses for address in pair if address)
    assert "@import" not in page


def test_report_states_accuracy_with_its_interval(page, run, dataset):
    accuracy = read_run(run, dataset).accuracy
    assert f"{accuracy.value:.5f}" in page
    assert f"95 % interval {accuracy.low:.5f} to {accuracy.high:.5f}" in page


def test_source_file_is_named_without_its_folders(run, dataset):
    from_file = replace(dataset, source="/home/somebody/downloads/digits.zip")
    assert "<dt>Data</dt><dd>digits.zip <small>" in write_report(run, from_file).read_text("utf-8")


def test_cells_have_all_errors_and_the_least_confident_correct_digits(page, run, dataset):
    digits = cells(page)
    errors = pd.read_csv(run.errors)
    shown = digits[digits["label"] != digits["prediction"]]
    assert shown["row"].tolist() == errors["row"].tolist()
    assert shown["probabilities"].map(max).to_numpy() == pytest.approx(1000 * errors["probability"].to_numpy(), abs=1.01)

    oof = read_run(run, dataset)
    hits = digits[(digits["label"] == 3) & (digits["prediction"] == 3)]
    all_hits = np.flatnonzero((oof.predictions == 3) & (oof.labels == 3))
    least = all_hits[np.argsort(oof.confidence[all_hits], kind="stable")[:30]]
    assert hits["row"].tolist()[:30] == least.tolist()


def sheet_of(page: str) -> np.ndarray:
    """The picture that holds all digits, in 16 levels of grey, int (height, width)."""
    data = re.search(r"url\(data:image/png;base64,([^)]*)\)", page)[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("L")) // 17


def test_test_digits_are_shown_with_their_predictions(page, run, dataset):
    section = page.partition('<section id="test">')[2].partition("</section>")[0]
    shown = re.findall(r"--x:(\d+);--y:(\d+).*?<b>(.*?)</b><small>([0-9.]+) %</small>.*?ImageId (\d+)", section)
    columns, lines, titles, percents, ids = zip(*shown, strict=True)
    rows, test = np.array(ids, int) - 1, read_run(run, dataset).test
    assert (len(rows), rows[200], rows[-1]) == (250, 0, len(test) - 1)
    assert rows[:200].tolist() == np.argsort(test.max(axis=1), kind="stable")[:200].tolist()
    assert [dataset.classes.index(title) for title in titles] == test[rows].argmax(axis=1).tolist()
    assert np.array(percents, float) == pytest.approx(100 * test[rows].max(axis=1), abs=0.1)
    tiles = sheet_of(page).reshape(-1, 28, 50, 28).swapaxes(1, 2)
    assert np.array_equal(tiles[np.array(lines, int), np.array(columns, int)], dataset.test_images[rows, ..., 0] >> 4)


def test_partial_run_is_reported_as_such(tmp_path, dataset):
    directory = make_run(tmp_path / "half", dataset, finished=[1, 3])
    page = write_report(directory, dataset).read_text("utf-8")
    assert "This run is partial" in page
    assert sorted(cells(page)["fold"].unique()) == [1, 3]
    assert 'data-matrix="fold 3"' in page
    assert 'data-matrix="fold 0"' not in page


def test_run_without_folds_shows_curves_and_test_digits(tmp_path, dataset):
    page = write_report(make_run(tmp_path / "full_run", dataset, full=True), dataset).read_text("utf-8")
    assert "trained on all training images, so it has no out-of-fold accuracy" in page
    assert "Learning curves" in page
    assert "Test digits" in page
    assert 'id="confusion"' not in page


@pytest.mark.parametrize(
    ("classes", "shape"),
    [(("<cat>", 'a "dog"'), (64, 64, 3)), (tuple(f"letter {n}" for n in range(40)), (16, 16, 1))],
    ids=["two colour classes", "forty grey classes"],
)
def test_other_classes_and_shapes(tmp_path, classes, shape):
    dataset = make_dataset(800, classes, shape)
    page = write_report(make_run(tmp_path / "other", dataset), dataset).read_text("utf-8")
    assert "<cat>" not in page
    assert classes[-1].replace('"', "&#34;") in page


def test_several_seeds_are_reported_by_their_mean(tmp_path, dataset):
    directory = make_run(tmp_path / "seeds", dataset, seeds=(0, 1, 2))
    page = write_report(directory, dataset).read_text("utf-8")
    assert "mean of seeds" in page
    assert 'data-matrix="seed 2"' in page
    details, members = data_in(page, "digit-data"), read_run(directory, dataset).members
    place = data_in(page, "cell-data")[0]
    row, fold = details["row"][place], details["fold"][place]
    own = [result for result in members if result.member.fold == fold]
    votes = [result.predictions.valid[result.predictions.rows == row].argmax() for result in own]
    assert [label for label, _ in details["votes"][place]] == votes
    assert f"{read_run(directory, dataset).accuracy.value:.5f}" in page


def test_accuracy_within_epochs_is_drawn_where_it_was_measured(tmp_path, dataset):
    directory = make_run(tmp_path / "browser_cnn", dataset, steps=True)
    assert "1,000 validation images" in write_report(directory, dataset).read_text("utf-8")


def test_run_without_any_error_can_be_reported(tmp_path, dataset):
    perfect = np.eye(10, dtype=np.float32)[dataset.labels]
    page = write_report(make_run(tmp_path / "perfect", dataset, oof=perfect), dataset).read_text("utf-8")
    assert "No image is wrong." in page


def test_competition_sized_report_is_small(tmp_path):
    dataset = make_dataset(42_000)
    directory = make_run(tmp_path / "large", dataset, accuracy=0.9)
    path = write_report(directory, dataset)
    assert path.stat().st_size < 6_000_000


def test_history_of_a_single_epoch_can_be_drawn(tmp_path, dataset):
    directory = make_run(tmp_path / "short", dataset, finished=[0], epochs=1)
    assert write_report(directory, dataset).exists()


def test_unknown_empty_and_foreign_runs_are_refused_in_one_line(tmp_path, run, dataset):
    (tmp_path / "empty").mkdir()
    foreign = make_dataset(1300)
    for attempt, words in (
        (lambda: write_report(RunFolder(tmp_path / "none"), dataset), "there is no run 'none'"),
        (lambda: write_report(RunFolder(tmp_path / "empty"), dataset), "experiment.json is missing"),
        (lambda: write_report(run, foreign), "was trained on bundled"),
    ):
        with pytest.raises(UserError, match=words) as error:
            attempt()
        assert "\n" not in str(error.value)


def test_damaged_file_is_named(tmp_path, dataset):
    directory = make_run(tmp_path / "damaged", dataset)
    directory.oof.write_bytes(b"PK not a zip")
    with pytest.raises(UserError, match=r"oof\.npz"):
        write_report(directory, dataset)


def test_labels_to_check_are_written_as_csv(page, run, dataset):
    table, oof = pd.read_csv(run.labels), read_run(run, dataset)
    assert list(table.columns) == ["row", "label", "suggested", "probability"]
    assert len(table)
    assert table["label"].tolist() == dataset.labels[table["row"]].tolist()
    assert table["suggested"].tolist() == oof.predictions[table["row"]].tolist()
    assert table["probability"].to_numpy() == pytest.approx(oof.confidence[table["row"]], abs=1e-4)
    assert data_in(page, "label-data")["row"] == table["row"].tolist()


def test_report_without_cleanlab_lacks_only_the_labels_to_check(page, run, dataset, monkeypatch):
    monkeypatch.setitem(sys.modules, "cleanlab", None)  # as in Kaggle's notebooks
    without = write_report(run, dataset).read_text("utf-8")
    assert "the library cleanlab is not installed" in without
    for name in ("digit-data", "cell-data", "map-data"):
        assert data_in(without, name) == data_in(page, name)


def test_map_holds_all_wrong_digits(page, run, dataset):
    details, shown = data_in(page, "digit-data"), data_in(page, "map-data")["digits"]
    wrong = {details["row"][place] for place in shown if details["label"][place] != details["prediction"][place]}
    assert wrong == set(read_run(run, dataset).wrong.tolist())


def test_description_is_text_with_its_backticks_as_code(page):
    assert "<p>Written by <code>make_run</code>, &lt;untrained&gt;.</p>" in page


def test_models_are_listed_with_the_width_of_their_digits_if_it_differs(page, tmp_path):
    workspace = make_workspace(tmp_path)
    train_here(request(workspace, digit_widths=(0, 16), only=[0, 1]), workspace)
    written = write_report(RunFolder.of(workspace, "tiny"), load_dataset(workspace)).read_text("utf-8")
    models = re.findall("<td>0</td><td>([01])</td>\\s*<td>([^<]*)</td>", written)
    assert models == [("0", "as they are"), ("1", "16 pixels wide")]
    assert "pixels wide" not in page
