"""A second look at doubtful images: of which of its two likeliest classes are there other images that it nearly is?

A network knows what the images of a class have in common; a single image, perhaps by the same hand, tells something else.
Two images are compared by the image distortion model (Keysers et al., 2007, "Deformation models for image recognition"): each
pixel of the one is explained by the best pixel about its place in the other, pixels being alike if the gradients around them
are. The further away that pixel is, the more it costs, so that images don't dissolve.
"""

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from digit_recognizer import metrics
from digit_recognizer.data.dataset import Dataset

DOUBTFUL = 0.02  # of all images, those whose likeliest class is the least likely
FEWEST = 100  # doubtful training images, to learn from what neighbours are worth
CANDIDATES = 50  # images of a class that an image is compared with; as many channels as OpenCV takes at once, 128, at most
NEAREST = 2  # of these, whose mean distance counts
REACH = 3  # pixels that a pixel may have strayed in each direction
WINDOW = 5  # pixels across that have to be alike
STRAYING = 2.0  # cost of straying by one pixel, in squared gradients; it grows with the square
TOGETHER = 100  # images that are sketched at once, as channels


class Gallery(NamedTuple):
    """Images uint8 (n, height, width, channels), their sketches float32 (n, features) and labels int (n,)."""

    images: np.ndarray
    sketches: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, images: np.ndarray, labels: np.ndarray) -> "Gallery":
        """Return the gallery of these images."""
        return cls(images, sketches(images), labels)

    def part(self, which: np.ndarray) -> "Gallery":
        """Return the gallery of some of the images."""
        return Gallery(*(array[which] for array in self))

    def joined(self, other: "Gallery") -> "Gallery":
        """Return the gallery of both."""
        return Gallery(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))

    def distances(self, queries: "Gallery", pairs: np.ndarray) -> np.ndarray:
        """Return how far each query is from the images of two classes, float64 (n, 2), NaN for a class without any.

        `pairs` int (n, 2) are the classes; what labels the queries have doesn't matter.
        """
        from sklearn.neighbors import NearestNeighbors

        found = np.full(pairs.shape, np.nan)
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            for label in np.unique(pairs[np.isin(pairs, self.labels)]):
                alike, asked = self.part(self.labels == label), np.argwhere(pairs == label)
                finder = NearestNeighbors(n_neighbors=min(CANDIDATES, len(alike.images)), algorithm="brute").fit(alike.sketches)
                candidates = finder.kneighbors(queries.sketches[asked[:, 0]], return_distance=False)
                costs = pool.map(distortions, queries.images[asked[:, 0]], (alike.images[some] for some in candidates))
                found[tuple(asked.T)] = [np.sort(cost)[:NEAREST].mean() for cost in costs]
        return found


class Doubts(NamedTuple):
    """Doubtful images: their rows int64 (n,), and the two likeliest classes of each, int64 (n, 2), the likelier one first.

    `evidence` float64 (n, 2) is what speaks for that: the logarithms of how much likelier and of how much nearer it is.
    """

    rows: np.ndarray
    pairs: np.ndarray
    evidence: np.ndarray

    @classmethod
    def of(cls, probabilities: np.ndarray, distances: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> "Doubts":
        """Return the `doubtful` ones of probabilities float (n, classes); `distances` of rows and pairs are float64 (n, 2)."""
        rows = doubtful(probabilities)
        pairs = np.argsort(-probabilities[rows], axis=1, kind="stable")[:, :2]
        likelier, other = metrics.logarithms(probabilities[rows[:, None], pairs]).T
        to_likelier, to_other = distances(rows, pairs).T
        with np.errstate(divide="ignore", invalid="ignore"):  # images that are there twice, classes that are missing
            nearer = np.clip(np.nan_to_num(np.log(to_other / to_likelier)), -1, 1)
        return cls(rows, pairs, np.stack([likelier - other, nearer], axis=1))

    def part(self, which: np.ndarray) -> "Doubts":
        """Return some of them."""
        return Doubts(*(array[which] for array in self))


class Weights(NamedTuple):
    """What the two kinds of evidence weigh, as logistic regression (without intercept) finds."""

    likelihood: float
    nearness: float

    @classmethod
    def fit(cls, doubts: Doubts, labels: np.ndarray) -> "Weights":
        """Return the weights that tell best which class of each pair is the label, of labels int (n,) of all rows."""
        from sklearn.linear_model import LogisticRegression

        likelier, other = (doubts.pairs == labels[doubts.rows, None]).T
        if not likelier.any() or not other.any():
            return cls(1.0, 0.0)
        known = likelier | other
        model = LogisticRegression(C=10, fit_intercept=False).fit(doubts.evidence[known], likelier[known])
        return cls(*map(float, model.coef_[0]))

    def apply(self, doubts: Doubts, probabilities: np.ndarray) -> np.ndarray:
        """Return a copy of probabilities float (n, classes) in which the two classes of each pair share anew what they have."""
        changed, place = probabilities.copy(), (doubts.rows[:, None], doubts.pairs)
        support = doubts.evidence @ self
        shares = metrics.softmax(np.stack([support, np.zeros_like(support)], axis=1))
        changed[place] = shares * probabilities[place].sum(axis=1, keepdims=True)
        return changed


@dataclass(frozen=True)
class SecondLook:
    """Probabilities after a second look, and what it is worth out of fold, with weights that were fitted on the other folds."""

    oof: np.ndarray  # float64 (n, classes), NaN as before
    test: np.ndarray  # float64 (m, classes)
    weights: Weights  # fitted on all folds
    doubtful: int  # training images
    comparison: metrics.Comparison  # with it against without it, image by image
    log_loss: float
    log_loss_before: float
    p_value: float  # of the log losses, paired t-test

    def __str__(self) -> str:
        """`+19 images of 42,000, McNemar ..., log loss 0.01300 -> 0.01170 (p < 0.001)`."""
        return f"{self.comparison}, log loss {self.log_loss_before:.5f} -> {self.log_loss:.5f} ({metrics.p_text(self.p_value)})"

    @property
    def better(self) -> bool:
        """Whether it has no fewer images right, and a lower log loss beyond chance."""
        return self.comparison.images >= 0 and self.log_loss < self.log_loss_before and self.p_value < metrics.SIGNIFICANT


def second_look(dataset: Dataset, folds: np.ndarray, oof: np.ndarray, test: np.ndarray) -> SecondLook | None:
    """Compare the doubtful images with the training images and with those test images that are not doubtful.

    A training image is compared with those of other folds alone. The labels of test images are what they are predicted to be.
    Two things let a training image's own label in, a little: it had a part in the models of other folds that predict the
    test images, and in the distances that the weights of its fold are fitted on.

    Args:
        dataset: the images.
        folds: of the training images, int (n,).
        oof: of these, float64 (n, classes), NaN where they are not predicted.
        test: of the test images, float64 (m, classes).

    Returns:
        None where there are too few doubtful images, or one fold alone, to learn from what neighbours are worth.
    """
    predicted, labels = metrics.predicted_rows(oof), dataset.labels
    names = np.unique(folds[predicted])
    if len(names) == 1 or DOUBTFUL * predicted.sum() < FEWEST:
        return None
    test_images = Gallery.of(dataset.test_images, test.argmax(axis=1))
    sure = test_images.part(np.setdiff1d(np.arange(len(test)), doubtful(test)))
    known, known_folds = Gallery.of(dataset.images, labels).joined(sure), np.concatenate([folds, np.full(len(sure.images), -1)])

    def to_other_folds(rows: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        found = np.empty(pairs.shape)
        for fold in names:
            inside = folds[rows] == fold
            found[inside] = known.part(known_folds != fold).distances(known.part(rows[inside]), pairs[inside])
        return found

    def to_all(rows: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        return known.distances(test_images.part(rows), pairs)

    doubts, looked = Doubts.of(oof, to_other_folds), oof
    for fold in names:
        inside = folds[doubts.rows] == fold
        looked = Weights.fit(doubts.part(~inside), labels).apply(doubts.part(inside), looked)
    weights = Weights.fit(doubts, labels)
    after, before = looked[predicted], oof[predicted]
    return SecondLook(
        oof=looked,
        test=weights.apply(Doubts.of(test, to_all), test),
        weights=weights,
        doubtful=len(doubts.rows),
        comparison=metrics.compare(labels[predicted], after.argmax(axis=1), before.argmax(axis=1)),
        log_loss=metrics.log_loss(labels[predicted], after),
        log_loss_before=metrics.log_loss(labels[predicted], before),
        p_value=_p_value(*(metrics.logarithms(some[doubts.rows, labels[doubts.rows]]) for some in (looked, oof))),
    )


def doubtful(probabilities: np.ndarray) -> np.ndarray:
    """Return the rows of the doubtful ones of probabilities float (n, classes), int64, ascending; none that is NaN."""
    likeliest = probabilities.max(axis=1)  # NaN is sorted to the end
    return np.sort(np.argsort(likeliest, kind="stable")[: round(DOUBTFUL * np.isfinite(likeliest).sum())])


def distortions(image: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return what it costs to explain an image uint8 (height, width, channels) by each of others (n, ...), float32 (n,)."""
    height, width = image.shape[:2]
    edges, margins = _edges(image[None]), [(0, 0), (REACH, REACH), (REACH, REACH), (0, 0)]
    other_edges = np.pad(_edges(others), margins)
    least = np.full((height, width, len(others)), np.inf, np.float32)
    for top, left in itertools.product(range(2 * REACH + 1), repeat=2):
        apart = np.square(other_edges[:, top : top + height, left : left + width] - edges).sum(axis=0)
        costs = cv2.boxFilter(apart, -1, (WINDOW, WINDOW), normalize=False, borderType=cv2.BORDER_CONSTANT)
        costs += STRAYING * ((top - REACH) ** 2 + (left - REACH) ** 2)
        np.minimum(least, costs.reshape(least.shape), out=least)
    return least.sum(axis=(0, 1))


def sketches(images: np.ndarray) -> np.ndarray:
    """Return the strength of edges in four directions, blurred and at half the size, float32 (n, features).

    Images (uint8, n, height, width, channels) whose sketches are near each other are worth comparing pixel by pixel.
    """
    parts = []
    for start in range(0, len(images), TOGETHER):
        across, along = _edges(images[start : start + TOGETHER])
        coarse = np.stack([_coarse(np.maximum(edges, 0)) for edges in (across, -across, along, -along)])
        parts.append(np.moveaxis(coarse, -1, 0).reshape(coarse.shape[-1], -1))
    return np.concatenate(parts)


def _coarse(pictures: np.ndarray) -> np.ndarray:
    """Return pictures float32 (height, width, n) at half the size."""
    blurred = cv2.GaussianBlur(pictures, (0, 0), 1.5)
    return np.atleast_3d(cv2.resize(blurred, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))


def _edges(images: np.ndarray) -> np.ndarray:
    """Return the gradients across and along images uint8 (n, height, width, channels), float32 (2, height, width, n)."""
    pictures = np.ascontiguousarray(np.moveaxis(images.mean(axis=-1, dtype=np.float32), 0, -1)) / 255
    return np.stack([np.atleast_3d(cv2.Sobel(pictures, -1, *direction)) for direction in ((1, 0), (0, 1))])


def _p_value(after: np.ndarray, before: np.ndarray) -> float:
    """Return the p-value of a paired t-test of two logarithms of the labels' probabilities, float (n,)."""
    from scipy.stats import ttest_rel

    return 1.0 if np.allclose(after, before) else float(ttest_rel(after, before).pvalue)
