"""The stream of augmented batches that a training reads. What a batch holds depends on (seed, fold, epoch, batch) alone."""

import collections
import dataclasses
import functools
import itertools
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from digit_recognizer import augment
from digit_recognizer.experiment import Augmentation
from digit_recognizer.training.processes import die_with_parent

AHEAD = 8  # batches prepared before they are asked for

Batch = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Batches:
    """Training images uint8 (n, h, w, c) and targets float32 (n, classes), cut into augmented batches.

    `key` is (seed, fold): with epoch and batch it seeds every draw.
    """

    images: np.ndarray
    targets: np.ndarray
    batch_size: int
    steps_per_epoch: int
    augmentation: Augmentation
    key: tuple[int, int]

    def make(self, step: int) -> Batch:
        """Return batch number `step`, counted from the first of the first epoch."""
        epoch, batch = divmod(step, self.steps_per_epoch)
        rows = self._rows(epoch, batch)
        random = np.random.default_rng([*self.key, epoch, batch + 1])
        return self._augment(self.images[rows], random), self.targets[rows]

    @functools.cached_property
    def _augment(self) -> augment.Augment:
        return augment.build(self.augmentation, self.images.shape[1:])

    def _rows(self, epoch: int, batch: int) -> np.ndarray:
        """Rows in the epoch's random order; an epoch of more steps than there are rows goes round again in another."""
        batches_a_pass = -(-len(self.images) // self.batch_size)
        turn, batch = divmod(batch, batches_a_pass)
        order = _shuffled(len(self.images), (*self.key, epoch, 0, turn))
        return order[batch * self.batch_size : (batch + 1) * self.batch_size]

    @contextmanager
    def stream(self, first_step: int, workers: int) -> Iterator[Iterator[Batch]]:
        """Give an endless iterator of batches from `first_step` on, in order, prepared ahead by `workers` threads.

        Albumentations holds Python's lock for most of its time, so for that engine the workers are processes.
        """
        if self.augmentation.engine == "albumentations" and self.augmentation.active:
            fresh = dataclasses.replace(self)  # without the engine, which can't be sent
            pool: Executor = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (fresh, os.getpid()))
            make = _make_in_worker
        else:
            pool, make = ThreadPoolExecutor(workers), self.make
        try:
            yield _ahead(pool, make, first_step)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _ahead(pool: Executor, make: functools.partial, first_step: int) -> Iterator[Batch]:
    waiting = collections.deque(pool.submit(make, step) for step in range(first_step, first_step + AHEAD))
    for step in itertools.count(first_step + AHEAD):
        yield waiting.popleft().result()
        try:
            waiting.append(pool.submit(make, step))
        except RuntimeError:  # the pool is shut: training has ended, only a backend's own prefetching still reads
            return


@functools.lru_cache(maxsize=2)
def _shuffled(rows: int, seed: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).permutation(rows)


_batches_of_worker: Batches


def _start_worker(batches: Batches, parent: int) -> None:
    global _batches_of_worker
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _batches_of_worker = batches


def _make_in_worker(step: int) -> Batch:
    return _batches_of_worker.make(step)
