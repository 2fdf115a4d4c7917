"""Training images whose label is probably wrong or can't be told, and the accuracy that they leave within reach."""

from typing import NamedTuple

import numpy as np

from digit_recognizer import metrics
from digit_recognizer.runs.run import Run

AMBIGUOUS = 2 / 3  # of the best class's probability: a runner-up above this leaves the label open


class Doubtful(NamedTuple):
    """Rows int64, the most doubtful first, and the highest accuracy to be expected with labels like these."""

    mislabelled: np.ndarray
    ambiguous: np.ndarray
    ceiling: metrics.Estimate


def doubtful_labels(run: Run) -> Doubtful:
    """Find doubtful labels by confident learning (Northcutt, Jiang and Chuang, 2021) on the out-of-fold probabilities.

    The ceiling counts this run's errors on doubtful images as those that no honest model can be expected to avoid.
    """
    from cleanlab.filter import find_label_issues

    probabilities = run.probabilities[run.rows].astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    issues = find_label_issues(
        run.labels[run.rows],
        probabilities,
        filter_by="confident_learning",
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
    )
    mislabelled = run.rows[issues]
    second, best = np.sort(probabilities, axis=1)[:, -2:].T
    doubt = np.where(np.isin(run.rows, mislabelled), 0, second / best)
    order = np.argsort(-doubt, kind="stable")
    ambiguous = run.rows[order[doubt[order] > AMBIGUOUS]]
    lost = np.isin(run.wrong, np.concatenate([mislabelled, ambiguous])).sum()
    return Doubtful(mislabelled, ambiguous, metrics.proportion(len(run.rows) - int(lost), len(run.rows)))
