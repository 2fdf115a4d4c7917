"""TensorBoard's event files of a member."""

import io

import numpy as np
import pytest
from PIL import Image
from tiny_run import history

from digit_recognizer.training.tensorboard import hyperparameters

MEMBER = "seed_0/fold_1"

pytestmark = pytest.mark.filterwarnings("ignore:`shuffle=True`", "ignore:__array__ implementation")  # Keras's own


def tensorboard(member):
    """Return the events of a member's only entry in TensorBoard."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (folder,) = {path.parent for path in (member / "tensorboard").rglob("events*")}
    return EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()


def shown(member):
    """Return the values in TensorBoard by tag: arrays by step, which is the epoch counted from 1."""
    from tensorboard.util.tensor_util import make_ndarray

    events = tensorboard(member)
    return {tag: {e.step: make_ndarray(e.tensor_proto) for e in events.Tensors(tag)} for tag in events.Tags()["tensors"]}


def test_scalars_are_those_of_the_history(trained):
    table, found = history(trained / MEMBER), shown(trained / MEMBER)
    columns = {
        "loss/training": "loss",
        "loss/validation": "val_loss",
        "accuracy/training": "accuracy",
        "accuracy/validation": "val_accuracy",
        "learning_rate": "learning_rate",
    }
    for tag, column in columns.items():
        assert list(found[tag]) == [1, 2, 3, 4]
        assert list(found[tag].values()) == pytest.approx(table[column].tolist(), rel=1e-5)


def test_scalars_come_before_the_confusion_matrix(trained):
    assert sorted(shown(trained / MEMBER))[-1] == "validation/confusion_matrix"


def test_confusion_matrix_is_that_of_the_report_and_drawn_once(trained):
    (found,) = shown(trained / MEMBER)["validation/confusion_matrix"].items()
    epoch, (width, height, picture) = found
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
    assert epoch == 4
    assert pixels.shape == (int(height), int(width), 3)
    assert np.array_equal(pixels, np.asarray(Image.open(trained / MEMBER / "confusion.png").convert("RGB")))


def test_training_with_early_stopping_has_a_confusion_matrix(stopped_early):
    assert list(shown(stopped_early / "seed_0/fold_0")["validation/confusion_matrix"]) == [3]


def test_settings_are_shown_as_hyperparameters(trained):
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    metadata = tensorboard(trained / MEMBER).summary_metadata["_hparams_/session_start_info"]
    found = HParamsPluginData.FromString(metadata.plugin_data.content).session_start_info.hparams
    assert found["ema"].number_value == 0.8
    assert found["augmentation.rotation"].number_value == 10
    assert found["optimizer"].string_value == "adam"


def test_nested_settings_get_dotted_names_and_lists_become_text():
    settings = {"a": {"b": 1, "c": {"d": True}}, "seeds": [0, 1], "early_stopping": None}
    assert hyperparameters(settings) == {"a.b": 1, "a.c.d": True, "seeds": "[0, 1]"}
