"""TensorBoard's event files of one member. Imported only where TensorFlow trains."""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from digit_recognizer import backend, figures, metrics
from digit_recognizer.experiment import flat
from digit_recognizer.models import prediction
from digit_recognizer.training.callbacks import prediction_weights_set


class TensorBoard(keras.callbacks.Callback):
    """Writes the figures of each epoch, the settings, and the confusion matrix of the validation images.

    All goes to one folder, so that a member is one entry in TensorBoard. Drawing the matrix takes half a second, so it is
    drawn once, at the end of training.
    """

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any],
        images: np.ndarray,
        labels: np.ndarray,
        classes: tuple[str, ...],
    ) -> None:
        super().__init__()
        self.folder, self.settings = folder, settings
        self.images, self.labels, self.classes = images, labels, classes

    def on_train_begin(self, logs: dict | None = None) -> None:
        from tensorboard.plugins.hparams import api

        self.summary = backend.tensorflow().summary
        self.writer = self.summary.create_file_writer(str(self.folder))
        with self.writer.as_default():
            api.hparams(self.settings, trial_id=str(self.folder.parent))

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        with self.writer.as_default(step=epoch + 1):
            for name in ("accuracy", "loss"):
                self.summary.scalar(f"{name}/training", logs[name])
                if f"val_{name}" in logs:
                    self.summary.scalar(f"{name}/validation", logs[f"val_{name}"])
            self.summary.scalar("learning_rate", self.learning_rate)
        self.writer.flush()
        self.epochs_done = epoch + 1

    def on_train_end(self, logs: dict | None = None) -> None:
        if len(self.images):
            with self.writer.as_default(step=self.epochs_done):
                self.summary.image("validation/confusion_matrix", self._confusion_matrix())
        self.writer.close()

    def _confusion_matrix(self) -> Any:
        """Return the picture as uint8 (1, height, width, channels)."""
        with prediction_weights_set(self.model):
            predictions = prediction.predict(self.model, self.images).argmax(axis=1)
        matrix = metrics.confusion_matrix(self.labels, predictions, len(self.classes))
        return backend.tensorflow().io.decode_png(figures.confusion_png(matrix, self.classes))[None]


def hyperparameters(settings: dict[str, Any]) -> dict[str, Any]:
    """Return nested settings in TensorBoard's format: dotted names, and lists as text."""
    given = {name: value for name, value in flat(settings).items() if value not in (None, {})}
    return {name: value if isinstance(value, bool | int | float | str) else str(value) for name, value in given.items()}
