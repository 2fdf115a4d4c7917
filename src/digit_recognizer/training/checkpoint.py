"""The state of an unfinished member after a whole epoch: enough to go on as if it had never stopped, to the bit.

Dropout, shuffling and augmentation need no state: their draws are a function of (seed, fold, epoch).
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
    """What is not an array: length and number of epochs, history rows, the callbacks' counters, whether training is over."""

    steps_per_epoch: int  # as in `Experiment`
    epochs_done: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    steps: list[dict[str, float]] = field(default_factory=list)
    callbacks: dict[str, dict[str, Any]] = field(default_factory=dict)
    kept_epoch: int = 0  # 1-based; the epoch whose weights predict
    best: float | None = None  # the kept epoch's monitored value
    finished: bool = False
    seconds: float = 0.0


@dataclass
class State:
    """Progress with the raw weights, the optimizer's variables (moving averages among them) and the weights that predict.

    `hard` is that of the member's `Order`.
    """

    progress: Progress
    weights: list[np.ndarray]
    optimizer: list[np.ndarray]
    kept: list[np.ndarray]
    hard: dict[int, np.ndarray]


def save(path: Path, state: State) -> None:
    """Write `state` atomically."""
    arrays = {
        f"{group}_{index:04d}": array
        for group in ("weights", "optimizer", "kept")
        for index, array in enumerate(getattr(state, group))
    }
    arrays |= {f"hard_{first}": rows for first, rows in state.hard.items()}
    files.write_npz(path, progress=np.array(json.dumps(asdict(state.progress))), **arrays)


def load(path: Path) -> State:
    """Read what `save` wrote.

    Raises:
        UserError: the file is damaged.
    """
    arrays = files.read_npz(path)
    try:
        progress = Progress(**json.loads(str(arrays.pop("progress"))))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged or of another version ({first_line(error)})") from error
    hard = {int(name.removeprefix("hard_")): arrays.pop(name) for name in list(arrays) if name.startswith("hard_")}
    groups: dict[str, list[np.ndarray]] = {"weights": [], "optimizer": [], "kept": []}
    for name in sorted(arrays):
        groups[name.partition("_")[0]].append(arrays[name])
    return State(progress, **groups, hard=hard)
