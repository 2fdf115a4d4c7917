"""Running a study: search, confirmation, summary, page and tuned pipeline; an interrupted study is resumed.

make tune PIPELINE=fast HOURS=8
"""

import contextlib
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import optuna
from optuna import Study, Trial, TrialPruned
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from digit_recognizer.data.dataset import load_dataset
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Pipeline, differences
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.lifecycle import locked
from digit_recognizer.training.events import Event, OnEvent, Warned, ignore
from digit_recognizer.training.workers import Job, Workers
from digit_recognizer.tuning import confirmation, database, events, journal, page, space, trainer, trials, tuned_pipeline
from digit_recognizer.tuning.pruner import CrossValidationPruner
from digit_recognizer.tuning.summary import StudySummary, summarize
from digit_recognizer.tuning.trainer import TrialResult, discard
from digit_recognizer.tuning.trial_loop import Interrupted, Next, Surplus, TrialLoop, reason_of
from digit_recognizer.workspace import Workspace

IDENTITY = "identity"  # user attribute of a study: space.identity


@dataclass(frozen=True)
class StudyRequest:
    """What to search, and for how long.

    `trials` includes those of earlier commands and other machines; `hours` is the time of this command.
    """

    pipeline: Pipeline
    name: str
    hours: float | None = None
    trials: int | None = None
    workers: int = 1  # trials in parallel
    storage: str | None = None  # postgresql://..., or None for the journal studies/<name>.journal
    training: Workers | None = None  # of the trials; None: this machine


def tune(request: StudyRequest, workspace: Workspace, on_event: OnEvent = ignore) -> StudySummary:
    """Run or resume the study, confirm its best trials, write its page and, after a gain, the tuned pipeline.

    `on_event` gets the events of `tuning.events`, `StudyStarted` first. After Ctrl-C the summary has `interrupted=True`.

    Raises:
        UserError: neither hours nor trials are given, `suggest` is wrong, there is no data, the study has other data or
            settings or is run by another process, the database can't be reached, or trials fail one after another.
    """
    if not (request.hours or request.trials) or min(request.hours or 1, request.trials or 1, request.workers) <= 0:
        raise UserError("set how long to search: HOURS=8, or TRIALS=50 for that many trials in total (WORKERS from 1)")
    searched = space.search_space(request.pipeline)
    deadline = time.monotonic() + request.hours * 3600 if request.hours else None
    loop = TrialLoop(request.workers, deadline, on_event)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        with _opened(request, workspace, loop) as storage:
            try:
                return _StudyRun(request, workspace, loop, storage, searched).run()
            except Exception as error:
                if not (request.storage and database.is_connection_error(error)):
                    raise
                raise UserError(
                    f"{database.without_password(request.storage)} does not answer, so there is no summary. Trained folds are "
                    "kept: repeat the command when the server is back"
                ) from error


@contextlib.contextmanager
def _opened(request: StudyRequest, workspace: Workspace, loop: TrialLoop) -> Iterator[BaseStorage]:
    """Yield the study's storage: its journal, locked for this process, or the database."""
    if request.storage:
        storage = database.open_database(request.storage, loop.stop, lambda message: loop.emit(Warned(message)))
        try:
            yield storage
        finally:
            storage.engine.dispose()
    else:
        with locked(workspace.studies / request.name):
            yield journal.open_journal(journal.path_of(request.name, workspace))


class _StudyRun:
    """One command's work on a study."""

    def __init__(
        self,
        request: StudyRequest,
        workspace: Workspace,
        loop: TrialLoop,
        storage: BaseStorage,
        searched: space.SearchSpace,
    ) -> None:
        self.request, self.workspace, self.loop, self.storage, self.space = request, workspace, loop, storage, searched
        self.pipeline = request.pipeline.changed({"seeds": request.pipeline.experiment.seeds[:1]})
        self.pruner = CrossValidationPruner(self.pipeline.experiment.epochs, self.pipeline.experiment.folds)
        self.dataset = load_dataset(workspace)
        self.training = request.training or trainer.TrialWorkers(request.workers)
        self.folder = workspace.studies / request.name
        self.started = time.monotonic()

    def run(self) -> StudySummary:
        search, confirming = self._create(self.request.name), self._create(f"{self.request.name} confirmation")
        self._check_identity(search)
        for study in (search, confirming):
            trials.recover(study, self.storage, alone=not self.request.storage)
        self._enqueue_baseline(search)
        self._report_start(search)
        self.loop.run(partial(self._load, search.study_name), self.storage, self._next_in_search, self._train_trial)
        if not self.loop.interrupted and self.loop.seconds_left() > 0:
            self._confirm(search, confirming)
        return self._finish(search, confirming)

    def _confirm(self, search: Study, confirming: Study) -> None:
        confirmation.enqueue(search, confirming)
        if waiting := confirming.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            self.loop.emit(events.ConfirmationStarted(len(waiting)))
        open_study, train = partial(self._load, confirming.study_name), partial(self._train_candidate, search)
        self.loop.run(open_study, self.storage, _next_in_confirmation, train)

    def _create(self, name: str) -> Study:
        return optuna.create_study(storage=self.storage, study_name=name, direction="minimize", load_if_exists=True)

    def _load(self, name: str) -> Study:
        sampler = optuna.samplers.TPESampler()
        return optuna.load_study(study_name=name, storage=self.storage, sampler=sampler, pruner=self.pruner)

    def _check_identity(self, search: Study) -> None:
        """Record the study's identity, or compare it with the recorded one.

        Raises:
            UserError: the study was started with other data, settings or code.
        """
        identity = space.identity(self.request.pipeline, self.space, self.dataset)
        recorded = search.user_attrs.get(IDENTITY)
        if recorded is None:
            search.set_user_attr(IDENTITY, identity)
        elif not isinstance(recorded, dict):
            raise UserError(f"study {search.study_name} is damaged: search under another name (RUN=...)")
        elif changed := differences(recorded, identity):
            raise UserError(
                f"study {search.study_name} was started with other {'; '.join(changed)}. Its trials can't be compared with new "
                "ones: search under another name (RUN=...), or undo the change"
            )

    def _enqueue_baseline(self, search: Study) -> None:
        """Enqueue the pipeline's own settings as the first trial; a failed one is repeated."""
        parameters = dict(self.space.baseline)
        if not trials.is_planned(parameters, search.get_trials(deepcopy=False)):
            search.enqueue_trial(parameters, user_attrs={trials.BASELINE: True})

    def _report_start(self, search: Study) -> None:
        known = search.get_trials(deepcopy=False)
        self.loop.emit(
            events.StudyStarted(
                search.study_name,
                trials_done=sum(trial.state.is_finished() and trials.counts(trial) for trial in known),
                trials_wanted=self.request.trials,
                parameters=list(self.space.baseline),
                seconds_left=self._seconds_left(),
            )
        )

    def _next_in_search(self, known: Sequence[FrozenTrial]) -> Next:
        if not self._in_time(known):
            return Next.STOP
        if trials.any_waiting(known) or sum(map(trials.counts, known)) < self._limit:
            return Next.TRAIN
        return _wait_for_running(known)

    @property
    def _limit(self) -> float:
        return self.request.trials or float("inf")

    def _in_time(self, known: Sequence[FrozenTrial]) -> bool:
        """Return whether another trial and then the confirmation can end by the deadline.

        At most a third of HOURS is reserved for the confirmation; the rest is left to the next command.
        """
        durations = [trials.seconds_of(trial) for trial in trials.complete(known)]
        if not durations or not self.request.hours:
            return True
        typical = sum(durations) / len(durations)
        reserve = min(confirmation.trainings_after(known) * typical / self.request.workers, self.request.hours * 3600 / 3)
        return self.loop.seconds_left() >= typical + reserve

    def _train_trial(self, trial: Trial, known: Sequence[FrozenTrial]) -> float:
        """Train a trial of the search; return its log loss."""
        before = known[trial.number]
        if trials.is_surplus(before, known, self._limit):
            raise Surplus
        number = trials.number_of(before)
        folder = RunFolder(self.folder / f"trial_{number}")
        try:
            result = self._evaluate(trial, before, number, folder)
        except TrialPruned:
            discard(folder)
            self._report_end(number, None, "pruned")
            raise
        except Exception as error:
            if not self.loop.is_interruption(error):
                discard(folder, keep=folder.log)
                self._report_end(number, None, "failed", reason=reason_of(error))
            raise
        trials.set_result(trial, result)
        self._report_end(number, None, "complete", log_loss=result.log_loss, accuracy=result.accuracy)
        return result.log_loss

    def _evaluate(self, trial: Trial, before: FrozenTrial, number: int, folder: RunFolder) -> TrialResult:
        """Train the folds.

        Raises:
            TrialPruned: the trial is worse than the median.
        """
        pipeline = self.pipeline.changed(self.space.suggest(trial))
        self.loop.emit(events.TrialStarted(number, None, trial.params, self._seconds_left()))
        reported = {*before.intermediate_values}  # before it was interrupted

        def prune_if_worse() -> None:
            if trial.should_prune():
                raise TrialPruned

        def report(step: int, value: float) -> None:
            if step >= 1 and step not in reported:
                reported.add(step)
                trial.report(value, step)
                prune_if_worse()

        prune_if_worse()
        epochs = pipeline.experiment.epochs
        return trainer.evaluate(
            Job(pipeline, self.workspace, folder),
            self.dataset,
            self.training,
            self._on_training_event(number, None),
            on_epoch=lambda epoch, loss: report(self.pruner.epoch_step(epoch, epochs), loss),
            on_fold=lambda folds, loss: report(self.pruner.fold_step(folds), loss),
        )

    def _train_candidate(self, search: Study, trial: Trial, known: Sequence[FrozenTrial]) -> float:
        """Train a candidate on a new seed and new folds; return its log loss."""
        before = known[trial.number]
        if trials.enqueued_parameters(before) is None or trials.is_surplus(before, known, float("inf")):
            raise Surplus
        candidate, repeat = confirmation.candidate_and_repeat(trial)
        complete = trials.complete(search.get_trials(deepcopy=False))
        source = next(one for one in complete if trials.number_of(one) == candidate)
        changes = self.space.changes(source.params) | confirmation.new_seeds(self.pipeline.experiment, repeat)
        job = Job(self.pipeline.changed(changes), self.workspace, RunFolder(self.folder / f"confirm_{candidate}_{repeat}"))
        self.loop.emit(events.TrialStarted(candidate, repeat, source.params, self._seconds_left()))
        result = trainer.evaluate(job, self.dataset, self.training, self._on_training_event(candidate, repeat))
        trials.set_result(trial, result)
        self._report_end(candidate, repeat, "complete", log_loss=result.log_loss, accuracy=result.accuracy)
        return result.log_loss

    def _on_training_event(self, number: int, repeat: int | None) -> OnEvent:
        def on_event(event: Event) -> None:
            if self.loop.stop.is_set():
                raise Interrupted
            self.loop.emit(events.TrialProgress(number, repeat, event))

        return on_event

    def _report_end(self, number: int, repeat: int | None, state: str, **figures: Any) -> None:
        self.loop.emit(events.TrialEnded(number, repeat, state, self._seconds_left(), **figures))

    def _seconds_left(self) -> float | None:
        return None if self.loop.deadline is None else self.loop.seconds_left()

    def _finish(self, search: Study, confirming: Study) -> StudySummary:
        summary = summarize(
            search.get_trials(deepcopy=False),
            confirming.get_trials(deepcopy=False),
            self.space,
            self.pruner,
            name=search.study_name,
            pipeline=self.pipeline.name,
            interrupted=self.loop.interrupted,
            seconds=time.monotonic() - self.started,
        )
        report = page.write_page(self.workspace.studies / f"{search.study_name}.html", search, confirming, summary)
        tuned = tuned_pipeline.write(summary, self.request.pipeline, self.workspace)
        return replace(summary, report=report, tuned=tuned)


def _next_in_confirmation(known: Sequence[FrozenTrial]) -> Next:
    return Next.TRAIN if trials.any_waiting(known) else _wait_for_running(known)


def _wait_for_running(known: Sequence[FrozenTrial]) -> Next:
    """Wait while a trial runs elsewhere: if it is interrupted there, it is resumed here."""
    return Next.WAIT if any(trial.state == TrialState.RUNNING for trial in known) else Next.STOP
