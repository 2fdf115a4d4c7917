"""The page that compares runs image by image, on the images that all have predicted."""

import pytest
from synthetic_run import make_dataset, make_run

from digit_recognizer import metrics
from digit_recognizer.errors import UserError
from digit_recognizer.formatting import winner
from digit_recognizer.report import write_comparison
from digit_recognizer.runs.run import read_run


@pytest.fixture(scope="module")
def dataset():
    return make_dataset(600)


@pytest.fixture(scope="module")
def run(tmp_path_factory, dataset):
    return make_run(tmp_path_factory.mktemp("runs") / "smoke", dataset)


def test_comparison_counts_image_by_image(tmp_path, run, dataset):
    other = make_run(tmp_path / "better", dataset, accuracy=0.97, seeds=(5,))
    page = write_comparison([run, other], dataset, tmp_path / "comparison.html").read_text("utf-8")
    first, second = read_run(run, dataset), read_run(other, dataset)
    comparison = metrics.compare(dataset.labels, first.predictions, second.predictions)
    assert winner("smoke", "better", comparison).replace("<", "&lt;") in page
    assert f"Only smoke wrong: {comparison.only_second_right}" in page


def test_comparison_of_partial_runs_uses_the_images_in_common(tmp_path, run, dataset):
    half = make_run(tmp_path / "half", dataset, finished=[0, 1])
    assert "of the 240 training images" in write_comparison([run, half], dataset, tmp_path / "page.html").read_text("utf-8")


def test_settings_that_differ_are_listed(tmp_path, run, dataset):
    longer = make_run(tmp_path / "longer", dataset, epochs=20)
    assert "epochs: 12 -&gt; 20" in write_comparison([run, longer], dataset, tmp_path / "page.html").read_text("utf-8")


def test_one_run_is_refused_in_one_line(tmp_path, run, dataset):
    with pytest.raises(UserError, match="two runs") as error:
        write_comparison([run], dataset, tmp_path / "page.html")
    assert "\n" not in str(error.value)


def test_foreign_names_of_classes_are_escaped(tmp_path):
    dataset = make_dataset(300, ("<img src=x onerror=alert(1)>", "b", "c"))
    first, second = (make_run(tmp_path / name, dataset, accuracy=0.8, seeds=(seed,)) for seed, name in enumerate("ab"))
    page = write_comparison([first, second], dataset, tmp_path / "page.html").read_text("utf-8")
    assert "onerror=alert(1)" in page
    assert "<img" not in page
