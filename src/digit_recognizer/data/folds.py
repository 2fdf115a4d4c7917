"""Stratified folds, the same for all pipelines with the same dataset, number of folds and seed."""

from pathlib import Path

import numpy as np
import pandas as pd

from digit_recognizer import files
from digit_recognizer.errors import UserError, first_line


def stratified_folds(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return the validation fold of each row, int8 (n,), with each class spread evenly (scikit-learn's StratifiedKFold).

    Raises:
        UserError: a class has fewer rows than there are folds.
    """
    from sklearn.model_selection import StratifiedKFold

    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < folds:
        few = f"class {classes[counts.argmin()]} has {counts.min()} training row{'s' if counts.min() > 1 else ''}"
        if counts.min() < 2:
            raise UserError(f"{few}: validation needs at least two of each class: add images of it, or leave the class out")
        raise UserError(f"{few}, too few for {folds} folds: choose SET=folds={counts.min()} or fewer")
    assigned = np.empty(len(labels), dtype=np.int8)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, rows) in enumerate(splitter.split(np.zeros(len(labels)), labels)):
        assigned[rows] = fold
    return assigned


def copies_across_folds(images: np.ndarray, assigned: np.ndarray) -> np.ndarray:
    """Return the rows, int64 (k,), that have an exact copy in another fold, so that validation uses training images."""
    table = pd.DataFrame({"image": [image.tobytes() for image in images], "fold": assigned})
    return np.flatnonzero(table.groupby("image")["fold"].transform("nunique") > 1)


def save_folds(path: Path, assigned: np.ndarray) -> None:
    """Write `row,fold`, one line per training row."""
    table = pd.DataFrame({"row": np.arange(len(assigned)), "fold": assigned})
    files.write_text(path, table.to_csv(index=False, lineterminator="\n"))


def load_folds(path: Path) -> np.ndarray:
    """Return the fold of each row, int8 (n,).

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        table = pd.read_csv(path)
        if list(table.columns) != ["row", "fold"] or not np.array_equal(table["row"], np.arange(len(table))):
            raise ValueError("the columns must be row,fold with all rows in order")
        return table["fold"].to_numpy(dtype=np.int8)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read: {first_line(error)}") from error
