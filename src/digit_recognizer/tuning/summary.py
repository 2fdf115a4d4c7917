"""What a study has come to: values for the command line, the page and the tuned pipeline."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from digit_recognizer.metrics import Estimate
from digit_recognizer.tuning import confirmation, trials
from digit_recognizer.tuning.confirmation import Confirmed
from digit_recognizer.tuning.pruning import Axis, Replay, replay
from digit_recognizer.tuning.trainer import Evaluation

SHARE = "share"  # of a whole trial's training, spent on a pruned one
REPLAYED = 10  # complete trials that it takes to say anything of pruning


@dataclass(frozen=True)
class TrialFigures:
    """A complete trial as the search saw it."""

    number: int
    log_loss: float  # out of fold, nats
    accuracy: Estimate
    seconds: float  # spent training
    parameters: dict[str, Any]
    changes: dict[str, Any]  # what `suggest` returned


@dataclass(frozen=True)
class StudySummary:
    """The study so far. `winner` is a trial's number: the start's where nothing beat it beyond chance, None while open."""

    name: str
    pipeline: str
    complete: list[TrialFigures]  # best first
    pruned: int
    failed: dict[int, str]  # number -> reason
    unfinished: int  # running elsewhere, or to be continued
    confirmed: list[Confirmed]  # best first, the start among them
    winner: int | None
    replay: Replay | None
    pruned_share: float  # of the time that all begun trials would have taken without pruning
    interrupted: bool
    seconds: float  # of this command
    report: Path | None = None
    tuned: Path | None = None  # the winner as a pipeline; None without a winner, or where the person's own has that name

    @property
    def trials(self) -> int:
        """Those that came to an end of their own."""
        return len(self.complete) + self.pruned + len(self.failed)

    @property
    def start(self) -> TrialFigures | None:
        """The pipeline's own settings."""
        return self._figures(trials.START)

    @property
    def best(self) -> TrialFigures | None:
        """The trial with the lowest log loss in the search, which is not yet a winner."""
        return self.complete[0] if self.complete else None

    @property
    def winning_trial(self) -> TrialFigures | None:
        return None if self.winner is None else self._figures(self.winner)

    def _figures(self, number: int) -> TrialFigures | None:
        return next((one for one in self.complete if one.number == number), None)

    @property
    def verdict(self) -> str:
        """What to make of the study, in one line."""
        if self.start is None:
            return "The pipeline's own settings are not trained yet: the same command goes on."
        if self.winner is None:
            missing = "nothing else is complete yet" if len(self.complete) < 2 else "the best trials are not trained again yet"
            return f"No winner: {missing}; the same command with more HOURS or TRIALS goes on."
        if not self.confirmed:
            return "No trial was better than the start in the search: the start is kept."
        fresh = {one.number: one for one in self.confirmed}
        rival = next(one for one in self.confirmed if one.number != trials.START)
        best = self._figures(rival.number)
        figures = (
            f"trial {rival.number}: log loss {best.log_loss:.5f} in the search, {rival.log_loss:.5f} on fresh seeds and folds, "
            f"where the start has {fresh[trials.START].log_loss:.5f} (p = {rival.p_value:.2g})"
        )
        return (
            f"Gain confirmed: {figures}."
            if self.winner == rival.number
            else f"No gain beyond chance, the start is kept; {figures}."
        )

    def with_files(self, report: Path, tuned: Path | None) -> "StudySummary":
        return dataclasses.replace(self, report=report, tuned=tuned)


def attributes(result: Evaluation, changes: dict[str, Any]) -> dict[str, Any]:
    """Return what a complete trial keeps beside its value, as JSON values."""
    return {
        "accuracy": result.accuracy.value,
        "accuracy_low": result.accuracy.low,
        "accuracy_high": result.accuracy.high,
        "rows": result.rows,
        "fold_losses": result.fold_losses,
        "seconds": result.seconds,
        "changes": changes,
    }


def summarize(
    known: Sequence[FrozenTrial],
    rounds: Sequence[FrozenTrial],
    *,
    name: str,
    pipeline: str,
    axis: Axis,
    interrupted: bool,
    seconds: float,
) -> StudySummary:
    """Sum up the trials of a study and of its confirmation."""
    complete = [_figures(trial) for trial in trials.complete(known)]
    curves = [trial.intermediate_values for trial in trials.complete(known) if len(trial.intermediate_values) > axis.folds]
    pruned = [trial for trial in known if trial.state == TrialState.PRUNED]
    confirmed = confirmation.results(confirmation.finalists(known), rounds)
    saved = sum(1 - trial.user_attrs.get(SHARE, 1.0) for trial in pruned)
    return StudySummary(
        name=name,
        pipeline=pipeline,
        complete=complete,
        pruned=len(pruned),
        failed={trials.root(trial): trial.user_attrs[trials.REASON] for trial in known if trials.REASON in trial.user_attrs},
        unfinished=sum(not trial.state.is_finished() for trial in known) + len(trials.to_continue(known)),
        confirmed=confirmed,
        winner=confirmation.winner(known, confirmed),
        replay=replay(curves, axis) if len(curves) >= REPLAYED else None,
        pruned_share=saved / max(len(pruned) + len(complete), 1),
        interrupted=interrupted,
        seconds=seconds,
    )


def _figures(trial: FrozenTrial) -> TrialFigures:
    facts = trial.user_attrs
    accuracy = Estimate(facts["accuracy"], facts["accuracy_low"], facts["accuracy_high"])
    changes = {name: value for name, value in facts["changes"].items() if name != "seeds"}
    return TrialFigures(trials.root(trial), trial.value, accuracy, facts["seconds"], dict(trial.params), changes)
