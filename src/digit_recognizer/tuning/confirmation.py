"""The best few trials, and the start, trained again on fresh seeds and folds: the best of many looks better than it is.

They are trials of a second study, "<study> confirmation", so that several machines share them and none is lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna import Study, Trial
from optuna.trial import FrozenTrial

from digit_recognizer.experiment import Experiment
from digit_recognizer.metrics import Estimate, proportion
from digit_recognizer.tuning import trials

FINALISTS = 3
REPEATS = 2  # trainings of each, every one with a seed and folds of its own
LEVEL = 0.05  # of the test, shared among the finalists (Bonferroni)
_FAR = 1000  # from the seeds of the search


@dataclass(frozen=True)
class Confirmed:
    """A candidate's figures on fresh seeds and folds; the differences are to the start's on the same ones."""

    number: int
    repeats: int
    log_loss: float
    accuracy: Estimate
    gain: float  # in log loss, positive where it is better than the start; NaN for the start itself
    p_value: float  # times the number of finalists


def finalists(known: Sequence[FrozenTrial]) -> list[int]:
    """Return the start and the best of the trials that were better in the search, by number; none where none was."""
    found: dict[str, int] = {}
    for trial in trials.complete(known):
        found.setdefault(repr(sorted(trial.params.items())), trials.root(trial))  # the sampler may try the same twice
        if trials.root(trial) == trials.START:
            better = list(found.values())[:-1]
            return [trials.START, *better[:FINALISTS]] if better else []
    return []


def trainings_after(known: Sequence[FrozenTrial]) -> int:
    """Return how many trainings there will be if the next trial is better than the start as well."""
    candidates = max(len(finalists(known)), 1) + 1
    return min(candidates, FINALISTS + 1) * REPEATS


def enqueue(study: Study, rounds: Study) -> None:
    """Plan the trainings that are not planned yet, or failed, the first repeat of all candidates first."""
    known = [trial for trial in rounds.get_trials(deepcopy=False) if trials.REASON not in trial.user_attrs]
    planned = {(asked["candidate"], asked["repeat"]) for asked in map(trials.parameters, known) if asked}
    candidates = finalists(study.get_trials(deepcopy=False))
    for repeat in range(REPEATS):
        for candidate in candidates:
            if (candidate, repeat) not in planned:
                rounds.enqueue_trial({"candidate": candidate, "repeat": repeat})


def suggest(trial: Trial) -> tuple[int, int]:
    """Return the number of the candidate to train and which repeat it is."""
    return trial.suggest_int("candidate", 0, 10**9), trial.suggest_int("repeat", 0, REPEATS - 1)


def fresh(experiment: Experiment, repeat: int) -> dict[str, Any]:
    """Return the seed and folds of a repeat, as changes; the same for all candidates."""
    return {"seeds": [experiment.seeds[0] + _FAR + repeat], "fold_seed": experiment.fold_seed + _FAR + repeat}


def results(candidates: Sequence[int], rounds: Sequence[FrozenTrial]) -> list[Confirmed]:
    """Return the figures of the candidates over the repeats that the start was trained on too, the best first."""
    by_candidate: dict[int, dict[int, FrozenTrial]] = {}
    for trial in trials.complete(rounds):
        by_candidate.setdefault(trial.params["candidate"], {}).setdefault(trial.params["repeat"], trial)
    start = by_candidate.get(trials.START, {})
    others = len(candidates) - 1
    found = [
        _figures(number, start, by_candidate[number], others)
        for number in candidates
        if start.keys() & by_candidate.get(number, {}).keys()
    ]
    return sorted(found, key=lambda one: one.log_loss)


def _figures(number: int, start: dict[int, FrozenTrial], mine: dict[int, FrozenTrial], finalists: int) -> Confirmed:
    repeats = sorted(start.keys() & mine.keys())
    losses, own = (np.array([by[repeat].user_attrs["fold_losses"] for repeat in repeats]) for by in (start, mine))
    gains = (losses - own).ravel()
    rows = mine[repeats[0]].user_attrs["rows"]
    right = np.mean([mine[repeat].user_attrs["accuracy"] for repeat in repeats]) * rows
    is_start = number == trials.START
    return Confirmed(
        number=number,
        repeats=len(repeats),
        log_loss=float(np.mean([mine[repeat].value for repeat in repeats])),
        accuracy=proportion(float(right), rows),
        gain=float("nan") if is_start else float(gains.mean()),
        p_value=float("nan") if is_start else min(1.0, finalists * corrected_t_test(gains, losses.shape[1])),
    )


def corrected_t_test(differences: np.ndarray, folds: int) -> float:
    """Return the two-sided p-value that the mean of paired differences over repeated k-fold cross-validation is zero.

    The folds share training rows, so a plain t-test finds differences that aren't there; this is the corrected resampled t-test
    (Nadeau and Bengio, 2003; for repeated cross-validation Bouckaert and Frank, 2004).
    """
    from scipy.stats import t

    count, mean, variance = len(differences), float(np.mean(differences)), float(np.var(differences, ddof=1))
    if not variance:
        return 0.0 if mean else 1.0
    statistic = mean / np.sqrt(variance * (1 / count + 1 / (folds - 1)))
    return float(2 * t.sf(abs(statistic), count - 1))


def winner(known: Sequence[FrozenTrial], confirmed: Sequence[Confirmed]) -> int | None:
    """Return the number of the best candidate if it beats the start beyond chance, else the start's; None while open."""
    if len(confirmed) > 1:
        best = confirmed[0]
        return best.number if best.number != trials.START and best.p_value < LEVEL else trials.START
    others = [trial for trial in trials.complete(known) if trials.root(trial) != trials.START]
    started = len(others) < len(trials.complete(known))
    return trials.START if started and others and not finalists(known) else None
