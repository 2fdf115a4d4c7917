"""Probabilities for images: batched prediction, test-time augmentation, a run's models averaged."""

from pathlib import Path
from typing import Any

import numpy as np

from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Augmentation

BATCH_SIZE = 500
TTA_POLICY = Augmentation(rotation=8, zoom=0.06, shift=0.04)


def predict(model: Any, images: np.ndarray, tta: int = 1) -> np.ndarray:
    """Return probabilities, float32 (n, classes), for images uint8 (n, height, width, channels).

    Args:
        tta: views averaged for each image: the plain one and `tta - 1` slightly moved ones, the same at each call.
    """
    classes = model.output_shape[-1]
    if not len(images):
        return np.empty((0, classes), np.float32)
    total = np.zeros((len(images), classes), np.float64)
    for view in range(tta):
        total += model.predict(_view(images, view), batch_size=BATCH_SIZE, verbose=0)
    return (total / tta).astype(np.float32)


def _view(images: np.ndarray, view: int) -> np.ndarray:
    if view == 0:
        return images
    from digit_recognizer.augmentation import batched

    return batched.augment(images, TTA_POLICY, np.random.default_rng([20181, view]))


def load_model(path: Path) -> Any:
    """Return a trained model, loaded in Keras's safe mode.

    Raises:
        UserError: it can't be read.
    """
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise UserError(f"{path} can't be loaded ({type(error).__name__}): delete its folder and train again") from error
