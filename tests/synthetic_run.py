"""A dataset and runs with invented predictions, with all files that training writes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from digit_recognizer import files, metrics
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.experiment import Augmentation, Experiment, Pipeline
from digit_recognizer.report import digit_map, explanation_tasks
from digit_recognizer.runs import lifecycle, results
from digit_recognizer.runs.folder import MemberFolder, RunFolder
from digit_recognizer.runs.member import Member
from digit_recognizer.runs.records import MemberMetrics

EPOCHS = 12
STEPS = [{"step": 5, "loss": 2.0, "val_accuracy": 0.3}, {"step": 10, "loss": 1.0, "val_accuracy": 0.6}]


def make_dataset(rows: int = 1200, classes: Sequence[str] = tuple("0123456789"), shape=(28, 28, 1)) -> Dataset:
    """Return a dataset in which each class is a bar at another position, with noise."""
    generator = np.random.default_rng(0)
    labels = generator.permutation(np.arange(rows) % len(classes))
    images = generator.integers(0, 60, (rows, *shape), dtype=np.uint8)
    for row, label in enumerate(labels):
        images[row, :, label * shape[1] // len(classes)] = 255
    test_images, sha256 = images[: rows // 2, ::-1], files.sha256_of_arrays(images, labels)
    return Dataset(images, labels, test_images, tuple(classes), sha256, "bundled", False)


def predict(labels: np.ndarray, classes: int, accuracy: float, seed: int) -> np.ndarray:
    """Return probabilities, float32 (n, classes), of which about `accuracy` are right."""
    generator = np.random.default_rng(seed)
    n = len(labels)
    chosen = np.where(generator.random(n) < accuracy, labels, generator.integers(0, classes, n))
    probabilities = generator.dirichlet(np.full(classes, 0.3), n)
    sureness = generator.beta(8, 1, n)[:, None]
    return (np.eye(classes)[chosen] * sureness + probabilities * (1 - sureness)).astype(np.float32)


def guesses(labels: np.ndarray, accuracy: float, seed: int) -> np.ndarray:
    """Return probabilities, float32 (n, 10), of a model with about this accuracy and a constant confidence."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(len(labels), 10))
    right = random.random(len(labels)) < accuracy
    logits[np.arange(len(labels)), np.where(right, labels, random.integers(0, 10, len(labels)))] += 6
    return metrics.softmax(logits).astype(np.float32)


def omit_slow_parts(patch: pytest.MonkeyPatch) -> None:
    """Omit explanations, for which synthetic runs have no models, and t-SNE from reports."""
    patch.setattr(explanation_tasks, "plan", lambda *_: explanation_tasks.ExplanationPlan([], []))
    patch.setattr(digit_map, "embed", lambda probabilities: probabilities[:, :2])


def network(inputs, classes):
    """A placeholder for the network of a run that is not trained."""
    raise AssertionError


def make_run(
    path: Path,
    dataset: Dataset,
    *,
    accuracy: float = 0.95,
    seeds: Sequence[int] = (0,),
    folds: int = 5,
    fold_seed: int = 0,
    finished: Sequence[int] | None = None,
    oof: np.ndarray | None = None,
    epochs: int = EPOCHS,
    steps: bool = False,
    full: bool = False,
) -> RunFolder:
    """Write a run with the folds in `finished` (default: all).

    Args:
        accuracy: of the members' predictions.
        oof: their out-of-fold probabilities instead.
        steps: whether accuracies within epochs were measured.
        full: write members trained on all rows instead.
    """
    run = RunFolder(path)
    experiment = Experiment(
        network=network,
        folds=folds,
        fold_seed=fold_seed,
        seeds=tuple(seeds),
        epochs=epochs,
        label_smoothing=0.05,
        augmentation=Augmentation(rotation=10, zoom=0.1),
        published="0.99757 by the source",
    )
    pipeline = Pipeline(path.name, path / "pipeline.py", "0" * 64, "Written by `make_run`, <untrained>.", experiment)
    assigned, _ = lifecycle.begin_or_resume(run, pipeline, dataset)
    classes, rows = len(dataset.classes), np.arange(len(dataset.labels))
    test_labels = np.resize(dataset.labels, len(dataset.test_images))
    for seed in seeds:
        probabilities = predict(dataset.labels, classes, accuracy, seed) if oof is None else oof
        for fold in [None] if full else range(folds) if finished is None else finished:
            own = 0 if fold is None else fold + 1
            test = predict(test_labels, classes, accuracy, 100 * seed + own)
            valid = np.flatnonzero(assigned == fold) if fold is not None else rows[:0]
            predictions = results.Predictions(valid, probabilities[valid], test, np.setdiff1d(rows, valid))
            member = Member(seed, fold)
            _write_member(run.member(member), member, dataset, predictions, epochs, steps)
    results.write_results(run, experiment, dataset, assigned)
    return run


def _write_member(
    folder: MemberFolder, member: Member, dataset: Dataset, predictions: results.Predictions, epochs: int, steps: bool
) -> None:
    predictions.write(folder.predictions)
    results.write_history(folder.history, make_history(epochs, member.seed + (member.fold or 0), member.fold is not None))
    files.write_text(folder.summary, "Model: smoke\n conv2d (Conv2D)    (None, 26, 26, 8)    80\n")
    files.write_text(folder.model, "no model")
    if steps:
        results.write_steps(folder.steps, STEPS)
    labels = dataset.labels[predictions.rows]
    scores = MemberMetrics(
        seed=member.seed,
        fold=member.fold,
        accuracy=metrics.accuracy(labels, predictions.valid).value if member.fold is not None else None,
        loss=metrics.log_loss(labels, predictions.valid) if member.fold is not None else None,
        epochs=epochs,
        steps_per_epoch=10,
        kept_epoch=epochs,
        seconds=61.5,
        images=50_000,
        threads=1,
        peak_memory=1_100_000_000,
        process=1,
        sha256=results.checksums(folder),
    )
    files.write_record(folder.metrics, scores)


def make_history(epochs: int, seed: int, validation: bool = True) -> list[dict[str, float]]:
    """Return the figures of each epoch as training collects them."""
    generator = np.random.default_rng(seed)
    history = []
    for epoch in range(1, epochs + 1):
        falling = float(np.exp(-epoch / 3) * generator.uniform(0.9, 1.1))
        figures_of_epoch = {"epoch": epoch, "loss": falling + 0.02, "accuracy": 0.99 - 0.3 * falling}
        if validation:
            figures_of_epoch |= {"val_loss": falling + 0.03, "val_accuracy": 0.994 - 0.3 * falling}
        history.append(figures_of_epoch | {"learning_rate": float(np.sin(epoch / epochs * 3)) * 1e-3 + 1e-5, "seconds": 5.0})
    return history
