"""In which order a training sees its rows: shuffled anew each epoch, the hard ones more often where that is wanted."""

import functools
from dataclasses import dataclass, field

import numpy as np

HARDEST = 0.1  # of the rows, those of the highest loss, are the hard ones
EVERY = 2  # epochs between rankings


@dataclass(eq=False)
class Order:
    """The order of `rows` training rows; `key` is (seed, fold): with the epoch it seeds every draw.

    With `hard_examples`, that share of each pass is drawn from the hardest tenth of the rows, each of them as often, and the
    others come once at most: online batch selection (Loshchilov and Hutter, 2015) with two ranks. Rows are ranked after every
    second epoch, and a ranking counts for the two epochs after the next: by then the next one's batches are being made.
    """

    rows: int
    key: tuple[int, int]
    epochs: int
    hard_examples: float = 0.0
    hard: dict[int, np.ndarray] = field(default_factory=dict)  # hard rows by the first epoch that they count for

    def ranked_after(self, epoch: int) -> bool:
        """Return whether `rank` is due after this epoch, counted from 0."""
        return self.hard_examples > 0 and epoch % EVERY == 0 and epoch + 2 < self.epochs

    def rank(self, epoch: int, losses: np.ndarray) -> None:
        """Take the rows of the highest `losses` (rows,), measured after `epoch`, for the hard ones."""
        hardest = np.argsort(-losses, kind="stable")[: round(HARDEST * self.rows)]
        needed = {first: rows for first, rows in self.hard.items() if first == epoch}
        self.hard = {**needed, epoch + 2: hardest}

    def known(self, epoch: int) -> bool:
        """Return whether the epoch's order is known yet, or depends on a ranking that is still to come."""
        return not self.hard_examples or not (first := self._ranking(epoch)) or first in self.hard

    def batch(self, epoch: int, batch: int, size: int) -> np.ndarray:
        """Return the rows of a batch; an epoch of more batches than a pass has goes round again in another order."""
        turn, batch = divmod(batch, -(-self.rows // size))
        return self._pass(epoch, turn)[batch * size : (batch + 1) * size]

    def _ranking(self, epoch: int) -> int:
        """Return the first epoch that the ranking for `epoch` counts for; 0: the first two have none."""
        return min(epoch, self.epochs - 1) // EVERY * EVERY

    @functools.lru_cache(maxsize=2)  # noqa: B019 - two small arrays outlive it
    def _pass(self, epoch: int, turn: int) -> np.ndarray:
        random = np.random.default_rng((*self.key, epoch, 0, turn))
        if not self.hard_examples or not (first := self._ranking(epoch)):
            return random.permutation(self.rows)
        hard = self.hard[first]
        draws = round(self.hard_examples * self.rows)
        easy = np.setdiff1d(np.arange(self.rows), hard, assume_unique=True)
        chosen = np.resize(random.permutation(hard), draws), random.permutation(easy)[: self.rows - draws]
        return random.permutation(np.concatenate(chosen))
