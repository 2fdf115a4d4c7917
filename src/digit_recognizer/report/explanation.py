"""Explanations of predictions: the most similar training images and occlusion maps.

`explain` runs in this process and needs Keras; `Background` runs it in another process.
"""

import multiprocessing
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from digit_recognizer.errors import UserError
from digit_recognizer.models.prediction import BATCH_SIZE, load_model
from digit_recognizer.runs.evaluation import keras_session
from digit_recognizer.training.processes import without_interrupts

NEIGHBOURS = 5
CELLS = 14  # of an occlusion map, in each direction
PATCH = 5 / 28  # fraction of the image's side that is hidden at a time
BLOCK = 64_000_000  # bytes of images that are predicted at a time


class Explanation(NamedTuple):
    """Why one image is predicted as `classes[0]` rather than `classes[1]`, by one model."""

    model: str
    searched: int  # training images among which the neighbours are the most similar
    classes: tuple[int, int]
    neighbours: np.ndarray  # int64 (NEIGHBOURS or fewer,), training rows, the most similar first
    similarities: np.ndarray  # float32, the cosines of their features
    occlusion: np.ndarray  # float32 (CELLS, CELLS), see `occlusion_maps`


@dataclass(frozen=True)
class Task:
    """The images that one model is to explain."""

    path: Path  # of the model
    name: str
    searched_rows: np.ndarray  # int64, the training rows to search for similar images
    images: np.ndarray  # uint8 (n, height, width, channels)
    classes: np.ndarray  # int64 (n, 2): the prediction, and the class that it is compared with


def explain(task: Task, train_images: np.ndarray) -> list[Explanation]:
    """Return the explanation of each image of the task, by its model.

    Args:
        train_images: all of them, uint8 (rows, height, width, channels).

    Raises:
        UserError: the model can't be loaded.
    """
    model = load_model(task.path)
    features = feature_model(model)
    rows, similarities = nearest(features, task.images, train_images, task.searched_rows)
    maps = occlusion_maps(model, task.images, task.classes, np.median(train_images[:: len(train_images) // 1000 + 1], axis=0))
    pairs = [(int(first), int(second)) for first, second in task.classes]
    searched = len(task.searched_rows)
    return [Explanation(task.name, searched, *found) for found in zip(pairs, rows, similarities, maps, strict=True)]


def feature_model(model: Any) -> Any:
    """Return a Keras model of the features: the input of the last layer with weights (the output of a model without any)."""
    import keras

    layer = next((layer for layer in reversed(model.layers) if layer.weights), None)
    return keras.Model(model.input, model.output if layer is None else layer.input)


def nearest(
    features: Any, images: np.ndarray, train_images: np.ndarray, searched_rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each image the rows of the training images with the most similar features, and their cosines.

    Args:
        features: a Keras model from pixels to features of any shape.
        searched_rows: int64, the training rows to search.

    Returns:
        int64 and float32 (n, NEIGHBOURS), the most similar first; fewer columns where there are fewer rows.
    """
    wanted = _unit_features(features, images)
    rows, similarities = np.empty((len(images), 0), np.int64), np.empty((len(images), 0), np.float32)
    size = max(BLOCK // train_images[0].nbytes, 1)
    for start in range(0, len(searched_rows), size):
        block = searched_rows[start : start + size]
        similarities = np.hstack([similarities, wanted @ _unit_features(features, train_images[block]).T])
        rows = np.hstack([rows, np.broadcast_to(block, (len(images), len(block)))])
        best = _largest(similarities)
        rows, similarities = np.take_along_axis(rows, best, axis=1), np.take_along_axis(similarities, best, axis=1)
    return rows, similarities


def _largest(similarities: np.ndarray) -> np.ndarray:
    """Return the columns of the NEIGHBOURS largest values of each row, the largest first, int64."""
    columns = similarities.shape[1]
    if columns > NEIGHBOURS:
        found = np.argpartition(similarities, columns - NEIGHBOURS, axis=1)[:, -NEIGHBOURS:]
    else:
        found = np.broadcast_to(np.arange(columns), similarities.shape)
    order = np.argsort(-np.take_along_axis(similarities, found, axis=1), axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1)


def _unit_features(features: Any, images: np.ndarray) -> np.ndarray:
    """Return the features of images as unit vectors, float32 (n, d)."""
    vectors = _predict(features, images).reshape(len(images), -1)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def occlusion_maps(model: Any, images: np.ndarray, classes: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Return which parts of each image decide between two classes (Zeiler and Fergus, 2014), float32 (n, CELLS, CELLS).

    A square is replaced by the background, with its centre at each cell of a grid. A cell's value is how much this lowers
    log p(first class) - log p(second class): positive if that part is evidence for the first class, negative for the second.

    Args:
        images: uint8 (n, height, width, channels).
        classes: int64 (n, 2).
        background: the pixels of the hidden part, (height, width, channels).
    """
    maps = np.zeros((len(images), CELLS, CELLS), np.float32)
    size = max(BLOCK // (images[0].nbytes * CELLS**2), 1) if len(images) else 1
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        hidden, places = _hidden(images[part], background.astype(np.uint8))
        margins = _margins(model, np.concatenate([images[part], hidden]), classes[part], places[:, 0])
        whole, changed = margins[: len(images[part])], margins[len(images[part]) :]
        maps[part][tuple(places.T)] = whole[places[:, 0]] - changed
    return maps


def _hidden(images: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the images that hiding a square changes, and (image, row, column) of each, int64 (k, 3)."""
    _, height, width, _ = images.shape
    reach = max(round(PATCH * max(height, width)) // 2, 1)
    hidden, places = [], []
    for row in range(CELLS):
        for column in range(CELLS):
            y, x = int((row + 0.5) * height / CELLS), int((column + 0.5) * width / CELLS)
            square = np.s_[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
            changed = np.flatnonzero((images[:, *square] != background[square]).any(axis=(1, 2, 3)))
            copies = images[changed]
            copies[:, *square] = background[square]
            hidden.append(copies)
            places.append(np.stack([changed, np.full_like(changed, row), np.full_like(changed, column)], axis=1))
    return np.concatenate(hidden), np.concatenate(places)


def _margins(model: Any, images: np.ndarray, classes: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Return log p(first) - log p(second), float32: of the images, then of the partly hidden ones of the images `owners`."""
    pairs = np.concatenate([classes, classes[owners]])
    logarithms = np.log(np.clip(_predict(model, images), 1e-7, 1))
    return np.subtract(*np.take_along_axis(logarithms, pairs, axis=1).T)


def _predict(model: Any, images: np.ndarray) -> np.ndarray:
    return np.asarray(model.predict(images, batch_size=BATCH_SIZE, verbose=0), np.float32)


class Background:
    """Runs `explain` in another process, so that this one doesn't import Keras and can draw the page in the meantime.

    Use it as a context manager: leaving it ends the process.
    """

    def __init__(self, tasks: Sequence[Task], train_images: np.ndarray) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, self._its_pipe = context.Pipe()
        self._process = context.Process(target=_work, args=(self._its_pipe,), daemon=True)
        self._sender = threading.Thread(target=self._send, args=(list(tasks), train_images))
        self._tasks = tasks

    def __enter__(self) -> "Background":
        if self._tasks:
            with without_interrupts():
                self._process.start()
            self._sender.start()
        self._its_pipe.close()
        return self

    def __exit__(self, *arguments: Any) -> None:
        if self._tasks:
            self._process.kill()
            self._process.join()
            self._sender.join()
        self._pipe.close()

    def _send(self, tasks: list[Task], train_images: np.ndarray) -> None:
        with suppress(OSError):  # the process has ended
            self._pipe.send((tasks, train_images))  # which it receives after its imports, some seconds later

    def results(self) -> list[list[Explanation]]:
        """Wait for the explanations and return them, a list for each task.

        Raises:
            UserError: a model can't be loaded, or the process ended unexpectedly.
        """
        found = []
        for _ in self._tasks:
            try:
                answer = self._pipe.recv()
            except (EOFError, OSError):
                self._process.join()
                raise UserError(f"the process of the explanations ended early (exit status {self._process.exitcode})") from None
            if isinstance(answer, str):
                raise UserError(answer)
            found.append(answer)
        return found


def _work(pipe: Connection) -> None:
    """Receive tasks and training images, and run the tasks in threads, since a small network doesn't use all cores."""
    with suppress(BrokenPipeError):
        try:
            with keras_session(), ThreadPoolExecutor(os.cpu_count()) as threads:
                tasks, train_images = pipe.recv()
                for found in threads.map(lambda task: explain(task, train_images), tasks):
                    pipe.send(found)
        except Exception as error:
            pipe.send(str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}")
