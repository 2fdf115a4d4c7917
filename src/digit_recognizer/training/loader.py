"""The loader: augmented batches, prepared in parallel with training.

A batch is a function of (seed, fold, epoch, batch) and the rows that the sampler draws for it.
"""

import collections
import dataclasses
import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from digit_recognizer import augmentation
from digit_recognizer.experiment import Augmentation
from digit_recognizer.training.processes import die_with_parent
from digit_recognizer.training.sampler import Sampler

PREFETCH = 8  # batches

Batch = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Loader:
    """Prepares batches of training images uint8 (n, h, w, c) and targets float32 (n, classes)."""

    images: np.ndarray
    targets: np.ndarray
    batch_size: int
    steps_per_epoch: int
    augmentation: Augmentation
    sampler: Sampler

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, counted from the first one of the first epoch."""
        return self.augmented_batch(step, self._rows(step))

    def _rows(self, step: int) -> np.ndarray:
        return self.sampler.batch(*divmod(step, self.steps_per_epoch), self.batch_size)

    def augmented_batch(self, step: int, rows: np.ndarray) -> Batch:
        """Return the batch of a step from the rows that were drawn for it."""
        epoch, batch = divmod(step, self.steps_per_epoch)
        random = np.random.default_rng([*self.sampler.key, epoch, batch + 1])
        return self._augment(self.images[rows], random), self.targets[rows]

    @functools.cached_property
    def _augment(self) -> augmentation.Augment:
        return augmentation.build(self.augmentation, self.images.shape[1:])

    @contextmanager
    def stream(self, first_step: int, workers: int) -> Iterator[Iterator[Batch]]:
        """Yield an endless iterator of the batches from `first_step` on, prefetched by `workers` threads.

        Albumentations holds Python's global lock most of the time, so for that engine the workers are processes.
        """
        if self.augmentation.engine == "albumentations" and self.augmentation.active:
            fresh = dataclasses.replace(self)  # without the augmentation engine, which can't be pickled
            pool: Executor = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (fresh, os.getpid()))
            make: Callable[[int, np.ndarray], Batch] = _batch_in_worker
        else:
            pool, make = ThreadPoolExecutor(workers), self.augmented_batch
        closed = threading.Event()
        try:
            yield self._prefetched(pool, make, first_step, closed)
        finally:
            closed.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _prefetched(
        self, pool: Executor, make: Callable[[int, np.ndarray], Batch], step: int, closed: threading.Event
    ) -> Iterator[Batch]:
        """Yield batches from `step` on until `closed` is set: a backend keeps prefetching after training has ended."""
        waiting: collections.deque[Future[Batch]] = collections.deque()
        while not closed.is_set():
            while len(waiting) < PREFETCH and self.sampler.is_ready(step // self.steps_per_epoch):
                try:
                    waiting.append(pool.submit(make, step, self._rows(step)))
                except RuntimeError:  # the pool was shut down meanwhile
                    return
                step += 1
            if waiting:
                yield waiting.popleft().result()
            else:
                closed.wait(0.01)  # until the rows are ranked


_loader_of_worker: Loader


def _start_worker(loader: Loader, parent: int) -> None:
    global _loader_of_worker
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _loader_of_worker = loader


def _batch_in_worker(step: int, rows: np.ndarray) -> Batch:
    return _loader_of_worker.augmented_batch(step, rows)
