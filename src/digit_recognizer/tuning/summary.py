"""The results of a study, for the command line, the page and the tuned pipeline."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from digit_recognizer.metrics import Estimate
from digit_recognizer.tuning import confirmation, trials
from digit_recognizer.tuning.confirmation import Confirmed
from digit_recognizer.tuning.pruner import CrossValidationPruner
from digit_recognizer.tuning.space import SearchSpace


@dataclass(frozen=True)
class TrialFigures:
    """A complete trial of the search."""

    number: int
    is_baseline: bool
    log_loss: float  # out of fold, nats
    accuracy: Estimate
    seconds: float  # of training
    parameters: dict[str, Any]
    changes: dict[str, Any]  # of the pipeline's settings


@dataclass(frozen=True)
class StudySummary:
    """The results of a study so far."""

    name: str
    pipeline: str
    complete: list[TrialFigures]  # best first
    pruned: int
    failed: dict[int, str]  # number -> reason
    unfinished: int
    confirmed: list[Confirmed]  # best first, the baseline trial among them
    winner: int | None  # a trial's number: the baseline's if none is significantly better, None if not known yet
    pruned_share: float  # of the training time that all trials would have taken without pruning
    interrupted: bool
    seconds: float  # of this command
    report: Path | None = None
    tuned: Path | None = None  # the winner as a pipeline; None without a gain, or if another pipeline has that name

    @property
    def trials(self) -> int:
        """Return the number of trials that are complete, pruned or failed."""
        return len(self.complete) + self.pruned + len(self.failed)

    @property
    def baseline(self) -> TrialFigures | None:
        """Return the trial with the pipeline's own settings."""
        return next((one for one in self.complete if one.is_baseline), None)

    @property
    def best(self) -> TrialFigures | None:
        """Return the trial with the lowest log loss in the search, which needn't be a significant gain."""
        return self.complete[0] if self.complete else None

    @property
    def gain(self) -> TrialFigures | None:
        """Return the winner if it is significantly better than the baseline trial, else None."""
        return next((one for one in self.complete if one.number == self.winner and not one.is_baseline), None)

    @property
    def conclusion(self) -> str:
        if self.baseline is None:
            return "The original settings are not trained yet: repeat the command to resume."
        if self.winner is None:
            reason = "no other trial is complete yet" if len(self.complete) < 2 else "the best trials are not confirmed yet"
            return f"No conclusion: {reason}; repeat the command with more HOURS or TRIALS to resume."
        if not self.confirmed:
            return "No gain: no trial was better than the original settings."
        baseline = next(one for one in self.confirmed if one.p_value is None)
        rival = next(one for one in self.confirmed if one.p_value is not None)
        figures = (
            f"on new seeds and folds, trial {rival.number} has log loss {rival.log_loss:.5f} and the original settings "
            f"{baseline.log_loss:.5f} (lower is better; p = {rival.p_value:.2g})"
        )
        return f"Significant gain: {figures}." if self.gain else f"No significant gain: {figures}. Keep the original settings."


def summarize(
    search: Sequence[FrozenTrial],
    confirmation_trials: Sequence[FrozenTrial],
    space: SearchSpace,
    pruner: CrossValidationPruner,
    **facts: Any,
) -> StudySummary:
    """Summarize the trials of a study and of its confirmation study; `facts` are the remaining fields of StudySummary."""
    complete = [_figures(trial, space) for trial in trials.complete(search)]
    pruned = [trial for trial in search if trial.state == TrialState.PRUNED]
    saved = sum(1 - pruner.share(trial.last_step) for trial in pruned if trial.last_step is not None)
    confirmed = confirmation.results(search, confirmation_trials)
    return StudySummary(
        complete=complete,
        pruned=len(pruned),
        failed={trials.number_of(trial): str(trial.user_attrs[trials.REASON]) for trial in search if trials.failed(trial)},
        unfinished=sum(not trial.state.is_finished() for trial in search),
        confirmed=confirmed,
        winner=confirmation.winner(search, confirmed),
        pruned_share=saved / max(len(pruned) + len(complete), 1),
        **facts,
    )


def _figures(trial: FrozenTrial, space: SearchSpace) -> TrialFigures:
    result, changes = trials.result_of(trial), space.changes(trial.params)
    return TrialFigures(
        trials.number_of(trial),
        trials.is_baseline(trial),
        result.log_loss,
        result.accuracy,
        result.seconds,
        dict(trial.params),
        changes,
    )
