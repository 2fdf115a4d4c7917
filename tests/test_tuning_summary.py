"""The results of a study: summary, page and tuned pipeline."""

import dataclasses
import os
import re

import pytest
import study_worker
from study_worker import known_trials, search

from digit_recognizer.experiment import load
from digit_recognizer.tuning import confirmation, study, trainer, tuned_pipeline
from digit_recognizer.tuning.pruner import CrossValidationPruner


@pytest.fixture(scope="module")
def patched():
    """Replace trainings by simulated ones without pruning, since importances need enough complete trials."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "load_dataset", study_worker.dataset)
        patch.setattr(trainer, "evaluate", study_worker.quick_evaluate(0))
        patch.setattr(CrossValidationPruner, "is_worse", lambda *arguments: False)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory, patched):
    """Return the workspace and summary of a study of 12 trials with a significant gain."""
    workspace = study_worker.workspace_with_pipeline(tmp_path_factory.mktemp("study"))
    return workspace, search(workspace, trials=12)


def test_significant_gain_becomes_a_pipeline_that_loads(finished):
    workspace, summary = finished
    assert summary.gain and summary.gain.number == summary.winner
    assert summary.conclusion.startswith("Significant gain: on new seeds and folds, trial")
    tuned = load("quick_tuned", workspace)
    assert summary.tuned == tuned.file
    assert tuned.experiment.learning_rate == summary.gain.changes["learning_rate"]
    assert tuned.experiment.seeds == (0,)
    assert "p = " in tuned.description and "12 trials" in tuned.description
    assert all(len(line) <= 128 for line in tuned.file.read_text().splitlines())


def test_settings_of_the_command_are_part_of_the_tuned_pipeline(finished):
    workspace, summary = finished
    changes = {"network_options": {"hidden": (32,)}, "epochs": 7}
    tuned_pipeline.write(summary, load("quick", workspace, changes), workspace)
    experiment = load("quick_tuned", workspace).experiment
    assert experiment.network_options == {"hidden": (32,), "dropout": summary.gain.changes["network_options.dropout"]}
    assert experiment.epochs == 7


def test_without_a_significant_gain_no_pipeline_is_written(tmp_path, patched):
    workspace = study_worker.workspace_with_pipeline(tmp_path)
    summary = search(workspace, trials=4, changes={"learning_rate": 1e-3})
    assert known_trials(workspace)[summary.winner].user_attrs["baseline"]
    assert summary.gain is summary.tuned is None
    assert summary.conclusion.startswith("No ")
    assert not (tmp_path / "pipelines" / "quick_tuned.py").exists()


def test_pipeline_written_by_hand_is_not_overwritten(finished):
    workspace, summary = finished
    mine = workspace.root / "pipelines" / "mine_tuned.py"
    mine.write_text('"""Mine."""\n')
    pipeline = dataclasses.replace(load("quick", workspace), name="mine")
    assert tuned_pipeline.write(summary, pipeline, workspace) is None
    assert mine.read_text() == '"""Mine."""\n'


def test_candidates_are_trained_on_new_seeds_and_folds(finished):
    workspace, summary = finished
    confirming = known_trials(workspace, "quick confirmation")
    pairs = {(trial.params["candidate"], trial.params["repeat"]) for trial in confirming}
    numbers = {one.number for one in summary.confirmed}
    assert len(confirming) == len(pairs) == len(numbers) * confirmation.REPEATS
    experiment = load("quick", workspace).experiment
    seeds = [confirmation.new_seeds(experiment, repeat) for repeat in range(confirmation.REPEATS)]
    assert seeds == [{"seeds": [1000], "fold_seed": 1000}, {"seeds": [1001], "fold_seed": 1001}]


def test_page_opens_from_disk_and_shows_the_study(finished):
    _, summary = finished
    page = summary.report.read_text()
    assert not re.search(r"""(src|href)=["'](https?:)?//""", page)
    for text in (summary.conclusion.replace("'", "&#39;"), "Importance", "learning_rate", "Time", "Confirmation", "baseline"):
        assert text in page
    assert page.count("<svg") == 2 + 3
    assert "currentColor" in page and "#555555" not in page, "labels have the colour of the page's text"


def test_chart_does_not_change_pyplots_settings(finished):
    import matplotlib
    from matplotlib import pyplot

    from digit_recognizer.tuning import charts, journal

    workspace, _ = finished
    before, opened = dict(matplotlib.rcParams), pyplot.get_fignums()
    import optuna

    storage = journal.open_journal(journal.path_of("quick", workspace))
    charts.history(optuna.load_study(study_name="quick", storage=storage))
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == opened


@pytest.mark.parametrize("missing", [True, False])
def test_summary_of_an_unfinished_study_names_the_command_to_resume(finished, missing):
    _, summary = finished
    complete = [one for one in summary.complete if not (missing and one.is_baseline)]
    unfinished = dataclasses.replace(summary, complete=complete, winner=None)
    assert "repeat the command" in unfinished.conclusion
    assert unfinished.gain is None
    assert os.linesep not in unfinished.conclusion
