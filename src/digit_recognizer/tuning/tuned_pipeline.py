"""The winner of a study as a new pipeline, `pipelines/<name>_tuned.py`."""

import json
from pathlib import Path

from digit_recognizer import files
from digit_recognizer.experiment import Pipeline
from digit_recognizer.tuning.summary import StudySummary
from digit_recognizer.workspace import PIPELINES, Workspace

MARK = "Written by `make tune`"


def write(summary: StudySummary, pipeline: Pipeline, workspace: Workspace) -> Path | None:
    """Write the winner and return the file; None without a significant gain, or if the existing file is not a study's."""
    path = workspace.root / "pipelines" / f"{pipeline.name}_tuned.py"
    if not summary.gain or (path.exists() and MARK not in path.read_text(encoding="utf-8")):
        return None
    changes = pipeline.changed(summary.gain.changes).changes
    lines = "".join(f"        {name!r}: {value!r},\n" for name, value in changes.items())
    reference = _reference(pipeline, path)
    path_import = "from pathlib import Path\n\n" if "Path(" in reference else ""
    files.write_text(
        path,
        f'"""{pipeline.name} with the settings of trial {summary.winner}, which are significantly better.\n\n'
        f"    make train PIPELINE={path.stem}\n\n{_facts(summary)}\n"
        f'"""\n\n{path_import}from digit_recognizer.experiment import load, override\n\n'
        f"EXPERIMENT = override(\n    load({reference}).experiment,\n    {{\n{lines}    }},\n)\n",
    )
    return path


def _facts(summary: StudySummary) -> str:
    searched = {one.number: one for one in summary.complete}
    rows = [
        f"{MARK} from study {summary.name}: {summary.trials} trials, {len(summary.complete)} complete, "
        f"{summary.pruned} pruned, {len(summary.failed)} failed.",
        "Out-of-fold log loss in the search, then on new seeds and folds, and the accuracy there (95 % interval):",
    ]
    for one in summary.confirmed:
        name = f"trial {one.number}" if one.p_value is not None else "original"
        p_value = f", p = {one.p_value:.2g}" if one.p_value is not None else ""
        low, high = one.accuracy[1:]
        rows.append(
            f"    {name:<10} {searched[one.number].log_loss:.5f}  {one.log_loss:.5f}  "
            f"{one.accuracy.value:.5f} ({low:.5f} to {high:.5f}){p_value}"
        )
    return "\n".join(rows)


def _reference(pipeline: Pipeline, path: Path) -> str:
    """Return the Python expression for `load` that finds the pipeline from any current folder."""
    if pipeline.file.parent == PIPELINES:
        return json.dumps(pipeline.name)
    if pipeline.file.parent == path.parent:
        return f"str(Path(__file__).with_name({json.dumps(pipeline.file.name)}))"
    return json.dumps(str(pipeline.file))
