"""Label issues: training images whose label is probably wrong or ambiguous, and the highest accuracy to expect with them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from digit_recognizer import metrics

AMBIGUOUS = 2 / 3  # an image is ambiguous if the second class has more than this share of the first one's probability


class LabelIssues(NamedTuple):
    """Indices into the given arrays, int64, the most suspicious first.

    `highest_accuracy` is the highest accuracy to expect with such labels.
    """

    wrong_labels: np.ndarray
    ambiguous: np.ndarray
    highest_accuracy: metrics.Estimate


def find_label_issues(labels: np.ndarray, probabilities: np.ndarray) -> LabelIssues | None:
    """Find label issues by confident learning (Northcutt, Jiang and Chuang, 2021); return None if cleanlab is not installed.

    For `highest_accuracy`, only errors on images with a label issue count as unavoidable.

    Args:
        labels: int64 (n,).
        probabilities: out of fold, float (n, classes), without NaN.
    """
    try:
        from cleanlab import filter as cleanlab
    except ImportError:  # not installed, as in Kaggle's notebooks
        return None

    probabilities = probabilities.astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    wrong_labels = cleanlab.find_label_issues(
        labels,
        probabilities,
        filter_by="confident_learning",
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
    )
    second, best = np.sort(probabilities, axis=1)[:, -2:].T
    ratio = second / best
    ratio[wrong_labels] = 0
    order = np.argsort(-ratio, kind="stable")
    ambiguous = order[ratio[order] > AMBIGUOUS]
    errors = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    unavoidable = np.isin(errors, np.concatenate([wrong_labels, ambiguous])).sum()
    return LabelIssues(wrong_labels, ambiguous, metrics.proportion(len(labels) - int(unavoidable), len(labels)))


def labels_to_check(rows: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Return the table of labels.csv: `row,label,suggested,probability`, with the names of the classes.

    The file that the page saves has an additional column `mark`: `wrong`, `fine`, `unclear`, or empty.

    Args:
        rows: int64 (k,), training rows with a label that is probably wrong.
        labels: int64 (n,), of all rows.
        probabilities: out of fold, float (n, classes).
    """
    suggested = probabilities[rows].argmax(axis=1)
    return pd.DataFrame(
        {
            "row": rows,
            "label": [classes[label] for label in labels[rows]],
            "suggested": [classes[label] for label in suggested],
            "probability": probabilities[rows, suggested].round(4),
        }
    )
