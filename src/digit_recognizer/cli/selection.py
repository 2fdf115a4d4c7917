"""Resolving PIPELINE="a b" and RUN="a b": the pipelines to train, or the runs to read and the name of their blend."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digit_recognizer import experiment
from digit_recognizer.cli.console import make_console
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Pipeline
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.workspace import Workspace, user_path

DEFAULT, DEMO = "fast", "demo"


@dataclass(frozen=True)
class Selection:
    """Names of runs, and the name of their blend."""

    runs: list[str]
    name: str


def words(text: str) -> list[str]:
    """Return the names or paths in `text`, separated by spaces; a file or folder whose path has spaces is one of them."""
    return [text] if os.path.exists(user_path(text)) else text.split()  # noqa: PTH110 - Path.exists raises an error for a long name


def references(pipeline: str | None, workspace: Workspace) -> list[str]:
    """Return the names or paths in PIPELINE; the default is `fast`, and in the demo's workspace the demo's pipeline."""
    return words(pipeline) if pipeline else [DEMO if workspace.root.name == DEMO else DEFAULT]


def load_pipelines(text: str | None, workspace: Workspace, changes: Mapping[str, Any]) -> list[Pipeline]:
    """Load the pipelines to train, each once; a pipeline with members is replaced by its members.

    Raises:
        UserError: there is no pipeline of that name, or one can't be loaded.
    """
    found: dict[str, Pipeline] = {}
    for reference in references(text, workspace):
        for pipeline in _with_members(reference, workspace, changes, ()):
            other = found.setdefault(pipeline.name, pipeline)
            if other.file != pipeline.file:
                raise UserError(f"{pipeline.file} and {other.file} have the same name: rename one, or train it with RUN=...")
    return list(found.values())


def fold_warning(pipelines: Sequence[Pipeline]) -> str:
    """Return a warning about pipelines whose runs can't be blended with the first one's, or an empty string."""
    first, *others = pipelines
    folds = first.experiment.folds, first.experiment.fold_seed
    odd = [other.name for other in others if (other.experiment.folds, other.experiment.fold_seed) != folds]
    if not odd:
        return ""
    return f"{', '.join(odd)} can't be blended with {first.name}: the folds differ; SET=folds=... sets those of all"


def select_runs(pipeline: str | None, run: str | None, workspace: Workspace) -> Selection:
    """Return the runs that RUN names, else those of the pipelines; a pipeline of members gives their blend its name.

    If PIPELINE is the name of a run but of no pipeline, that run is used and a line is printed.

    Raises:
        UserError: no pipeline or run has this name, it can't be a name, or RUN is not a run of PIPELINE.
    """
    if run:
        names = [check_name(name) for name in run.split()]
        if pipeline:
            _check_pipeline_of(names, pipeline, workspace)
        return Selection(names, "+".join(names))
    names = []
    for reference in references(pipeline, workspace):
        if _is_only_a_run(reference, workspace):
            make_console().print(f"PIPELINE={reference}: no pipeline has this name; using the run {reference}")
            names.append(reference)
        else:
            names += [loaded.name for loaded in load_pipelines(reference, workspace, {})]
    return Selection(list(dict.fromkeys(names)), blend_name(pipeline, workspace))


def blend_name(pipeline: str | None, workspace: Workspace) -> str:
    """Return the name of a blend of these pipelines' runs."""
    return "+".join(Path(reference).stem for reference in references(pipeline, workspace))


def options_of(pipeline: str | None, run: str | None) -> dict[str, str | None]:
    """Return the options that select the same runs in another command."""
    return {"run": run} if run else {"pipeline": pipeline}


def select_run(pipeline: str | None, run: str | None, workspace: Workspace) -> RunFolder:
    """Return the folder of the one run that is named; see `select_runs`.

    Raises:
        UserError: several runs are named, or the name is invalid.
    """
    return RunFolder.of(workspace, only(select_runs(pipeline, run, workspace).runs))


def only(runs: list[str]) -> str:
    """Return the only element of `runs`.

    Raises:
        UserError: there are several.
    """
    if len(runs) > 1:
        raise UserError(f"this takes one run, not {len(runs)} ({', '.join(runs)}): name it with RUN=...")
    return runs[0]


def check_name(name: str) -> str:
    """Return the name of a run or study after checking that it can be a folder's name.

    Raises:
        UserError: it can't be a folder's name.
    """
    if "/" in name or name.startswith(".") or not name.isprintable() or len(name.encode()) > 100:
        raise UserError(f"RUN={name}: a run's name has at most 100 bytes, all printable, no '/' and no '.' at its beginning")
    return name


def check_new_name(name: str) -> str:
    """Return the name of a new run or study after checking it.

    Raises:
        UserError: it can't be a folder's name, or contains spaces, which separate names.
    """
    if name != "".join(name.split()):
        raise UserError(f"RUN={name}: a run's name has no spaces: choose another, such as RUN={'_'.join(name.split())}")
    return check_name(name)


def _check_pipeline_of(names: Sequence[str], pipeline: str, workspace: Workspace) -> None:
    from digit_recognizer.runs.records import read_run_record

    pipelines = [loaded.name for loaded in load_pipelines(pipeline, workspace, {})]
    for folder in (RunFolder.of(workspace, name) for name in names):
        if folder.record.exists() and (trained := read_run_record(folder).pipeline) not in pipelines:
            raise UserError(f"RUN={folder.name} was trained with PIPELINE={trained}, not {pipeline}: leave PIPELINE out")


def _is_only_a_run(reference: str, workspace: Workspace) -> bool:
    is_file = reference.endswith(".py") or "/" in reference
    return not is_file and reference not in experiment.available(workspace) and workspace.run(reference).is_dir()


def _with_members(reference: str, workspace: Workspace, changes: Mapping[str, Any], within: tuple[str, ...]) -> list[Pipeline]:
    pipeline = experiment.load(reference, workspace)
    if pipeline.name in within:
        raise UserError(f"{pipeline.file}: members: {' -> '.join((*within, pipeline.name))} is a circle")
    if not pipeline.experiment.members:
        return [experiment.load(reference, workspace, changes)]
    inner = (*within, pipeline.name)
    return [found for member in pipeline.experiment.members for found in _with_members(member, workspace, changes, inner)]
