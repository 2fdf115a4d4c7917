"""Confirmation: the best trials and the baseline trial are trained again on new seeds and folds to avoid selection bias.

The trainings are trials of a second study, "<study> confirmation", so that several machines share them and they are resumed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna import Study, Trial
from optuna.trial import FrozenTrial

from digit_recognizer.experiment import Experiment
from digit_recognizer.metrics import SIGNIFICANT, Estimate, proportion
from digit_recognizer.tuning import trials

FINALISTS = 3
REPEATS = 2  # trainings of each candidate, each with another seed and other folds
SEED_OFFSET = 1000  # added to the seeds of the search


@dataclass(frozen=True)
class Confirmed:
    """A candidate's figures on new seeds and folds. Differences are to the baseline trial on the same seeds and folds."""

    number: int
    repeats: int
    log_loss: float
    accuracy: Estimate
    gain: float | None  # decrease of the log loss relative to the baseline trial; None for the baseline trial
    p_value: float | None  # Bonferroni-corrected: multiplied by the number of finalists


def candidates(search: Sequence[FrozenTrial]) -> list[int]:
    """Return the numbers of the baseline trial and of the best trials that are better than it, or nothing if none is."""
    better: dict[str, int] = {}  # by parameters, because the sampler may repeat them
    for trial in trials.complete(search):
        if trials.is_baseline(trial):
            return [trials.number_of(trial), *list(better.values())[:FINALISTS]] if better else []
        better.setdefault(repr(sorted(trial.params.items())), trials.number_of(trial))
    return []


def trainings_after(search: Sequence[FrozenTrial]) -> int:
    """Return how many trainings the confirmation has if the next trial is better than the baseline trial, too."""
    count = max(len(candidates(search)), 1) + 1
    return min(count, FINALISTS + 1) * REPEATS


def enqueue(search: Study, confirmation: Study) -> None:
    """Enqueue the trainings that are not enqueued yet, or failed; the first repeat of all candidates first."""
    known = confirmation.get_trials(deepcopy=False)
    numbers = candidates(search.get_trials(deepcopy=False))
    for repeat in range(REPEATS):
        for number in numbers:
            parameters = {"candidate": number, "repeat": repeat}
            if not trials.is_planned(parameters, known):
                confirmation.enqueue_trial(parameters)


def candidate_and_repeat(trial: Trial) -> tuple[int, int]:
    """Return the number of the candidate that the trial trains, and which repeat it is."""
    return trial.suggest_int("candidate", 0, 10**9), trial.suggest_int("repeat", 0, REPEATS - 1)


def new_seeds(experiment: Experiment, repeat: int) -> dict[str, Any]:
    """Return the seed and folds of a repeat, as changes; the same for all candidates."""
    return {"seeds": [experiment.seeds[0] + SEED_OFFSET + repeat], "fold_seed": experiment.fold_seed + SEED_OFFSET + repeat}


def results(search: Sequence[FrozenTrial], confirmation: Sequence[FrozenTrial]) -> list[Confirmed]:
    """Return the candidates' figures over the repeats that the baseline trial was trained on too, best first."""
    trained: dict[int, dict[int, FrozenTrial]] = {}
    for trial in trials.complete(confirmation):
        trained.setdefault(trial.params["candidate"], {}).setdefault(trial.params["repeat"], trial)
    numbers = candidates(search)
    baseline = trained.get(numbers[0], {}) if numbers else {}
    found = [
        _figures(number, baseline, trained[number], len(numbers) - 1)
        for number in numbers
        if baseline.keys() & trained.get(number, {}).keys()
    ]
    return sorted(found, key=lambda one: one.log_loss)


def _figures(number: int, baseline: dict[int, FrozenTrial], own: dict[int, FrozenTrial], finalists: int) -> Confirmed:
    repeats = sorted(baseline.keys() & own.keys())
    theirs, mine = ([trials.result_of(by_repeat[repeat]) for repeat in repeats] for by_repeat in (baseline, own))
    gains = np.array([one.fold_losses for one in theirs]) - np.array([one.fold_losses for one in mine])
    rows = mine[0].rows
    is_baseline = own is baseline
    return Confirmed(
        number=number,
        repeats=len(repeats),
        log_loss=float(np.mean([one.log_loss for one in mine])),
        accuracy=proportion(float(np.mean([one.accuracy.value for one in mine])) * rows, rows),
        gain=None if is_baseline else float(gains.mean()),
        p_value=None if is_baseline else min(1.0, finalists * corrected_t_test(gains.ravel(), gains.shape[1])),
    )


def corrected_t_test(differences: np.ndarray, folds: int) -> float:
    """Return the two-sided p-value that the mean of paired differences over repeated k-fold cross-validation is zero.

    The folds share training rows, so a plain t-test has too many false positives; this is the corrected resampled t-test
    (Nadeau and Bengio, 2003; for repeated cross-validation Bouckaert and Frank, 2004).
    """
    from scipy.stats import t

    count, mean, variance = len(differences), float(np.mean(differences)), float(np.var(differences, ddof=1))
    if not variance:
        return 0.0 if mean else 1.0
    statistic = mean / np.sqrt(variance * (1 / count + 1 / (folds - 1)))
    return float(2 * t.sf(abs(statistic), count - 1))


def winner(search: Sequence[FrozenTrial], confirmed: Sequence[Confirmed]) -> int | None:
    """Return the number of the best candidate if it is significantly better than the baseline trial, else the latter's.

    None if it is not known yet: the baseline trial or all others are unfinished, or the candidates are not confirmed yet.
    """
    complete = trials.complete(search)
    baseline = next((trials.number_of(trial) for trial in complete if trials.is_baseline(trial)), None)
    if len(confirmed) > 1:
        best = confirmed[0]
        return best.number if best.p_value is not None and best.p_value < SIGNIFICANT else baseline
    return baseline if len(complete) > 1 and not candidates(search) else None
