"""Which pipelines and runs a command is about: PIPELINE="a b" and RUN=name -> pipelines, run names and the blend's name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digit_recognizer import experiment
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Pipeline
from digit_recognizer.workspace import Workspace

DEFAULT = "fast"


@dataclass(frozen=True)
class Selection:
    """Names of runs, and what a blend of them is called."""

    runs: list[str]
    name: str


def words(text: str) -> list[str]:
    """Return the names or paths in `text`: all of it where that is a file or folder, else its parts between spaces."""
    return [text] if Path(text).expanduser().exists() else text.split()


def load_pipelines(text: str | None, workspace: Workspace, changes: Mapping[str, Any]) -> list[Pipeline]:
    """Load the pipelines that are to be trained, the members of a pipeline in its place, each once.

    Raises:
        UserError: there is no such pipeline, or one can't be loaded.
    """
    found: dict[str, Pipeline] = {}
    for reference in words(text or DEFAULT):
        for pipeline in _with_members(reference, workspace, changes, ()):
            other = found.setdefault(pipeline.name, pipeline)
            if other.file != pipeline.file:
                raise UserError(f"{pipeline.file} and {other.file} have the same name: rename one, or train it with RUN=...")
    return list(found.values())


def fold_warning(pipelines: Sequence[Pipeline]) -> str:
    """Return a line that names the pipelines whose runs can't be blended with the first one's; empty where all can."""
    first, *others = pipelines
    ours = first.experiment.folds, first.experiment.fold_seed
    odd = [other.name for other in others if (other.experiment.folds, other.experiment.fold_seed) != ours]
    return f"{', '.join(odd)}: other folds than {first.name}, so they can't be blended: SET=folds=... for all" if odd else ""


def select_runs(pipelines: str | None, run: str | None, workspace: Workspace) -> Selection:
    """Return the runs that RUN names, else those of the pipelines; a single pipeline gives a blend of its members its name.

    Raises:
        UserError: there is no such pipeline, or a name is none.
    """
    if run:
        names = [check_run_name(name) for name in run.split()]
        return Selection(names, "+".join(names))
    names = [pipeline.name for pipeline in load_pipelines(pipelines, workspace, {})]
    return Selection(names, "+".join(Path(reference).stem for reference in words(pipelines or DEFAULT)))


def only(runs: list[str]) -> str:
    """Return the one run that is meant.

    Raises:
        UserError: several are.
    """
    if len(runs) > 1:
        raise UserError(f"this takes one run, not {len(runs)} ({', '.join(runs)}): name it with RUN=...")
    return runs[0]


def check_run_name(name: str) -> str:
    """Return `name` if it can be a folder's name.

    Raises:
        UserError: it can't.
    """
    if "/" in name or name.startswith(".") or not name.isprintable() or len(name.encode()) > 100:
        raise UserError(f"RUN={name}: a run's name is a plain name of up to 100 bytes, without '/' and not beginning with '.'")
    return name


def _with_members(reference: str, workspace: Workspace, changes: Mapping[str, Any], within: tuple[str, ...]) -> list[Pipeline]:
    pipeline = experiment.load(reference, workspace)
    if pipeline.name in within:
        raise UserError(f"{pipeline.file}: members: {' -> '.join((*within, pipeline.name))} goes round in a circle")
    if not pipeline.experiment.members:
        return [experiment.load(reference, workspace, changes)]
    inner = (*within, pipeline.name)
    return [found for member in pipeline.experiment.members for found in _with_members(member, workspace, changes, inner)]
