"""The choice of the digits to explain, and of the training images to search for similar ones."""

import pytest
from tiny_run import make_workspace, request, train_here

from digit_recognizer.data.dataset import load_dataset
from digit_recognizer.report import explanation_tasks
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.run import read_run


@pytest.mark.parametrize("most", [12_000, 50])
def test_similar_images_are_searched_among_the_rows_that_the_model_learned_from(tmp_path, monkeypatch, most):
    workspace = make_workspace(tmp_path)
    train_here(request(workspace, epochs=1, folds=2), workspace)
    dataset = load_dataset(workspace)
    run = read_run(RunFolder.of(workspace, "tiny"), dataset)
    monkeypatch.setattr(explanation_tasks, "SEARCHED_ROWS", most)
    learned = {result.member.name: result.predictions.trained_rows for result in run.members}
    for task in explanation_tasks.plan(run, dataset, None).tasks:
        rows = list(learned[task.name])
        assert list(task.searched_rows) == (rows if most > len(rows) else rows[::2])
