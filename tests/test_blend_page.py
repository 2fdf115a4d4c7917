"""The page of a blend: weights, disagreement, accuracy by number of models."""

from synthetic_run import make_dataset, make_run

from digit_recognizer.report import write_blend
from digit_recognizer.runs.run import read_run


def test_blend_page_shows_weights_disagreement_and_size(tmp_path, synthetic_run, bars):
    other = make_run(tmp_path / "other", bars, seeds=(3, 4))
    runs = [read_run(directory, bars) for directory in (synthetic_run, other)]
    page = write_blend(
        [synthetic_run, other],
        bars,
        tmp_path / "blend.html",
        weights={"smoke": 0.25, "other": 0.75},
        oof=0.25 * runs[0].probabilities + 0.75 * runs[1].probabilities,
        test=0.25 * runs[0].test + 0.75 * runs[1].test,
    ).read_text("utf-8")
    assert "0.750" in page
    assert "other seed 4" in page
    assert "Accuracy by number of models" in page
    assert "Disputed test digits" in page


def test_blend_of_one_model_a_fold_has_no_size_curve(tmp_path, synthetic_run, bars):
    smoke = read_run(synthetic_run, bars)
    path = write_blend([synthetic_run], bars, tmp_path / "one.html", weights=None, oof=smoke.probabilities, test=smoke.test)
    page = path.read_text("utf-8")
    assert "Accuracy by number of models" not in page
    assert "no weights" in page


def test_foreign_names_of_classes_are_escaped(tmp_path):
    dataset = make_dataset(300, ("<img src=x onerror=alert(1)>", "b", "c"))
    first, second = (make_run(tmp_path / name, dataset, accuracy=0.8, seeds=(seed,)) for seed, name in enumerate("ab"))
    run = read_run(first, dataset)
    page = write_blend(
        [first, second], dataset, tmp_path / "page.html", weights=None, oof=run.probabilities, test=run.test
    ).read_text("utf-8")
    assert "onerror=alert(1)" in page
    assert "<img" not in page
