"""The loader: augmented batches, prepared in parallel with training."""

import threading

import numpy as np
import pytest

from digit_recognizer.experiment import Augmentation
from digit_recognizer.training.loader import PREFETCH, Loader
from digit_recognizer.training.sampler import Sampler

ROWS, SIZE, STEPS = 50, 16, 4
ENGINES = ("batched", "albumentations")


def augmented(engine="batched", key=(0, 1)):
    """Return a loader of augmented noise."""
    images = np.random.default_rng(9).integers(0, 256, (ROWS, 28, 28, 1)).astype(np.uint8)
    targets = np.eye(10, dtype=np.float32)[np.arange(ROWS) % 10]
    return Loader(images, targets, SIZE, STEPS, Augmentation(rotation=10, shift=0.1, engine=engine), Sampler(ROWS, key, 9))


def numbered(sampler):
    """Return a loader whose images are their row numbers."""
    images = np.arange(ROWS, dtype=np.uint8).reshape(ROWS, 1, 1, 1)
    return Loader(images, np.zeros((ROWS, 10)), SIZE, STEPS, Augmentation(), sampler)


def same(first, second):
    return all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("engine", ENGINES)
def test_batches_are_a_function_of_seed_fold_epoch_and_batch(engine):
    forwards, backwards = augmented(engine), augmented(engine)
    made = {step: forwards.batch(step) for step in range(8)}
    for step in reversed(range(8)):
        assert same(made[step], backwards.batch(step))
    others = [made[1], made[4], augmented(engine, key=(1, 1)).batch(0), augmented(engine, key=(0, 2)).batch(0)]
    assert not any(same(made[0], other) for other in others)


@pytest.mark.parametrize("engine", ENGINES)
def test_prefetched_batches_equal_those_made_one_by_one(engine):
    """With threads, or processes for Albumentations; from any step on."""
    expected, steps = augmented(engine), range(3, 3 + PREFETCH + 4)
    used = augmented(engine)
    used.batch(0)  # as when training times a step
    with used.stream(3, workers=2) as stream:
        for step in steps:
            assert same(next(stream), expected.batch(step))


def test_batches_wait_for_the_ranking_that_they_need():
    sampler = Sampler(ROWS, (0, 1), 3, 0.6)
    with numbered(sampler).stream(0, workers=2) as stream:
        seen = [next(stream)[0].ravel() for _ in range(2 * STEPS)]
        assert sorted(np.concatenate(seen[:STEPS])) == list(range(ROWS))
        threading.Timer(0.2, sampler.rank, (0, -np.arange(ROWS, dtype=float))).start()
        third = np.concatenate([next(stream)[0].ravel() for _ in range(STEPS)])
    assert np.array_equal(third, np.concatenate([sampler.batch(2, batch, SIZE) for batch in range(STEPS)]))
    assert np.isin(third, range(5)).sum() == 30


def test_closed_stream_ends_even_without_a_ranking():
    with numbered(Sampler(ROWS, (0, 1), 3, 0.6)).stream(0, workers=1) as stream:
        for _ in range(2 * STEPS):
            next(stream)
        rest: list = []
        reader = threading.Thread(target=lambda: rest.extend(stream), daemon=True)
        reader.start()
    reader.join(5)
    assert not reader.is_alive()
    assert not rest
