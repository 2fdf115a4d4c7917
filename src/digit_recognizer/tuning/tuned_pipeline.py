"""The winner as a pipeline of its own: `pipelines/<name>_tuned.py`, small and readable."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from digit_recognizer import files
from digit_recognizer.experiment import Pipeline, merged
from digit_recognizer.tuning.summary import StudySummary
from digit_recognizer.workspace import Workspace

MARK = "Written by `make tune`"


def write(summary: StudySummary, pipeline: Pipeline, workspace: Workspace) -> Path | None:
    """Write the winner of `summary` and return the file; None where a file of that name was not written by a study."""
    path = workspace.root / "pipelines" / f"{pipeline.name}_tuned.py"
    if path.exists() and MARK not in path.read_text(encoding="utf-8"):
        return None
    files.write_text(path, text(summary, _reference(pipeline, path), pipeline.changes))
    return path


def text(summary: StudySummary, reference: str, changes: Mapping[str, Any]) -> str:
    """Return the file's content; `reference` is the Python expression that `load` takes."""
    settings = merged(changes, summary.winning_trial.changes) if summary.winner else dict(changes)
    lines = "".join(f"        {name!r}: {value!r},\n" for name, value in settings.items())
    experiment = (
        f"override(\n    load({reference}).experiment,\n    {{\n{lines}    }},\n)"
        if settings
        else f"load({reference}).experiment"
    )
    imports = "load, override" if settings else "load"
    path_import = "from pathlib import Path\n\n" if "Path(" in reference else ""
    return (
        f'"""{_headline(summary)}\n\n    make train PIPELINE={summary.pipeline}_tuned\n\n{_facts(summary)}\n"""\n\n'
        f"{path_import}from digit_recognizer.experiment import {imports}\n\nEXPERIMENT = {experiment}\n"
    )


def _headline(summary: StudySummary) -> str:
    if summary.winner:
        return f"{summary.pipeline} with the settings of trial {summary.winner}, which beat it beyond chance."
    return f"{summary.pipeline} as it is: of {summary.trials} trials none beat it beyond chance."


def _facts(summary: StudySummary) -> str:
    rows = [
        f"{MARK} from study {summary.name}: {summary.trials} trials, {len(summary.complete)} complete, "
        f"{summary.pruned} pruned, {len(summary.failed)} failed.",
    ]
    if summary.confirmed:
        rows.append(
            "Out-of-fold log loss in the search, then on fresh seeds and folds, with the accuracy there (95 % interval):"
        )
    searched = {figures.number: figures for figures in summary.complete}
    for one in summary.confirmed:
        who = f"trial {one.number}" if one.number else "start"
        compared = "" if one.number == 0 else f", p = {one.p_value:.2g} against the start"
        low, high = one.accuracy[1:]
        rows.append(
            f"    {who:<10} {searched[one.number].log_loss:.5f}  {one.log_loss:.5f}  "
            f"{one.accuracy.value:.5f} ({low:.5f} to {high:.5f}){compared}"
        )
    return "\n".join(rows)


def _reference(pipeline: Pipeline, path: Path) -> str:
    """Name the pipeline as `load` finds it from wherever the tuned one is loaded."""
    if pipeline.file == Workspace.default().root / "pipelines" / pipeline.file.name:
        return f'"{pipeline.name}"'
    if pipeline.file.parent == path.parent:
        return f'str(Path(__file__).with_name("{pipeline.file.name}"))'
    return f'"{pipeline.file}"'
