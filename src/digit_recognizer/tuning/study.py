"""A study from its beginning, or from where it stopped, to its summary, page and tuned pipeline.

    make tune PIPELINE=fast HOURS=8

Imported only where Optuna is.
"""

import contextlib
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna import Study, Trial, TrialPruned
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from digit_recognizer.data.dataset import load_dataset
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Pipeline, differences, override
from digit_recognizer.training.events import Event, OnEvent, ignore
from digit_recognizer.tuning import confirmation, events, page, space, storage, trials, tuned_pipeline
from digit_recognizer.tuning.pruning import Axis, hopeless
from digit_recognizer.tuning.session import Interrupted, Session, reason_of
from digit_recognizer.tuning.summary import SHARE, StudySummary, attributes, summarize
from digit_recognizer.tuning.trainer import Evaluation, Trainer, discard
from digit_recognizer.workspace import Workspace

IDENTITY = "identity"


@dataclass(frozen=True)
class StudyRequest:
    """What to search, and for how long.

    `trials` counts those of earlier commands and other machines too; `hours` are this command's own.
    """

    pipeline: Pipeline
    name: str  # the study's: its journal is studies/<name>.journal
    hours: float | None = None
    trials: int | None = None
    workers: int = 1
    storage: str | None = None  # postgresql://..., or None for the journal


def tune(request: StudyRequest, workspace: Workspace, on_event: OnEvent = ignore) -> StudySummary:
    """Run the study, train its best trials again, and write its page and the tuned pipeline; return its summary.

    `on_event` gets the events of `tuning.events`, `StudyStarted` first. After Ctrl-C the summary has `interrupted=True`.

    Raises:
        UserError: neither hours nor trials, no or a wrong `suggest`, no data, a study of other data or settings, a storage that
            can't be reached or is away at the end, or trials that fail one after another.
    """
    if not (request.hours or request.trials) or min(request.hours or 1, request.trials or 1, request.workers) <= 0:
        raise UserError("say how long to search: HOURS=8, or TRIALS=50 for so many trials in total (WORKERS from 1)")
    own = space.own_parameters(request.pipeline)
    deadline = time.monotonic() + request.hours * 3600 if request.hours else None
    session = Session(request.workers, deadline, on_event)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", ExperimentalWarning)
        patience = storage.Patience(session.stop, session.warn)
        kept = stack.enter_context(storage.opened(request.name, workspace, request.storage, patience))
        try:
            return _Search(request, workspace, session, kept, own).run()
        except Exception as error:
            if not (request.storage and storage.gone(error)):
                raise
            raise UserError(
                f"{storage.address(request.storage)} does not answer, so there is no summary. What is trained is kept: "
                "the same command goes on when the server is back"
            ) from error


class _Search:
    """A study while it runs."""

    def __init__(self, request: StudyRequest, workspace: Workspace, session: Session, kept: Any, own: dict[str, Any]) -> None:
        self.request, self.workspace, self.session, self.kept, self.own = request, workspace, session, kept, own
        self.pipeline = request.pipeline
        self.experiment = override(self.pipeline.experiment, {"seeds": self.pipeline.experiment.seeds[:1]})
        self.axis = Axis(self.experiment.epochs, self.experiment.folds)
        self.dataset = load_dataset(workspace)
        self.folder = workspace.studies / request.name
        self.began = time.monotonic()

    def run(self) -> StudySummary:
        study = self._join()
        rounds = self._open(f"{study.study_name} confirmation")
        if not self.request.storage:
            trials.tidy(study, alone=True)
            trials.tidy(rounds, alone=True)
        self._announce(study)
        self.session.run(partial(self._open, study.study_name), self._wanted, self._in_time, self._objective)
        if not self.session.interrupted and self.session.time_left() > 0:
            self._train_again(study, rounds)
        return self._finish(study, rounds)

    def _train_again(self, study: Study, rounds: Study) -> None:
        confirmation.enqueue(study, rounds)
        if waiting := rounds.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            self.session.emit(events.ConfirmationStarted(len(waiting)))
        self.session.run(
            partial(self._open, rounds.study_name), trials.any_waiting, lambda known: True, partial(self._confirm, study)
        )

    def _open(self, name: str) -> Study:
        return optuna.create_study(
            storage=self.kept, study_name=name, direction="minimize", load_if_exists=True, sampler=optuna.samplers.TPESampler()
        )

    def _join(self) -> Study:
        """Open the study, or begin it with the pipeline's own settings, which get another try where they failed.

        Raises:
            UserError: it was begun on other data or settings.
        """
        study = self._open(self.request.name)
        mine = space.identity(self.pipeline, self.dataset)
        begun = study.user_attrs.get(IDENTITY)
        if begun is None:
            study.set_user_attr(IDENTITY, mine)
        elif changed := differences(begun, mine):
            raise UserError(
                f"study {study.study_name} was begun with other {'; '.join(changed)}. Trials of the two can't be compared: "
                "search under another name (RUN=...), or undo the change"
            )
        if not any(map(trials.is_start, study.get_trials(deepcopy=False))):
            study.enqueue_trial(self.own, user_attrs={trials.CONTINUES: trials.START})
        return study

    def _announce(self, study: Study) -> None:
        known = study.get_trials(deepcopy=False)
        self.session.emit(
            events.StudyStarted(
                study.study_name,
                trials_done=sum(trial.state.is_finished() and trials.counts(trial) for trial in known),
                trials_wanted=self.request.trials,
                parameters=list(self.own),
                seconds_left=self._seconds_left(),
            )
        )

    def _wanted(self, known: Sequence[FrozenTrial]) -> bool:
        """Whether there is another trial to begin, or to go on with."""
        return trials.any_waiting(known) or sum(trials.counts(trial) for trial in known) < self._limit

    @property
    def _limit(self) -> float:
        return self.request.trials or float("inf")

    def _in_time(self, known: Sequence[FrozenTrial]) -> bool:
        """Whether another trial, and then the confirmation, can be over by the deadline.

        The confirmation gets a third of HOURS at most; what doesn't fit into that is left to the next command.
        """
        durations = [trial.duration.total_seconds() for trial in trials.complete(known)]
        if not durations or not self.request.hours:
            return True
        typical = sum(durations) / len(durations)
        reserve = min(confirmation.trainings_after(known) * typical / self.request.workers, self.request.hours * 3600 / 3)
        return self.session.time_left() >= typical + reserve

    def _objective(self, trial: Trial, others: Sequence[FrozenTrial]) -> float:
        me = next(other for other in others if other.number == trial.number)
        if trials.superseded(me, others) or trials.surplus(me, others, self._limit):
            trial.set_user_attr(trials.SURPLUS, True)
            raise Interrupted
        number = trials.root(me)
        try:
            result = self._evaluate(trial, me, others)
        except TrialPruned:
            discard(self._folder(number))
            self._ended(number, None, "pruned")
            raise
        except Exception as error:
            if not self.session.ended(error):
                discard(self._folder(number), but="log.txt")
                self._ended(number, None, "failed", reason=reason_of(error))
            raise
        self._ended(number, None, "complete", log_loss=result.log_loss, accuracy=result.accuracy)
        return result.log_loss

    def _evaluate(self, trial: Trial, me: FrozenTrial, others: Sequence[FrozenTrial]) -> Evaluation:
        """Train the folds until the trial turns out hopeless.

        Raises:
            TrialPruned: it did.
        """
        number = trials.root(me)
        changes = {**self.pipeline.suggest(trial), "seeds": list(self.experiment.seeds)}
        experiment = override(self.experiment, changes)
        self.session.emit(events.TrialStarted(number, None, trial.params, self._seconds_left()))
        curve = self._restore(trial, me)
        finished = [other.intermediate_values for other in trials.complete(others)]

        def report(step: int, value: float) -> None:
            if step in curve or step < 1:
                return
            curve[step] = value
            trial.report(value, step)
            if number != trials.START and hopeless(value, step, finished, self.axis):
                trial.set_user_attr(SHARE, self.axis.cost(step))
                raise TrialPruned

        result = self._trainer(number).evaluate(
            experiment,
            changes,
            self._folder(number),
            on_epoch=lambda epoch, loss: report(self.axis.epoch_step(epoch, experiment.epochs), loss),
            on_fold=lambda folds, loss: report(self.axis.fold_step(folds), loss),
        )
        for name, value in attributes(result, changes).items():
            trial.set_user_attr(name, value)
        return result

    def _restore(self, trial: Trial, me: FrozenTrial) -> dict[int, float]:
        """Report again what the trial that is continued had reported, if its training lies on this machine."""
        if not self._folder(trials.root(me)).exists():
            return {}
        curve = {int(step): value for step, value in me.user_attrs.get(trials.CURVE, {}).items()}
        for step, value in curve.items():
            trial.report(value, step)
        return curve

    def _confirm(self, study: Study, trial: Trial, others: Sequence[FrozenTrial]) -> float:
        """Train a finalist, or the start, on a fresh seed and fresh folds."""
        me = next(other for other in others if other.number == trial.number)
        if "fixed_params" not in me.system_attrs or trials.superseded(me, others):
            trial.set_user_attr(trials.SURPLUS, True)
            raise Interrupted
        candidate, repeat = confirmation.suggest(trial)
        source = next(one for one in trials.complete(study.get_trials(deepcopy=False)) if trials.root(one) == candidate)
        changes = {**source.user_attrs["changes"], **confirmation.fresh(self.experiment, repeat)}
        self.session.emit(events.TrialStarted(candidate, repeat, source.params, self._seconds_left()))
        result = self._trainer(candidate, repeat).evaluate(
            override(self.experiment, changes), changes, self.folder / f"confirm_{candidate}_{repeat}"
        )
        for name, value in attributes(result, changes).items():
            trial.set_user_attr(name, value)
        self._ended(candidate, repeat, "complete", log_loss=result.log_loss, accuracy=result.accuracy)
        return result.log_loss

    def _trainer(self, number: int, repeat: int | None = None) -> Trainer:
        def on_event(event: Event) -> None:
            self.session.check()
            self.session.emit(events.TrialProgress(number, repeat, event))

        return Trainer(self.pipeline, self.dataset, self.workspace, on_event)

    def _folder(self, number: int) -> Path:
        return self.folder / f"trial_{number}"

    def _ended(self, trial: int, repeat: int | None, state: str, **figures: Any) -> None:
        self.session.emit(events.TrialEnded(trial, repeat, state, self._seconds_left(), **figures))

    def _seconds_left(self) -> float | None:
        return None if self.session.deadline is None else self.session.time_left()

    def _finish(self, study: Study, rounds: Study) -> StudySummary:
        summary = summarize(
            study.get_trials(deepcopy=False),
            rounds.get_trials(deepcopy=False),
            name=study.study_name,
            pipeline=self.pipeline.name,
            axis=self.axis,
            interrupted=self.session.interrupted,
            seconds=time.monotonic() - self.began,
        )
        report = page.write_page(self.workspace.studies / f"{study.study_name}.html", study, rounds, summary)
        written = tuned_pipeline.write(summary, self.pipeline, self.workspace) if summary.winner is not None else None
        return summary.with_files(report, written)
