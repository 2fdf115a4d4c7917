"""runs/index.html, which commands update when they change runs, studies or submissions."""

import contextlib
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from digit_recognizer.errors import UserError
from digit_recognizer.workspace import Workspace

if TYPE_CHECKING:
    from digit_recognizer.report import IndexRow


def update_index(workspace: Workspace) -> Path | None:
    """Write runs/index.html and return its path, or None if it can't be written.

    Runs and files that can't be read are omitted: the commands that need them report the error.
    """
    from digit_recognizer.rehearsal.rehearse import rehearsed_accuracies
    from digit_recognizer.report import write_index
    from digit_recognizer.runs.status import run_statuses
    from digit_recognizer.submission.ledger import best_scores_by_run

    runs = run_statuses(workspace, best_scores_by_run(workspace))
    rehearsed = rehearsed_accuracies(workspace, [run.name for run in runs])
    others = []
    for rows in (_rehearsals, _studies, _submissions):
        with contextlib.suppress(UserError):
            others.extend(rows(workspace))
    try:
        return write_index(workspace, runs, rehearsed, others)
    except OSError:  # not an error of the command, whose results are written
        return None


def _rehearsals(workspace: Workspace) -> Iterator["IndexRow"]:
    from digit_recognizer.rehearsal.parts import PARTS
    from digit_recognizer.rehearsal.results import read_results, results_path, together
    from digit_recognizer.report import IndexRow

    by_submission = {}
    for result in read_results(workspace):
        by_submission.setdefault((result.pipeline, result.settings), []).append(result)
    for (name, _), results in by_submission.items():
        yield IndexRow(
            kind="rehearsal",
            name=name,
            oof=sum(result.oof for result in results) / len(results),
            rehearsed=together(results).accuracy.value,
            seconds=sum(result.seconds for result in results),
            changed=results_path(workspace).stat().st_mtime,
            note=f"{len(results)} of {PARTS} parts",
        )


def _studies(workspace: Workspace) -> Iterator["IndexRow"]:
    from digit_recognizer.report import IndexRow
    from digit_recognizer.tuning.overview import study_statuses

    for study in study_statuses(workspace):
        yield IndexRow(
            kind="study",
            name=study.name,
            page=workspace.studies / f"{study.name}.html",
            oof=study.accuracy.value if study.accuracy else None,
            oof_interval=study.accuracy,
            changed=time.time() - study.age,
            note=study.problem or f"best of {study.complete} complete trials, {study.trials} in all",
        )


def _submissions(workspace: Workspace) -> Iterator["IndexRow"]:
    from digit_recognizer.report import IndexRow
    from digit_recognizer.submission.ledger import read_ledger

    for entry in read_ledger(workspace):
        changed = None
        with contextlib.suppress(ValueError):  # the user may have edited the ledger
            changed = datetime.fromisoformat(entry.time).timestamp()
        yield IndexRow(
            kind="submission",
            name=entry.file,
            page=workspace.submissions / f"{Path(entry.file).stem}.html",
            oof=entry.accuracy,
            rehearsed=entry.expected,
            score=entry.score,
            changed=changed,
            note=", ".join(filter(None, [entry.status, entry.message])),
        )
