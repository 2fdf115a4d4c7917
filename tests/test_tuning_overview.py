"""All studies in one list."""

import optuna
import pytest

from digit_recognizer.metrics import Estimate
from digit_recognizer.tuning import journal, trials
from digit_recognizer.tuning.overview import StudyStatus, study_statuses
from digit_recognizer.tuning.trainer import TrialResult
from digit_recognizer.workspace import Workspace


@pytest.fixture
def workspace(tmp_path):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return Workspace(tmp_path)


def create_study(workspace, name):
    return optuna.create_study(study_name=name, storage=journal.open_journal(journal.path_of(name, workspace)))


def test_without_studies_the_list_is_empty(workspace):
    assert study_statuses(workspace) == []


def test_study_is_listed_with_its_best_trial(workspace):
    study = create_study(workspace, "fast")
    for value in (0.05, 0.03):
        trial = study.ask()
        trials.set_result(trial, TrialResult(value, Estimate(1 - value, 0.9, 1.0), [value], 60.0, 1000))
        study.tell(trial, value)
    study.ask()
    (found,) = study_statuses(workspace)
    assert (found.name, found.trials, found.complete, found.log_loss) == ("fast", 2, 2, 0.03)
    assert found.accuracy == Estimate(0.97, 0.9, 1.0)
    assert 0 <= found.age < 60


def test_damaged_study_is_listed_with_its_problem(workspace):
    create_study(workspace, "fast")
    study = create_study(workspace, "other")
    study.tell(study.ask(), 0.5)
    journal.path_of("third", workspace).write_text("{}\n")
    journal.path_of("empty", workspace).touch()
    found = {status.name: status for status in study_statuses(workspace)}
    for name in ("fast", "empty"):
        assert found[name] == StudyStatus(name, 0, 0, None, None, found[name].age, "")
    assert found["third"] == StudyStatus("third", 0, 0, None, None, found["third"].age, found["third"].problem)
    assert found["other"].problem == "the study is damaged: trial 0 has no valid accuracy"
    assert "third.journal is damaged" in found["third"].problem
