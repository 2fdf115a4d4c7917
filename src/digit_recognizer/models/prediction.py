"""Predicted probabilities of images, and saved models."""

from pathlib import Path
from typing import Any

import numpy as np

from digit_recognizer.errors import UserError

BATCH_SIZE = 500


def predict(model: Any, images: np.ndarray) -> np.ndarray:
    """Return probabilities, float32 (n, classes), for images uint8 (n, height, width, channels)."""
    if not len(images):
        return np.empty((0, model.output_shape[-1]), np.float32)
    return model.predict(images, batch_size=BATCH_SIZE, verbose=0).astype(np.float32)


def load_model(path: Path) -> Any:
    """Return a trained model, loaded in Keras's safe mode.

    Raises:
        UserError: the file is missing or damaged.
    """
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise UserError(f"{path} can't be loaded ({type(error).__name__}): delete its folder and train again") from error
