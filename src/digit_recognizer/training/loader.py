"""The stream of augmented batches that a training reads.

What a batch holds depends on (seed, fold, epoch, batch) and the order of the rows alone.
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
from digit_recognizer.training.sampler import Order

AHEAD = 8  # batches prepared before they are asked for

Batch = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Batches:
    """Training images uint8 (n, h, w, c) and targets float32 (n, classes), cut into augmented batches."""

    images: np.ndarray
    targets: np.ndarray
    batch_size: int
    steps_per_epoch: int
    augmentation: Augmentation
    order: Order

    def make(self, step: int) -> Batch:
        """Return batch number `step`, counted from the first of the first epoch."""
        return self._make(step, self._rows(step))

    def _rows(self, step: int) -> np.ndarray:
        return self.order.batch(*divmod(step, self.steps_per_epoch), self.batch_size)

    def _make(self, step: int, rows: np.ndarray) -> Batch:
        epoch, batch = divmod(step, self.steps_per_epoch)
        random = np.random.default_rng([*self.order.key, epoch, batch + 1])
        return self._augment(self.images[rows], random), self.targets[rows]

    @functools.cached_property
    def _augment(self) -> augmentation.Augment:
        return augmentation.build(self.augmentation, self.images.shape[1:])

    @contextmanager
    def stream(self, first_step: int, workers: int) -> Iterator[Iterator[Batch]]:
        """Give an endless iterator of batches from `first_step` on, in order, prepared ahead by `workers` threads.

        Albumentations holds Python's lock for most of its time, so for that engine the workers are processes.
        """
        if self.augmentation.engine == "albumentations" and self.augmentation.active:
            fresh = dataclasses.replace(self)  # without the engine, which can't be sent
            pool: Executor = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (fresh, os.getpid()))
            make: Callable[[int, np.ndarray], Batch] = _make_in_worker
        else:
            pool, make = ThreadPoolExecutor(workers), self._make
        closed = threading.Event()
        try:
            yield self._ahead(pool, make, first_step, closed)
        finally:
            closed.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _ahead(
        self, pool: Executor, make: Callable[[int, np.ndarray], Batch], step: int, closed: threading.Event
    ) -> Iterator[Batch]:
        """Yield batches from `step` on until `closed`: a backend's own prefetching reads on when training has ended."""
        waiting: collections.deque[Future[Batch]] = collections.deque()
        while not closed.is_set():
            while len(waiting) < AHEAD and self.order.known(step // self.steps_per_epoch):
                try:
                    waiting.append(pool.submit(make, step, self._rows(step)))
                except RuntimeError:  # shut just now
                    return
                step += 1
            if waiting:
                yield waiting.popleft().result()
            else:
                closed.wait(0.01)  # for the ranking of the rows


_batches_of_worker: Batches


def _start_worker(batches: Batches, parent: int) -> None:
    global _batches_of_worker
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _batches_of_worker = batches


def _make_in_worker(step: int, rows: np.ndarray) -> Batch:
    return _batches_of_worker._make(step, rows)
