"""The identity of one model of a run, and its folder."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Member:
    """One model of a run, identified by its seed and fold; fold None is a model trained on all rows."""

    seed: int
    fold: int | None

    @property
    def key(self) -> tuple[int, int]:
        """The entropy of all its random generators: two non-negative numbers, different for each member of a run."""
        return self.seed, 0 if self.fold is None else self.fold + 1

    @property
    def folder(self) -> Path:
        """The member's folder, relative to the run's."""
        return Path(f"full/seed_{self.seed}") if self.fold is None else Path(f"seed_{self.seed}/fold_{self.fold}")

    @property
    def name(self) -> str:
        """The name on pages: `seed 0, fold 3`, or `seed 0, all rows`."""
        return f"seed {self.seed}, {'all rows' if self.fold is None else f'fold {self.fold}'}"

    def __str__(self) -> str:
        return f"seed {self.seed} on all rows" if self.fold is None else f"seed {self.seed} fold {self.fold}"
