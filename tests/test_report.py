"""The report's pages as files: what they hold, for whole and partial runs, any classes and shapes. The browser looks in
test_report_browser.py."""

import base64
import io
import json
import re
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from synthetic_run import make_dataset, make_run

from digit_recognizer import metrics
from digit_recognizer.errors import UserError
from digit_recognizer.formatting import winner
from digit_recognizer.report import write_blend, write_comparison, write_report
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.run import read_run


@pytest.fixture(scope="module")
def dataset():
    return make_dataset()


@pytest.fixture(scope="module")
def run(tmp_path_factory, dataset):
    return make_run(tmp_path_factory.mktemp("runs") / "smoke", dataset)


def cells(page: str) -> pd.DataFrame:
    """The digits behind the confusion matrix's cells."""
    text = re.search(r'<script type="application/json" id="cells">(.*?)</script>', page, re.DOTALL)[1]
    return pd.DataFrame(json.loads(text)["digits"])


def test_report_is_one_file_that_needs_no_network(run, dataset):
    path = write_report(run, dataset)
    page = path.read_text("utf-8")
    assert path == run.report
    addresses = re.findall(r'(?:src|href)="([^"]*)"|url\(([^)]*)\)', page)
    assert all(address.startswith(("data:", "#")) for pair in addresses for address in pair if address)
    assert "@import" not in page


def test_report_states_accuracy_with_its_interval(run, dataset):
    page = write_report(run, dataset).read_text("utf-8")
    accuracy = read_run(run, dataset).accuracy
    assert f"{accuracy.value:.5f}" in page
    assert f"95 % interval {accuracy.low:.5f} to {accuracy.high:.5f}" in page


def test_data_from_a_file_are_named_without_its_folders(run, dataset):
    from_file = replace(dataset, source="/home/somebody/downloads/digits.zip")
    assert "<dt>Data</dt><dd>digits.zip\n" in write_report(run, from_file).read_text("utf-8")


def test_cells_hold_all_errors_and_the_least_confident_hits(run, dataset):
    digits = cells(write_report(run, dataset).read_text("utf-8"))
    errors = pd.read_csv(run.errors)
    shown = digits[digits["label"] != digits["prediction"]]
    assert shown["row"].tolist() == errors["row"].tolist()
    assert shown["probability"].to_numpy() == pytest.approx(errors["probability"].to_numpy(), abs=1e-4)

    oof = read_run(run, dataset)
    hits = digits[(digits["label"] == 3) & (digits["prediction"] == 3)]
    all_hits = np.flatnonzero((oof.predictions == 3) & (oof.labels == 3))
    least = all_hits[np.argsort(oof.confidence[all_hits], kind="stable")[:30]]
    assert hits["row"].tolist()[:30] == least.tolist()


def sheet_of(page: str) -> np.ndarray:
    """The picture that holds all digits, in 16 levels of grey, int (height, width)."""
    data = re.search(r"url\(data:image/png;base64,([^)]*)\)", page)[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("L")) // 17


def test_test_digits_are_shown_with_what_the_run_says_of_them(run, dataset):
    page = write_report(run, dataset).read_text("utf-8")
    section = page.partition('<section id="test">')[2].partition("</section>")[0]
    shown = re.findall(r"--x:(\d+);--y:(\d+).*?<b>(.*?)</b><small>([0-9.]+) %</small>.*?ImageId (\d+)", section)
    columns, lines, titles, percents, ids = zip(*shown, strict=True)
    rows, test = np.array(ids, int) - 1, read_run(run, dataset).test
    assert (len(rows), rows[0], rows[49]) == (100, 0, len(test) - 1)
    assert rows[50:].tolist() == np.argsort(test.max(axis=1), kind="stable")[:50].tolist()
    assert [dataset.classes.index(title) for title in titles] == test[rows].argmax(axis=1).tolist()
    assert np.array(percents, float) == pytest.approx(100 * test[rows].max(axis=1), abs=0.1)
    tiles = sheet_of(page).reshape(-1, 28, 50, 28).swapaxes(1, 2)
    assert np.array_equal(tiles[np.array(lines, int), np.array(columns, int)], dataset.test_images[rows, ..., 0] >> 4)


def test_partial_run_is_reported_as_such(tmp_path, dataset):
    directory = make_run(tmp_path / "half", dataset, finished=[1, 3])
    page = write_report(directory, dataset).read_text("utf-8")
    assert "This run is partial" in page
    assert sorted(cells(page)["fold"].unique()) == [1, 3]
    assert 'data-fold="3"' in page
    assert 'data-fold="0"' not in page


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
    assert f"{read_run(directory, dataset).accuracy.value:.5f}" in page


def test_accuracy_within_epochs_is_drawn_where_it_was_measured(tmp_path, dataset):
    directory = make_run(tmp_path / "browser_cnn", dataset, steps=True)
    assert "1,000 validation images" in write_report(directory, dataset).read_text("utf-8")


def test_run_without_any_error_can_be_reported(tmp_path, dataset):
    perfect = np.eye(10, dtype=np.float32)[dataset.labels]
    page = write_report(make_run(tmp_path / "perfect", dataset, oof=perfect), dataset).read_text("utf-8")
    assert "No image is wrong." in page


def test_competition_sized_report_is_small_and_fast(tmp_path):
    dataset = make_dataset(42_000)
    directory = make_run(tmp_path / "large", dataset, accuracy=0.9)
    start = time.process_time()
    path = write_report(directory, dataset)
    assert time.process_time() - start < 10
    assert path.stat().st_size < 3_000_000


def test_comparison_counts_image_by_image(tmp_path, run, dataset):
    other = make_run(tmp_path / "better", dataset, accuracy=0.97, seeds=(5,))
    page = write_comparison([run, other], dataset, tmp_path / "comparison.html").read_text("utf-8")
    first, second = read_run(run, dataset), read_run(other, dataset)
    comparison = metrics.compare(dataset.labels, first.predictions, second.predictions)
    assert winner("smoke", "better", comparison).replace("<", "&lt;") in page
    assert f"Only smoke wrong: {comparison.only_second_right}" in page


def test_comparison_of_partial_runs_uses_the_images_in_common(tmp_path, run, dataset):
    half = make_run(tmp_path / "half", dataset, finished=[0, 1])
    assert "of the 480 training images" in write_comparison([run, half], dataset, tmp_path / "page.html").read_text("utf-8")


def test_blend_page_shows_weights_disagreement_and_size(tmp_path, run, dataset):
    other = make_run(tmp_path / "other", dataset, seeds=(3, 4))
    runs = [read_run(directory, dataset) for directory in (run, other)]
    page = write_blend(
        [run, other],
        dataset,
        tmp_path / "blend.html",
        weights={"smoke": 0.25, "other": 0.75},
        oof=0.25 * runs[0].probabilities + 0.75 * runs[1].probabilities,
        test=0.25 * runs[0].test + 0.75 * runs[1].test,
    ).read_text("utf-8")
    assert "0.750" in page
    assert "other seed 4" in page
    assert "Accuracy by number of models" in page
    assert "Disputed test digits" in page


def test_blend_of_one_model_a_fold_has_no_size_curve(tmp_path, run, dataset):
    smoke = read_run(run, dataset)
    path = write_blend([run], dataset, tmp_path / "one.html", weights=None, oof=smoke.probabilities, test=smoke.test)
    page = path.read_text("utf-8")
    assert "Accuracy by number of models" not in page
    assert "no weights" in page


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
        (lambda: write_comparison([run], dataset, tmp_path / "page.html"), "two runs"),
    ):
        with pytest.raises(UserError, match=words) as error:
            attempt()
        assert "\n" not in str(error.value)


def test_damaged_file_is_named(tmp_path, dataset):
    directory = make_run(tmp_path / "damaged", dataset)
    directory.oof.write_bytes(b"PK not a zip")
    with pytest.raises(UserError, match=r"oof\.npz"):
        write_report(directory, dataset)
