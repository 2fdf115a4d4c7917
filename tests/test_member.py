"""Training one member: early stopping, learning rate, kept weights, checkpoint, history."""

import json

import numpy as np
import pandas as pd
import pytest
from tiny_run import history, request, scores, train_here, train_one

from digit_recognizer import files, metrics
from digit_recognizer.data.dataset import load_dataset
from digit_recognizer.errors import UserError
from digit_recognizer.models import prediction

MEMBERS = [f"seed_{seed}/fold_{fold}" for seed in (0, 1) for fold in (0, 1)]

pytestmark = pytest.mark.filterwarnings("ignore:`shuffle=True`", "ignore:__array__ implementation")  # Keras's own


@pytest.fixture(scope="module")
def best(tiny):
    """A fold trained for six epochs with the best epoch kept, and a checkpoint of every improvement."""
    changes = {"keep": "best_val_loss", "checkpoint__every_improvement": True}
    return train_one(tiny, "best", **changes, learning_rate=0.05, epochs=6)


def test_validation_uses_the_averaged_weights_that_predict(trained):
    """The last epoch's figures in the history, taken during training, are those of the saved EMA weights."""
    for member in MEMBERS:
        last, own = history(trained / member).iloc[-1], scores(trained, member)
        assert own["accuracy"] == pytest.approx(last["val_accuracy"], abs=1e-6)
        assert own["loss"] == pytest.approx(last["val_loss"], abs=1e-4)
        assert own["kept_epoch"] == last["epoch"]


def test_members_that_share_a_compiled_model_equal_members_trained_alone(trained, tiny):
    """The members of a fixture are trained one after another in one process."""
    train_here(request(tiny, "alone", folds=2, seeds=(1,), only=[1]), tiny)
    alone = tiny.run("alone") / "seed_1/fold_1"
    together = trained / "seed_1/fold_1"
    assert (alone / "predictions.npz").read_bytes() == (together / "predictions.npz").read_bytes()
    assert history(alone).equals(history(together))


def test_history_has_a_line_for_each_epoch(trained):
    table = pd.read_csv(trained / MEMBERS[0] / "history.csv")
    columns = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"]
    assert list(table.columns) == columns
    assert list(table["epoch"]) == [1, 2, 3, 4]
    assert not table.isna().any(axis=None)


def test_early_stopping_ends_training_without_improvement(stopped_early):
    assert len(history(stopped_early / "seed_0/fold_0")) == 3
    assert scores(stopped_early)["epochs"] == 3


def test_plateau_reduces_the_learning_rate(tiny):
    run = train_one(tiny, "plateau", learning_rate=0.5, reduce_lr_on_plateau__factor=0.1, epochs=8)
    table = history(run / "seed_0/fold_0")
    best, rate, wait = np.inf, 0.5, 0
    for _, row in table.iterrows():  # as Keras documents it: patience 1, min_delta 1e-4
        assert row["learning_rate"] == pytest.approx(rate, rel=1e-5)
        wait = 0 if row["val_loss"] < best - 1e-4 else wait + 1
        best = min(best, row["val_loss"]) if wait == 0 else best
        if wait >= 1:
            rate, wait = max(rate * 0.1, 1e-6), 0
    assert rate < 0.5, "it was never reduced"


def test_keep_best_predicts_with_the_best_epoch(best):
    table, own = history(best / "seed_0/fold_0"), scores(best)
    assert own["kept_epoch"] == table["epoch"][table["val_loss"].idxmin()] < 6
    assert own["loss"] == pytest.approx(table["val_loss"].min(), abs=1e-4)
    assert json.loads((best / "metrics.json").read_text("utf-8"))["epoch_selected_on_fold"] is True


@pytest.mark.parametrize("every", [False, True])
def test_checkpoint_setting_saves_the_validated_weights_of_the_best_epoch(tiny, trained, best, every):
    import keras

    run = best if every else trained
    folder, table = run / "seed_0/fold_0", history(run / "seed_0/fold_0")
    row = table["val_loss"].idxmin()
    name = f"best_val_loss_epoch_{row + 1:03d}.keras" if every else "best_val_loss.keras"
    rows = files.read_npz(folder / "predictions.npz")["rows"]
    data = load_dataset(tiny)
    valid = prediction.predict(keras.saving.load_model(folder / name), data.images[rows])
    assert metrics.log_loss(data.labels[rows], valid) == pytest.approx(table["val_loss"][row], abs=1e-4)
    improvements = (table["val_loss"].cummin().diff().fillna(-1) < 0).sum()
    assert len(list(folder.glob("best*.keras"))) == (improvements if every else 1)


def test_infinite_loss_is_a_one_line_error(tiny):
    with pytest.raises(UserError, match=r"the loss became (nan|inf) in epoch \d: lower learning_rate"):
        train_one(tiny, "nan", optimizer="sgd", ema=0.0, learning_rate=100)
