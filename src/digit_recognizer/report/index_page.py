"""The page runs/index.html, which lists all runs, rehearsals, studies and submissions of a workspace."""

import os
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from digit_recognizer import figures
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import flat
from digit_recognizer.formatting import setting
from digit_recognizer.metrics import Estimate
from digit_recognizer.report.rendering import write_page
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.records import read_run_record
from digit_recognizer.runs.status import RunStatus
from digit_recognizer.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class IndexRow:
    """One row of the table; unknown values are None."""

    kind: str  # run, rehearsal, study or submission
    name: str
    page: Path | None = None  # the report to link to
    oof: float | None = None  # accuracy, out of fold
    oof_interval: Estimate | None = None
    rehearsed: float | None = None  # accuracy on mock test sets
    score: float | None = None  # Kaggle's
    seconds: float | None = None  # of training
    models: int | None = None
    device: str = ""
    changed: float | None = None  # Unix time
    settings: Mapping[str, Any] = field(default_factory=dict)  # by dotted name
    note: str = ""

    @property
    def when(self) -> str:
        """The time of the last change in ISO 8601, UTC."""
        return "" if self.changed is None else datetime.fromtimestamp(self.changed, UTC).isoformat(timespec="seconds")


def write_index(
    workspace: Workspace, statuses: Sequence[RunStatus], rehearsed: Mapping[str, float], others: Sequence[IndexRow]
) -> Path:
    """Write runs/index.html and return its path.

    Args:
        statuses: of all runs.
        rehearsed: the rehearsed accuracy by run name.
        others: rows other than those of the runs.
    """
    path = workspace.runs / "index.html"
    runs = [_run_row(status, workspace, rehearsed.get(status.name)) for status in statuses]
    measured = {row.name: (row.seconds / 60, row.oof_interval) for row in runs if row.seconds and row.oof_interval}
    return write_page(
        path,
        "index.html",
        workspace=workspace.root.resolve().name,
        rows=[(row, _link(row.page, path)) for row in (*runs, *others)],
        runs={row.name: {name: setting(value) for name, value in row.settings.items()} for row in runs if row.settings},
        chart_svg=figures.estimates_svg(measured, "training time (minutes)", "out-of-fold accuracy") if measured else "",
    )


def _run_row(status: RunStatus, workspace: Workspace, rehearsed: float | None) -> IndexRow:
    folder = RunFolder.of(workspace, status.name)
    device, settings = "", {}
    try:
        record = read_run_record(folder)
        device, settings = record.device, {"pipeline": record.pipeline, "data": record.dataset.source, **flat(record.settings)}
    except UserError:
        pass  # `status.problem` is shown instead
    missing = f"{status.folds_done} of {status.folds} folds" if status.folds_done < status.folds else ""
    return IndexRow(
        kind="run",
        name=status.name,
        page=folder.report,
        oof=status.accuracy.value if status.accuracy else None,
        oof_interval=status.accuracy,
        rehearsed=rehearsed,
        score=status.score,
        seconds=status.seconds or None,
        models=status.members or None,
        device=device,
        changed=time.time() - status.age,
        settings=settings,
        note=status.problem or missing,
    )


def _link(page: Path | None, index: Path) -> str:
    """Return the relative URL of a page that exists."""
    return urllib.parse.quote(os.path.relpath(page, index.parent)) if page and page.exists() else ""
