"""TensorBoard's event files of one member. Imported only where TensorFlow trains."""

from pathlib import Path
from typing import Any

import keras

from digit_recognizer import backend
from digit_recognizer.experiment import flat


class TensorBoard(keras.callbacks.Callback):
    """Writes the figures of each epoch and the settings.

    All goes to one folder, so that a member is one entry in TensorBoard.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        super().__init__()
        self.folder, self.settings = folder, settings

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

    def on_train_end(self, logs: dict | None = None) -> None:
        self.writer.close()


def add_confusion_matrix(folder: Path, png: bytes, epoch: int) -> None:
    """Add the picture of the validation images' confusion matrix, at an epoch counted from 1."""
    tensorflow = backend.tensorflow()
    writer = tensorflow.summary.create_file_writer(str(folder))
    with writer.as_default(step=epoch):
        tensorflow.summary.image("validation/confusion_matrix", tensorflow.io.decode_png(png)[None])
    writer.close()


def hyperparameters(settings: dict[str, Any]) -> dict[str, Any]:
    """Return nested settings in TensorBoard's format: dotted names, and lists as text."""
    given = {name: value for name, value in flat(settings).items() if value not in (None, {})}
    return {name: value if isinstance(value, bool | int | float | str) else str(value) for name, value in given.items()}
