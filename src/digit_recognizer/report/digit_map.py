"""A two-dimensional map of digits, on which images that the models confuse are close to each other."""

from typing import Any

import numpy as np

from digit_recognizer.report.digit_sheet import DigitSheet
from digit_recognizer.runs.run import Run

SAMPLE = 2000  # correct digits
WRONG = 2000  # wrong digits at most
PERPLEXITY = 30
FEWEST = 20  # digits; with fewer there is no map


def digit_map(run: Run, sheet: DigitSheet) -> dict[str, Any] | None:
    """Return the map for script.js: places in the sheet, and coordinates 0..1000; None for too few digits.

    The digits are all wrong ones (up to WRONG) and a sample of the others, stratified by label. t-SNE (van der Maaten and
    Hinton, 2008) embeds their out-of-fold logarithms of probabilities, so the position of a digit comes from a model
    that was not trained on it.
    """
    rows = sample(run)
    if len(rows) < FEWEST:
        return None
    points = embed(run.probabilities[rows])
    x, y = np.round(1000 * (points - points.min(axis=0)) / np.ptp(points, axis=0)).astype(int).T.tolist()
    return {"digits": [sheet.train(row) for row in rows], "x": x, "y": y, "wrong": len(run.wrong[:WRONG])}


def sample(run: Run) -> np.ndarray:
    """Return the rows on the map, int64, the wrong ones first."""
    correct = run.rows[run.predictions[run.rows] == run.labels[run.rows]]
    generator, share = np.random.default_rng(0), min(SAMPLE / max(len(correct), 1), 1.0)
    chosen = []
    for label in np.unique(run.labels[correct]):
        rows = correct[run.labels[correct] == label]
        chosen.append(np.sort(generator.permutation(rows)[: round(share * len(rows))]))
    return np.concatenate([run.wrong[:WRONG], *chosen])


def embed(probabilities: np.ndarray) -> np.ndarray:
    """Return coordinates, float32 (n, 2), of probabilities (n, classes); the same for the same input."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    logarithms = np.log(np.clip(probabilities, 1e-7, 1)).astype(np.float32)
    embedding = TSNE(
        init="pca", perplexity=min(PERPLEXITY, (len(logarithms) - 1) / 3), max_iter=500, angle=0.8, random_state=0, n_jobs=1
    )
    with threadpool_limits(1):  # OpenMP's threads would wait for cores that other processes use
        return embedding.fit_transform(logarithms)
