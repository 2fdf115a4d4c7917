"""A dataset and runs made up for the report's tests: exactly the files of the contract, no training."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from digit_recognizer import figures, files, metrics
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.data.folds import save_folds, stratified_folds


def make_dataset(rows: int = 1200, classes: Sequence[str] = tuple("0123456789"), shape=(28, 28, 1)) -> Dataset:
    """Each class is a bar at its own place, with noise."""
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


def make_run(
    directory: Path,
    dataset: Dataset,
    *,
    accuracy: float = 0.95,
    seeds: Sequence[int] = (0,),
    folds: int = 5,
    finished: Sequence[int] | None = None,
    oof: np.ndarray | None = None,
) -> Path:
    """Write a run with the folds in `finished` (default all); `oof` gives the probabilities instead of `accuracy`."""
    n, classes = len(dataset.labels), len(dataset.classes)
    assigned = stratified_folds(dataset.labels, folds, 0)
    save_folds(directory / "folds.csv", assigned)
    mean = np.zeros((n, classes), np.float32)
    test = np.zeros((len(dataset.test_images), classes), np.float32)
    finished = range(folds) if finished is None else finished
    test_labels = dataset.labels[: len(test)] if len(test) <= n else np.zeros(len(test), int)
    for seed in seeds:
        probabilities = predict(dataset.labels, classes, accuracy, seed) if oof is None else oof
        mean += probabilities / len(seeds)
        for fold in finished:
            own_test = predict(test_labels, classes, accuracy, 100 * seed + fold + 1)
            test += own_test / (len(seeds) * len(finished))
            _write_member(directory / f"seed_{seed}/fold_{fold}", dataset, assigned, probabilities, own_test)
    mean[~np.isin(assigned, finished)] = np.nan
    files.write_npz(directory / "oof.npz", probabilities=mean, label=dataset.labels, fold=assigned)
    files.write_npz(directory / "test.npz", probabilities=test)
    _write_errors(directory / "errors.csv", dataset.labels, assigned, mean)
    _write_records(directory, dataset, seeds, finished)
    return directory


def _write_member(directory: Path, dataset: Dataset, assigned: np.ndarray, probabilities: np.ndarray, test: np.ndarray) -> None:
    seed, fold = (int(name.split("_")[1]) for name in directory.parts[-2:])
    rows = np.flatnonzero(assigned == fold)
    files.write_npz(directory / "predictions.npz", rows=rows, valid=probabilities[rows], test=test)
    labels, predictions = dataset.labels[rows], probabilities[rows].argmax(axis=1)
    matrix = metrics.confusion_matrix(labels, predictions, len(dataset.classes))
    table = pd.DataFrame(matrix, columns=list(dataset.classes))
    table.insert(0, "label", dataset.classes)
    files.write_text(directory / "confusion.csv", table.to_csv(index=False))
    history = make_history(12, seed + fold)
    files.write_text(directory / "history.csv", history.to_csv(index=False))
    record = {"accuracy": float((labels == predictions).mean()), "loss": metrics.log_loss(labels, probabilities[rows])}
    files.write_json(
        directory / "metrics.json",
        record | {"epochs": 12, "kept_epoch": 12, "seconds": 61.5, "seed": seed, "fold": fold},
    )
    if (seed, fold) == (0, 0):
        (directory / "confusion.png").write_bytes(figures.confusion_png(matrix, dataset.classes))


def make_history(epochs: int, seed: int, validation: bool = True) -> pd.DataFrame:
    """Return a history as training writes it."""
    generator = np.random.default_rng(seed)
    epoch = np.arange(1, epochs + 1)
    falling = np.exp(-epoch / 3) * generator.uniform(0.9, 1.1, epochs)
    history = {"epoch": epoch, "loss": falling + 0.02, "accuracy": 1 - 0.3 * falling - 0.01}
    history |= {"val_loss": falling + 0.03 if validation else np.nan}
    history |= {"val_accuracy": 1 - 0.3 * falling - 0.006 if validation else np.nan}
    return pd.DataFrame(history | {"learning_rate": np.sin(epoch / epochs * 3) * 1e-3 + 1e-5, "seconds": 5.0})


def _write_errors(path: Path, labels: np.ndarray, assigned: np.ndarray, probabilities: np.ndarray) -> None:
    rows = np.flatnonzero(metrics.predicted_rows(probabilities))
    predictions = probabilities[rows].argmax(axis=1)
    table = pd.DataFrame(
        {
            "row": rows,
            "fold": assigned[rows],
            "label": labels[rows],
            "prediction": predictions,
            "probability": probabilities[rows].max(axis=1),
        }
    )[predictions != labels[rows]]
    files.write_text(path, table.sort_values("probability", ascending=False, kind="stable").to_csv(index=False))


def _write_records(directory: Path, dataset: Dataset, seeds: Sequence[int], finished: Sequence[int]) -> None:
    files.write_json(
        directory / "experiment.json",
        {
            "pipeline": directory.name,
            "description": "A run that was made up",
            "settings": {
                "epochs": 12,
                "label_smoothing": 0.05,
                "augmentation": {"rotation": 10.0, "zoom": 0.1},
                "seeds": list(seeds),
            },
            "dataset": {"sha256": dataset.sha256, "source": dataset.source},
            "teacher_sha256": None,
            "pipeline_sha256": "0" * 64,
            "git_commit": "0123abc",
            "versions": {"keras": "3.15.1", "numpy": "2.4.6"},
            "backend": "tensorflow",
            "device": "CPU, 2 cores",
        },
    )
    files.write_json(
        directory / "metrics.json",
        {
            "folds_done": list(finished),
            "members": len(seeds) * len(finished),
            "epoch_selected_on_fold": False,
            "seconds": 61.5 * len(seeds) * len(finished),
            "images_per_second": 812,
            "peak_memory": 1_100_000_000,
            "published": "0.99757 by the source",
        },
    )
    files.write_text(directory / "summary.txt", "Model: smoke\n conv2d (Conv2D)    (None, 26, 26, 8)    80\n")


def make_full_run(directory: Path, dataset: Dataset) -> Path:
    """Write a run that was fitted on all of train: no folds, no validation."""
    member = directory / "full/seed_0"
    test = predict(dataset.labels[: len(dataset.test_images)], len(dataset.classes), 0.95, 7)
    files.write_text(member / "history.csv", make_history(12, 0, validation=False).to_csv(index=False))
    files.write_json(member / "metrics.json", {"epochs": 12, "kept_epoch": 12, "seconds": 70.0, "seed": 0, "fold": None})
    files.write_npz(member / "predictions.npz", test=test)
    files.write_npz(directory / "test.npz", probabilities=test)
    nothing = np.full((len(dataset.labels), len(dataset.classes)), np.nan, np.float32)
    files.write_npz(directory / "oof.npz", probabilities=nothing, label=dataset.labels, fold=dataset.labels * 0)
    _write_records(directory, dataset, [0], [])
    return directory
