"""The checkpoint of an unfinished member, written after each epoch; training resumed from it gives the same bytes.

Dropout, shuffling and augmentation have no state: their draws are a function of (seed, fold, epoch).
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from digit_recognizer import files
from digit_recognizer.errors import UserError, first_line


@dataclass
class Progress:
    """The part of the training state that is not arrays."""

    steps_per_epoch: int  # as in `Experiment`
    epochs_done: int = 0
    history: list[dict[str, float]] = field(default_factory=list)  # a row for each epoch
    steps: list[dict[str, float]] = field(default_factory=list)  # a row for each measurement within the epochs
    callbacks: dict[str, dict[str, Any]] = field(default_factory=dict)  # counters of Keras's callbacks
    kept_epoch: int = 0  # counted from 1; the epoch whose weights are used for predictions
    best: float | None = None  # the monitored value of the kept epoch
    finished: bool = False
    seconds: float = 0.0


@dataclass
class TrainingState:
    """The state from which a training is resumed."""

    progress: Progress
    weights: list[np.ndarray]
    optimizer: list[np.ndarray]  # its variables, moving averages included
    kept: list[np.ndarray]  # the weights that predict
    hard_rows: dict[int, np.ndarray]  # the sampler's


def save(path: Path, state: TrainingState) -> None:
    """Write the state atomically."""
    arrays = {
        f"{group}_{index:04d}": array
        for group in ("weights", "optimizer", "kept")
        for index, array in enumerate(getattr(state, group))
    }
    arrays |= {f"hard_{first}": rows for first, rows in state.hard_rows.items()}
    files.write_npz(path, progress=np.array(json.dumps(asdict(state.progress))), **arrays)


def load(path: Path) -> TrainingState:
    """Read what `save` wrote.

    Raises:
        UserError: the file is damaged.
    """
    arrays = files.read_npz(path)
    try:
        progress = Progress(**json.loads(str(arrays.pop("progress"))))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged or of another version ({first_line(error)})") from error
    hard_rows = {int(name.removeprefix("hard_")): arrays.pop(name) for name in list(arrays) if name.startswith("hard_")}
    groups: dict[str, list[np.ndarray]] = {"weights": [], "optimizer": [], "kept": []}
    for name in sorted(arrays):
        groups[name.partition("_")[0]].append(arrays[name])
    return TrainingState(progress, **groups, hard_rows=hard_rows)
