"""Training members in a private notebook on Kaggle: push, watch, download its output, check it and move it to the runs.

One notebook trains the members of all runs that a command names. Pushed notebooks are recorded in `remote/` of the workspace:
the same command continues to watch after Ctrl-C or on another day.
"""

import datetime
import functools
import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from digit_recognizer import experiment, files
from digit_recognizer.data.dataset import Dataset, load_dataset
from digit_recognizer.errors import DamagedError, UserError
from digit_recognizer.experiment import Experiment, Pipeline
from digit_recognizer.formatting import duration, utc_now
from digit_recognizer.kaggle_client import UnreachableError
from digit_recognizer.rehearsal.parts import part_of
from digit_recognizer.remote import notebooks
from digit_recognizer.remote.commands import fitting_command, training_commands
from digit_recognizer.remote.notebook_script import make_script
from digit_recognizer.remote.notebooks import Notebook
from digit_recognizer.remote.pushed import Pushed, PushedStore
from digit_recognizer.remote.session import SessionJob
from digit_recognizer.remote.watch import SAME_COMMAND, Watch, download, failure, unpack
from digit_recognizer.remote.wheel import own_pipelines
from digit_recognizer.runs import lifecycle, results
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.member import Member
from digit_recognizer.runs.records import RunRecord, read_run_record
from digit_recognizer.training.cross_validation import Request
from digit_recognizer.training.events import LogLine, MemberFinished, OnEvent, Warned
from digit_recognizer.training.workers import Job, Length, Plan, own_length
from digit_recognizer.workspace import Workspace, git_commit

MARGIN_SECONDS = 20 * 60  # at the end of a session, to stop the training and save its checkpoints
LEAST_SECONDS = 10 * 60  # of GPU time; with less no notebook is pushed


@dataclass(frozen=True)
class KaggleWorkers:
    """Trains the members of some runs, those of one command, in one notebook on Kaggle with two GPUs."""

    requests: Sequence[Request]
    trains_here = False

    def plan(self, experiment: Experiment, members: int) -> Plan:
        return Plan(jobs=1, where="Kaggle", reports_steps=False)

    def train(self, job: Job, members: Sequence[Member], on_event: OnEvent, length: Length = own_length) -> RunRecord:
        """Train the members on Kaggle and move them to the run's folder.

        Returns:
            The run's record as the notebook wrote it, with the versions and devices there.

        Raises:
            UserError: credentials are missing or wrong, no GPU hours are left, the notebook was refused, failed or stopped, or
                its output is damaged or of another training.
        """
        store, name = PushedStore(job.workspace), job.run.name
        pushed = store.of_run(name) or self._push(store, on_event)
        _check_identity(pushed, name, _identity(job.pipeline, load_dataset(job.workspace)))
        if not pushed.fetched:
            pushed = self._fetch(pushed, store, on_event)
        try:
            record = _install(RunFolder(store.output(pushed) / "runs" / name), job, members, pushed, on_event)
        except UserError:
            store.remove_run(pushed, name)
            raise
        store.remove_run(pushed, name)
        return record

    def fit(self, minutes: float, workspace: Workspace, on_event: OnEvent) -> list[Request]:
        """Train the requests with epochs and seeds that fill this time on Kaggle; return the requests with these settings.

        Their `train` then finds the trained members. A run that was started before keeps its settings.

        Raises:
            UserError: as `train`, or the minutes are more than a notebook has.
        """
        if 60 * minutes > notebooks.SESSION_SECONDS - MARGIN_SECONDS:
            most = (notebooks.SESSION_SECONDS - MARGIN_SECONDS) // 60
            raise UserError(f"MINUTES={minutes:g}: a notebook on Kaggle has time for MINUTES={most} at most")
        store, dataset = PushedStore(workspace), load_dataset(workspace)
        found = []
        for request in self.requests:
            run = RunFolder.of(workspace, request.run)
            if run.record.exists() and not request.force:
                changed = request.pipeline.changed(read_run_record(run).changes)
            else:
                changed = self._fitted(request, minutes, store, dataset, on_event)
            found.append(replace(request, pipeline=changed))
        return found

    def _fitted(self, request: Request, minutes: float, store: PushedStore, dataset: Dataset, on_event: OnEvent) -> Pipeline:
        """Return the request's pipeline with the epochs and seeds that were chosen on Kaggle."""
        asked, name = _identity(request.pipeline, dataset, minutes), request.run
        pushed = store.of_run(name) or self._push(store, on_event, minutes)
        if not pushed.fetched:
            _check_identity(pushed, name, asked)
            pushed = self._fetch(pushed, store, on_event)
        changed = request.pipeline.changed(_fetched_record(store, pushed, name).changes)
        identity = _identity(changed, dataset)
        if pushed.runs[name] != identity:
            _check_identity(pushed, name, asked)
            store.save(replace(pushed, runs=pushed.runs | {name: identity}))
        return changed

    def _push(self, store: PushedStore, on_event: OnEvent, minutes: float | None = None) -> Pushed:
        """Push a notebook that trains the unfinished members of all requests."""
        workspace, dataset = store.workspace, load_dataset(store.workspace)
        outer, part = part_of(workspace) or (workspace, None)
        if not load_dataset(outer).competition:
            raise UserError(f"Kaggle trains on the competition's data, but input/ holds {dataset.source}: run `make data`")
        requests = [request for request in self.requests if store.of_run(request.run) is None]
        for request in requests:  # before the notebook trains in vain
            run = RunFolder.of(workspace, request.run)
            if run.record.exists() and not request.force:
                lifecycle.check_unchanged(run, request.pipeline, dataset)
        name = "-".join([*(request.run for request in requests), *([] if part is None else [f"part-{part}"])])
        notebook = Notebook(notebooks.user_name(), _slug(name))
        busy = notebooks.status(notebook)
        if busy and busy.state in ("queued", "running"):
            raise UserError(
                f"{notebook} is {busy.state} already, pushed from another folder or machine: wait until it ends, stop it at "
                f"{notebook.page}, or train under another name (RUN=...)"
            )
        pushed = Pushed(
            owner=notebook.owner,
            slug=notebook.slug,
            token=secrets.token_hex(8),
            time=utc_now(),
            commands=fitting_command(requests, minutes) if minutes else training_commands(requests, workspace),
            runs={request.run: _identity(request.pipeline, dataset, minutes) for request in requests},
            git_commit=git_commit(),
        )
        store.save(pushed)  # before sending: without an answer, the notebook may have arrived
        try:
            self._send(pushed, store, on_event)
        except UserError as error:
            if not isinstance(error, UnreachableError):
                store.remove(pushed)
            raise
        return pushed

    def _send(self, pushed: Pushed, store: PushedStore, on_event: OnEvent) -> None:
        seconds = float(notebooks.SESSION_SECONDS)
        if quota := notebooks.gpu_quota():
            on_event(LogLine(f"Kaggle: {quota.left:.1f} of {quota.allowed:.0f} GPU hours left{_until(quota.renewed)}"))
            seconds = min(seconds, 3600 * quota.left)
            if seconds < MARGIN_SECONDS + LEAST_SECONDS:
                raise UserError(
                    f"only {quota.left:.1f} GPU hours are left{_until(quota.renewed)}: wait, or train here without ON"
                )
        outer, part = part_of(store.workspace) or (store.workspace, None)
        job = SessionJob(
            token=pushed.token,
            commands=pushed.commands,
            seconds=seconds - MARGIN_SECONDS,
            dataset_sha256=load_dataset(store.workspace).sha256,
            part=part,
        )
        typed = "\n    ".join(" ".join(["digit-recognizer", *command]) for command in pushed.commands)
        script = make_script(typed, job, own_pipelines([request.pipeline for request in self.requests], outer))
        notebooks.push(pushed.notebook, script, int(seconds))
        on_event(LogLine(f"Kaggle: pushed {pushed.notebook.page}; Ctrl-C only stops watching, {SAME_COMMAND}"))

    def _fetch(self, pushed: Pushed, store: PushedStore, on_event: OnEvent) -> Pushed:
        """Wait until the notebook has ended, and download its output to the store."""
        while True:
            watch = Watch(pushed, store, on_event)
            try:
                status = watch.until_end()
            except KeyboardInterrupt:
                on_event(Warned(f"{pushed.notebook} continues at {pushed.notebook.page}: {SAME_COMMAND}"))
                raise
            folder = store.output(pushed)
            result = watch.persistently(functools.partial(download, pushed, folder))
            if result and result.token != pushed.token:
                store.remove(pushed)
                raise UserError(
                    f"the latest version of {pushed.notebook} was not pushed from this folder, perhaps from another machine: "
                    "run the same command to push it again, or train under another name (RUN=...)"
                )
            if result and result.outcome == "no data" and pushed.pushes == 1:
                on_event(LogLine("Kaggle: the first version began without the competition's data; pushing it once more"))
                self._send(pushed, store, on_event)
                pushed = store.save(replace(watch.pushed, pushes=2, events=0))
                continue
            if result and result.outcome in ("done", "stopped", "failed"):
                unpack(folder, result)
                if result.outcome != "failed" or any(folder.glob("runs/*/experiment.json")):
                    problem = result.message or "its time ended"
                    return store.save(replace(watch.pushed, fetched=True, problem=problem))
            store.remove(pushed)
            raise failure(pushed, status, result, watch, on_event)


def _install(fetched: RunFolder, job: Job, members: Sequence[Member], pushed: Pushed, on_event: OnEvent) -> RunRecord:
    """Check a fetched run and move its members into the run's folder; an unfinished member includes its checkpoint.

    Raises:
        UserError: the output has not all members, is damaged, or was trained with other settings or data.
    """
    record = _fetched_record(PushedStore(job.workspace), pushed, job.run.name)
    changed = lifecycle.changes(read_run_record(job.run), record)
    if changed or record.pipeline_sha256 != job.pipeline.sha256:
        what = "; ".join(changed) or "another pipeline file"
        raise UserError(f"the output of {pushed.notebook} was trained differently ({what}): run the same command again")
    if fetched.log.exists():
        with files.open_to_append(job.run.log) as log:
            log.write(fetched.log.read_bytes())
    missing = []
    for member in members:
        if _is_intact(fetched, member, pushed):
            _move(fetched.member(member).path, job.run.member(member).path)
            on_event(MemberFinished(member))
        else:
            missing.append(member)
            if fetched.member(member).checkpoint.exists():
                _move(fetched.member(member).path, job.run.member(member).path)
    if missing:
        raise UserError(
            f"{pushed.notebook} trained {len(members) - len(missing)} of {len(members)} models ({pushed.problem}): the same "
            "command trains the others in another notebook, without ON it resumes them here from their checkpoints"
        )
    return replace(record, git_commit=pushed.git_commit)


def _fetched_record(store: PushedStore, pushed: Pushed, run: str) -> RunRecord:
    try:
        return read_run_record(RunFolder(store.output(pushed) / "runs" / run))
    except UserError:
        raise UserError(f"the output of {pushed.notebook} has no run '{run}': {pushed.notebook.page}") from None


def _is_intact(fetched: RunFolder, member: Member, pushed: Pushed) -> bool:
    try:
        return results.is_finished(fetched, member)
    except DamagedError as error:
        raise UserError(f"the output of {pushed.notebook} is damaged ({error.problem}): run the same command again") from None


def _move(source: Path, target: Path) -> None:
    """Move a member's folder atomically to its place, which may be on another disk."""
    temporary = target.with_name(f".{target.name}.incoming")
    shutil.rmtree(temporary, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, temporary)
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)


def _identity(pipeline: Pipeline, dataset: Dataset, minutes: float | None = None) -> str:
    """Return a hash of the settings and data of a training, without the seeds."""
    settings = experiment.settings_json(pipeline.experiment)
    del settings["seeds"]
    asked = [settings, pipeline.sha256, dataset.sha256, minutes]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


def _check_identity(pushed: Pushed, run: str, identity: str) -> None:
    """Refuse to take the run from a notebook that was asked for something else.

    Raises:
        UserError: it was.
    """
    if pushed.runs[run] != identity:
        raise UserError(
            f"{pushed.notebook} has been training '{run}' with other settings for {duration(pushed.age)}: wait for it "
            f"with the command that started it, stop it at {pushed.notebook.page}, or train under another name (RUN=...)"
        )


def _slug(name: str) -> str:
    """Return a notebook's slug for runs of this name: Kaggle allows at most 50 lower-case letters, digits and dashes."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower().replace("_", "-")).strip("-")
    if plain != name.replace("_", "-") or len(plain) > 30:
        plain = f"{plain[:22].strip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:6]}".strip("-")
    return f"digit-recognizer-{plain}"


def _until(renewed: datetime.datetime | None) -> str:
    return f" until {renewed:%a %d %b %H:%M} UTC" if renewed else ""
