"""The choice of the digits of a run to explain, and of the model for each."""

from typing import NamedTuple

import numpy as np

from digit_recognizer.data.dataset import Dataset
from digit_recognizer.report.explanation import Background, Explanation, Task
from digit_recognizer.report.label_issues import LabelIssues
from digit_recognizer.runs.run import MemberResult, Run

MOST_ROWS = 1500  # training images to explain
TEST_DIGITS = 200  # least confident test images to explain
SEARCHED_ROWS = 12_000  # training images of each model to search for similar ones; with all, a report takes a third longer

Key = tuple[bool, int]  # whether it is a test image, and its row


class ExplanationPlan(NamedTuple):
    """The tasks, and the digits of each in the order of its images."""

    tasks: list[Task]
    keys: list[list[Key]]

    def collect(self, background: Background) -> dict[Key, Explanation]:
        """Wait for the explanations and return them by digit."""
        found = [explanation for task in background.results() for explanation in task]
        return dict(zip([key for keys in self.keys for key in keys], found, strict=True))


def plan(run: Run, dataset: Dataset, issues: LabelIssues | None) -> ExplanationPlan:
    """Return what to explain: wrong images, those with label issues (MOST_ROWS in all), the TEST_DIGITS least confident ones.

    A training image is explained by the first seed's model of its fold, a test image by the run's first model.
    """
    rows = run.wrong
    if issues is not None:
        rows = np.array(list(dict.fromkeys([*rows, *run.rows[issues.wrong_labels], *run.rows[issues.ambiguous]])), np.int64)
    rows = rows[:MOST_ROWS]
    judges: dict[int | None, MemberResult] = {}
    for result in run.members:
        judges.setdefault(result.member.fold, result)
    tasks, keys = [], []
    for result in judges.values():
        own = rows[run.fold[rows] == result.member.fold] if result.member.fold is not None else rows[:0]
        test = least_confident(run)[:TEST_DIGITS] if result is run.members[0] else np.empty(0, np.int64)
        if len(own) + len(test):
            keys.append([*((False, int(row)) for row in own), *((True, int(row)) for row in test)])
            tasks.append(_task(run, dataset, result, own, test))
    return ExplanationPlan(tasks, keys)


def least_confident(run: Run) -> np.ndarray:
    """Return the rows of the test images, int64, the least confident prediction first."""
    return np.argsort(run.test.max(axis=1), kind="stable")


def _task(run: Run, dataset: Dataset, result: MemberResult, rows: np.ndarray, test_rows: np.ndarray) -> Task:
    best, second = np.argsort(-np.concatenate([run.probabilities[rows], run.test[test_rows]]), axis=1, kind="stable")[:, :2].T
    second[: len(rows)] = np.where(best[: len(rows)] == run.labels[rows], second[: len(rows)], run.labels[rows])
    return Task(
        path=result.folder.model,
        name=result.member.name,
        searched_rows=_every_nth(result.predictions.trained_rows, SEARCHED_ROWS),
        images=np.concatenate([dataset.images[rows], dataset.test_images[test_rows]]),
        classes=np.stack([best, second], axis=1),
    )


def _every_nth(rows: np.ndarray, most: int) -> np.ndarray:
    """Return all rows, or every n-th so that they are at most `most`."""
    return rows[:: max(1, -(-len(rows) // most))]
