"""MNIST and Fashion-MNIST, downloaded by Keras."""

import contextlib
import io
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np

from digit_recognizer.data.sources.arrays import ImageArrays, from_parts
from digit_recognizer.errors import UserError, first_line

_CLOTHES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_TIMEOUT = 30.0  # seconds without data


def load(name: Literal["mnist", "fashion_mnist"]) -> ImageArrays:
    """Return 60,000 training and 10,000 test images, 28x28x1, with labels; Keras caches the download and checks its hash.

    Raises:
        UserError: the download failed.
    """
    from keras import datasets

    try:
        with _deadline(), contextlib.redirect_stdout(io.StringIO()):
            (images, labels), (test_images, test_labels) = getattr(datasets, name).load_data()
    except Exception as error:  # Keras wraps URL errors in a bare Exception; a damaged file raises anything
        raise UserError(
            f"{name} can't be downloaded ({first_line(error)[:200]}): check the network, "
            "or give a downloaded .npz or folder of IDX files as SOURCE"
        ) from error
    found = from_parts(
        {"images": images, "labels": labels.astype(np.int64), "test_images": test_images, "test_labels": test_labels}, name
    )
    return replace(found, classes=_CLOTHES) if name == "fashion_mnist" else found


@contextlib.contextmanager
def _deadline() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
