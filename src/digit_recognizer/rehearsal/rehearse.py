"""One part of a rehearsal: train, ensemble and score in its workspace, with the functions of a real submission."""

import contextlib
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from digit_recognizer.ensemble import blending
from digit_recognizer.errors import UserError
from digit_recognizer.rehearsal.parts import make_part
from digit_recognizer.rehearsal.results import PartResult, Rehearsed, read_results, record_result, together
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.records import read_run_record
from digit_recognizer.submission.local_scoring import score_locally
from digit_recognizer.training import cross_validation, time_budget
from digit_recognizer.training.cross_validation import Request
from digit_recognizer.training.events import OnEvent, ignore
from digit_recognizer.workspace import Workspace, git_commit


def rehearse_part(
    requests: Sequence[Request],
    name: str,
    part: int,
    workspace: Workspace,
    *,
    minutes: float | None = None,
    on_event: OnEvent = ignore,
) -> PartResult:
    """Train or resume the runs on five parts, blend them, score the blend on the sixth and record the result.

    Args:
        requests: the runs to train, one or several.
        name: of the blend.
        minutes: choose epochs and seeds so that training takes this time; None: don't change them.

    Raises:
        UserError: no data, too few rows, another dataset was rehearsed before, a run of other settings, or a failed training.
    """
    inner = make_part(workspace, part)
    if minutes:
        requests = time_budget.fit_to_minutes(requests, minutes, inner).requests
    for request in requests:
        cross_validation.train(request, inner, on_event)
    runs = [request.run for request in requests]
    blend = blending.compute_blend(inner, runs, name)
    blending.write_blend(blend, inner)
    score = score_locally(blend.csv, inner)
    result = PartResult(
        pipeline=name,
        settings=settings_hash(inner, runs),
        part=part,
        right=score.right,
        n=score.n,
        oof=blend.accuracy.value,
        seconds=round(sum(run.metrics.seconds for run in blend.runs), 1),
        commit=git_commit(),
    )
    record_result(workspace, result)
    return result


def settings_hash(workspace: Workspace, runs: Sequence[str]) -> str:
    """Return a hash of the settings and members of runs, which is the same for the real data and in a rehearsal."""
    described = [_settings(workspace, run) for run in sorted(runs)]
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:12]


def _settings(workspace: Workspace, run: str) -> dict[str, Any]:
    folder = RunFolder.of(workspace, run)
    record, members = read_run_record(folder), folder.finished()
    return {"settings": record.settings, "precision": record.precision, "members": [str(member) for member in members]}


def expectation(workspace: Workspace, runs: Sequence[str]) -> Rehearsed | None:
    """Return the rehearsed score of a blend of these runs with the same settings and members, or None if not rehearsed.

    Raises:
        UserError: a run's record or the table of results is damaged.
    """
    if not all(RunFolder.of(workspace, run).record.exists() for run in runs):
        return None
    wanted = settings_hash(workspace, runs)
    rows = [row for row in read_results(workspace) if row.settings == wanted]
    return together(rows) if rows else None


def rehearsed_accuracies(workspace: Workspace, runs: Sequence[str]) -> dict[str, float]:
    """Return the rehearsed accuracy of each of the runs that was rehearsed; unreadable files count as not rehearsed."""
    found = {}
    for run in runs:
        with contextlib.suppress(UserError):  # `status` shows the error of a run
            if expected := expectation(workspace, [run]):
                found[run] = expected.accuracy.value
    return found
