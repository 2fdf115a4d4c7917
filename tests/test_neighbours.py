"""The second look at doubtful images: distances between images, and what is made of them."""

import itertools

import numpy as np
import pytest
from tiny_run import make_workspace

from digit_recognizer import metrics
from digit_recognizer.data.dataset import load_dataset
from digit_recognizer.data.folds import stratified_folds
from digit_recognizer.ensemble import neighbours
from digit_recognizer.ensemble.neighbours import REACH, STRAYING, WINDOW, Doubts, Gallery, Weights


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return load_dataset(make_workspace(tmp_path_factory.mktemp("digits"), rows=1437, test_rows=100))


@pytest.fixture
def many_doubts(monkeypatch):
    """As if the 1,437 digits were many: a tenth of them is doubtful."""
    monkeypatch.setattr(neighbours, "DOUBTFUL", 0.1)
    monkeypatch.setattr(neighbours, "CANDIDATES", 10)


def unsure(labels, seed, right=0.6):
    """Probabilities that are between two classes for a tenth of the images, and then right so often."""
    random = np.random.default_rng(seed)
    other = (labels + random.integers(1, 10, len(labels))) % 10
    doubted = random.random(len(labels)) < 0.1
    first = np.where(doubted & (random.random(len(labels)) > right), other, labels)
    second = np.where(first == labels, other, labels)
    probabilities = np.full((len(labels), 10), 0.001)
    probabilities[np.arange(len(labels)), second] = np.where(doubted, 0.4, 0.002)
    probabilities[np.arange(len(labels)), first] = 1 - (probabilities.sum(axis=1) - 0.001)
    return probabilities


def look(digits, labels=None, seed=0, **changes):
    labels = digits.labels if labels is None else labels
    folds, test = stratified_folds(digits.labels, 5, 0), unsure(np.arange(100) % 10, 1)
    given = {"folds": folds, "oof": unsure(digits.labels, seed), "test": test} | changes
    return neighbours.second_look(digits.__class__(**(vars(digits) | {"labels": labels})), **given)


def test_a_distance_is_what_its_definition_says():
    """Gradients by Sobel's operator, squared differences summed over a window, the best of all pixels within reach."""
    random = np.random.default_rng(0)
    first, second = random.integers(0, 256, (2, 12, 10, 1)).astype(np.uint8)

    def gradients(image):
        outer = np.pad(image[..., 0] / 255, 1, mode="reflect")
        smooth = np.array([1, 2, 1])
        across, along = np.zeros((2, *image.shape[:2]))
        for y, x in np.ndindex(image.shape[:2]):
            around = outer[y : y + 3, x : x + 3]
            across[y, x], along[y, x] = smooth @ (around[:, 2] - around[:, 0]), smooth @ (around[2] - around[0])
        return np.stack([across, along])

    ours, theirs = gradients(first), np.pad(gradients(second), [(0, 0), (REACH, REACH), (REACH, REACH)])
    costs = []
    for down, right in itertools.product(range(-REACH, REACH + 1), repeat=2):
        moved = theirs[:, REACH + down : REACH + down + 12, REACH + right : REACH + right + 10]
        apart = np.pad(np.square(moved - ours).sum(axis=0), WINDOW // 2)
        window = [[apart[y : y + WINDOW, x : x + WINDOW].sum() for x in range(10)] for y in range(12)]
        costs.append(np.array(window) + STRAYING * (down**2 + right**2))
    expected = np.min(costs, axis=0).sum()
    assert neighbours.distortions(first, second[None])[0] == pytest.approx(expected, rel=1e-5)


def test_a_bent_image_is_nearer_than_one_of_another_class(digits):
    image, other = digits.images[0], digits.images[digits.labels != digits.labels[0]][:50]
    bent = np.concatenate([np.roll(image[:14], 1, axis=1), np.roll(image[14:], -1, axis=1)])
    same, moved, *others = neighbours.distortions(image, np.stack([image, bent, *other]))
    assert same == pytest.approx(0, abs=1e-6)
    assert moved < min(others)


def test_neighbours_tell_classes_apart_better_than_sketches_do(digits):
    """Each of 100 images between its own class and the nearest of the others by sketches."""
    gallery = Gallery.of(digits.images[100:], digits.labels[100:])
    queries = Gallery.of(digits.images[:100], digits.labels[:100])
    own = queries.labels
    apart = np.square(gallery.sketches[None] - queries.sketches[:, None]).sum(axis=2)
    apart[gallery.labels == own[:, None]] = np.inf
    pairs = np.stack([own, gallery.labels[apart.argmin(axis=1)]], axis=1)
    distances = gallery.distances(queries, pairs)
    assert (distances[:, 0] < distances[:, 1]).mean() > 0.97


def test_a_class_that_nobody_has_says_nothing(digits):
    gallery = Gallery.of(digits.images[:50], np.zeros(50, int))
    queries = Gallery.of(digits.images[50:53], np.zeros(3, int))
    distances = gallery.distances(queries, np.array([[0, 1], [0, 1], [1, 2]]))
    assert np.isfinite(distances[:2, 0]).all()
    assert np.isnan(distances[:2, 1]).all()
    assert np.isnan(distances[2]).all()
    doubts = Doubts.of(np.full((50, 10), 0.1), lambda rows, pairs: np.full((len(rows), 2), np.nan))
    assert (doubts.evidence == 0).all()


def test_it_corrects_what_was_doubtful_and_nothing_else(digits, many_doubts):
    oof = unsure(digits.labels, 0)
    found = look(digits)
    assert found.better
    assert found.comparison.images > 25
    assert found.p_value < 0.001
    rows = neighbours.doubtful(oof)
    assert found.doubtful == len(rows) == round(0.1 * len(oof))
    untouched = np.setdiff1d(np.arange(len(oof)), rows)
    assert np.array_equal(found.oof[untouched], oof[untouched])
    assert found.oof.sum(axis=1) == pytest.approx(1)
    assert found.oof.min() >= 0
    assert (found.oof != oof).sum(axis=1).max() == 2


def test_test_images_are_corrected_too(digits, many_doubts):
    """The first hundred digits, which no training image repeats."""
    labels, rest = digits.labels[:100], slice(100, None)
    before, folds = unsure(labels, 1), stratified_folds(digits.labels[rest], 5, 0)
    given = {"images": digits.images[rest], "labels": digits.labels[rest], "test_images": digits.images[:100]}
    cut = digits.__class__(**(vars(digits) | given))
    after = neighbours.second_look(cut, folds, unsure(cut.labels, 0), before).test
    assert (after.argmax(axis=1) == labels).sum() > (before.argmax(axis=1) == labels).sum()


def test_other_numbers_of_threads_give_the_same(digits, many_doubts, monkeypatch):
    first = look(digits)
    monkeypatch.setattr(neighbours.os, "sched_getaffinity", lambda process: {0})
    second = look(digits)
    assert np.array_equal(first.oof, second.oof)
    assert np.array_equal(first.test, second.test)


def test_images_that_are_not_predicted_are_neighbours_all_the_same(digits, many_doubts, monkeypatch):
    """Two of five folds trained: nothing is said of the others, but their images and labels are known."""
    monkeypatch.setattr(neighbours, "FEWEST", 50)
    folds = stratified_folds(digits.labels, 5, 0)
    oof = np.where((folds < 2)[:, None], unsure(digits.labels, 0), np.nan)
    found = look(digits, oof=oof)
    assert found.comparison.rows == (folds < 2).sum()
    assert np.isnan(found.oof[folds >= 2]).all()
    mislabelled = np.where(folds >= 2, (digits.labels + 1) % 10, digits.labels)
    assert not np.array_equal(look(digits, mislabelled, oof=oof).oof[folds < 2], found.oof[folds < 2])


def test_the_estimate_is_blind_to_the_labels_it_is_scored_on(digits, many_doubts, monkeypatch):
    """But for what they have to do with the two weights, which are fitted on images that were compared with them."""
    fitted = []

    def fit(doubts, labels):
        fitted.append(doubts.rows)
        return Weights(0.5, 8.0)

    monkeypatch.setattr(Weights, "fit", fit)
    folds, oof = stratified_folds(digits.labels, 5, 0), unsure(digits.labels, 0)
    changed = np.where(folds == 2, 9 - digits.labels, digits.labels)
    assert np.array_equal(look(digits, changed).oof[folds == 2], look(digits).oof[folds == 2])
    rows = neighbours.doubtful(oof)
    assert [set(some) for some in fitted[:5]] == [set(rows[folds[rows] != fold]) for fold in range(5)]
    assert set(fitted[5]) == set(rows)


def test_it_does_not_count_where_it_brings_nothing(digits, many_doubts):
    certain = unsure(digits.labels, 0, right=1.0)
    found = look(digits, oof=certain)
    assert np.array_equal(found.oof.argmax(axis=1), certain.argmax(axis=1))
    assert not found.better


def test_too_few_doubts_or_folds_teach_nothing(digits, monkeypatch):
    assert look(digits) is None
    monkeypatch.setattr(neighbours, "DOUBTFUL", 0.1)
    assert look(digits, folds=np.zeros(len(digits.labels), int)) is None


def test_weights_of_evidence_that_is_never_wrong_leave_the_probabilities():
    labels = np.arange(200) % 10
    probabilities = unsure(labels, 0, right=1.0)
    doubts = Doubts.of(probabilities, lambda rows, pairs: np.ones((len(rows), 2)))
    weights = Weights.fit(doubts, labels)
    assert weights == (1.0, 0.0)
    assert weights.apply(doubts, probabilities) == pytest.approx(probabilities)


@pytest.mark.parametrize("shape", [(28, 28, 3), (17, 17, 1), (16, 16, 3)])
@pytest.mark.parametrize("count", [1, 2, 101])
def test_images_of_any_size_are_sketched_and_compared(shape, count):
    images = np.random.default_rng(0).integers(0, 256, (count, *shape)).astype(np.uint8)
    assert neighbours.sketches(images).shape[0] == count
    gallery = Gallery.of(images, np.arange(count) % 2)
    distances = gallery.distances(gallery, np.tile([0, 1], (count, 1)))
    assert distances.shape == (count, 2)
    assert np.isfinite(distances).all() == (count > 1)


def test_it_reads_as_one_line(digits, many_doubts):
    text = str(look(digits))
    assert text.startswith("+")
    assert "images of 1,437, McNemar p < 0.001" in text
    assert text.endswith("(p < 0.001)")
    assert metrics.p_text(0.0312) == "p = 0.031"
