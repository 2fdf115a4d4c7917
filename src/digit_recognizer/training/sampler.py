"""The sampler: which training rows are in each batch, shuffled in each epoch, optionally with more hard examples."""

import functools
from dataclasses import dataclass, field

import numpy as np

HARD_FRACTION = 0.1  # of the rows, those with the highest loss
RANKING_INTERVAL = 3  # epochs


@dataclass(eq=False)
class Sampler:
    """Draws the batches of `rows` training rows; each draw is a function of `key` (seed, fold) and the epoch.

    With `hard_examples`, that fraction of each pass is drawn from the tenth of the rows with the highest loss, each equally
    often. The rest of the pass is drawn from the other rows, each at most once. This is online batch selection (Loshchilov and
    Hutter, 2015) with two ranks. Rows are ranked after the first epoch and every third one from there. A ranking is used for
    three epochs; they begin one epoch later, because the batches of the next epoch are already being prepared.
    """

    rows: int
    key: tuple[int, int]
    epochs: int
    hard_examples: float = 0.0
    hard_rows: dict[int, np.ndarray] = field(default_factory=dict)  # by the first epoch in which they are used

    def ranks_after(self, epoch: int) -> bool:
        """Return whether `rank` is due after this epoch, counted from 0."""
        return self.hard_examples > 0 and epoch % RANKING_INTERVAL == 0 and epoch + 2 < self.epochs

    def rank(self, epoch: int, losses: np.ndarray) -> None:
        """Set the hard rows to those with the highest `losses` (rows,), measured after `epoch`."""
        hardest = np.argsort(-losses, kind="stable")[: round(HARD_FRACTION * self.rows)]
        needed = {first: rows for first, rows in self.hard_rows.items() if first + RANKING_INTERVAL == epoch + 2}
        self.hard_rows = {**needed, epoch + 2: hardest}

    def is_ready(self, epoch: int) -> bool:
        """Return whether the epoch's batches can be drawn; if not, a ranking is missing."""
        return not self.hard_examples or not (first := self._ranking(epoch)) or first in self.hard_rows

    def batch(self, epoch: int, batch: int, size: int) -> np.ndarray:
        """Return the rows of a batch; an epoch longer than one pass over the rows continues with a newly shuffled pass."""
        turn, batch = divmod(batch, -(-self.rows // size))
        return self._pass(epoch, turn)[batch * size : (batch + 1) * size]

    def _ranking(self, epoch: int) -> int:
        """Return the first epoch of the ranking that `epoch` uses; 0 if it uses none."""
        ranked = min(epoch, self.epochs - 1) - 2
        return ranked // RANKING_INTERVAL * RANKING_INTERVAL + 2 if ranked >= 0 else 0

    @functools.lru_cache(maxsize=2)  # noqa: B019 - it keeps at most two small arrays alive
    def _pass(self, epoch: int, turn: int) -> np.ndarray:
        random = np.random.default_rng((*self.key, epoch, 0, turn))
        if not self.hard_examples or not (first := self._ranking(epoch)):
            return random.permutation(self.rows)
        hard = self.hard_rows[first]
        draws = round(self.hard_examples * self.rows)
        easy = np.setdiff1d(np.arange(self.rows), hard, assume_unique=True)
        chosen = np.resize(random.permutation(hard), draws), random.permutation(easy)[: self.rows - draws]
        return random.permutation(np.concatenate(chosen))
