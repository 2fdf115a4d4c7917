"""The page that compares runs image by image, on the images that all have predicted."""

import pytest
from synthetic_run import make_dataset, make_run

from digit_recognizer import metrics
from digit_recognizer.errors import UserError
from digit_recognizer.formatting import winner
from digit_recognizer.report import write_comparison
from digit_recognizer.runs.run import read_run


def test_comparison_counts_image_by_image(tmp_path, synthetic_run, bars):
    other = make_run(tmp_path / "better", bars, accuracy=0.97, seeds=(5,))
    page = write_comparison([synthetic_run, other], bars, tmp_path / "comparison.html").read_text("utf-8")
    first, second = read_run(synthetic_run, bars), read_run(other, bars)
    comparison = metrics.compare(bars.labels, first.predictions, second.predictions)
    assert winner("smoke", "better", comparison).replace("<", "&lt;") in page
    assert f"Only smoke wrong: {comparison.only_second_right}" in page


def test_comparison_of_partial_runs_uses_the_images_in_common(tmp_path, synthetic_run, bars):
    half = make_run(tmp_path / "half", bars, finished=[0, 1])
    page = write_comparison([synthetic_run, half], bars, tmp_path / "page.html").read_text("utf-8")
    assert "of the 240 training images" in page


def test_settings_that_differ_are_listed(tmp_path, synthetic_run, bars):
    longer = make_run(tmp_path / "longer", bars, epochs=20)
    assert "epochs: 12 -&gt; 20" in write_comparison([synthetic_run, longer], bars, tmp_path / "page.html").read_text("utf-8")


def test_one_run_is_refused_in_one_line(tmp_path, synthetic_run, bars):
    with pytest.raises(UserError, match="two runs") as error:
        write_comparison([synthetic_run], bars, tmp_path / "page.html")
    assert "\n" not in str(error.value)


def test_foreign_names_of_classes_are_escaped(tmp_path):
    dataset = make_dataset(300, ("<img src=x onerror=alert(1)>", "b", "c"))
    first, second = (make_run(tmp_path / name, dataset, accuracy=0.8, seeds=(seed,)) for seed, name in enumerate("ab"))
    page = write_comparison([first, second], dataset, tmp_path / "page.html").read_text("utf-8")
    assert "onerror=alert(1)" in page
    assert "<img" not in page
