"""Pipelines: Python files that define an experiment, loaded by name or path."""

import ast
import contextlib
import dataclasses
import difflib
import hashlib
import importlib.util
import inspect
import re
import sys
import traceback
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from digit_recognizer import backend
from digit_recognizer.errors import UserError, first_line
from digit_recognizer.experiment.changes import merged, override
from digit_recognizer.experiment.settings import Experiment
from digit_recognizer.workspace import Workspace, user_path


@dataclass(frozen=True)
class Pipeline:
    """A pipeline as loaded from its file, with the file's `suggest(trial)` and `CURVE` if it defines them."""

    name: str
    file: Path
    sha256: str  # of the file
    description: str  # the file's docstring
    experiment: Experiment
    changes: Mapping[str, Any] = field(default_factory=dict)  # the settings of the file that `experiment` overrides
    suggest: Callable[[Any], dict[str, Any]] | None = None
    # Length of training as a multiple of the experiment's own -> (rehearsed accuracy of the submission, number of images).
    curve: Mapping[float, tuple[float, int]] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.description.strip().partition("\n")[0]

    def changed(self, changes: Mapping[str, Any]) -> "Pipeline":
        """Return the pipeline with more settings changed.

        Raises:
            UserError: there is no setting of that name, or the value is invalid.
        """
        experiment, together = override(self.experiment, changes), merged(self.changes, changes)
        return dataclasses.replace(self, experiment=experiment, changes=together)


def available(workspace: Workspace) -> dict[str, Path]:
    """Return the file of each pipeline by its name; the workspace's own pipelines come first."""
    found: dict[str, Path] = {}
    for folder in workspace.pipeline_folders:
        for file in sorted(folder.glob("*.py")):
            if not file.stem.startswith("_"):
                found.setdefault(file.stem, file)
    return found


def load(reference: str, workspace: Workspace | None = None, changes: Mapping[str, Any] | None = None) -> Pipeline:
    """Load a pipeline by its name or the path of its Python file, with some settings changed.

    Raises:
        UserError: there is no pipeline of that name (the message lists all names), the file is not a pipeline, or a setting
            is invalid.
    """
    workspace = workspace or Workspace.default()
    file = _find(reference, workspace)
    module = _import(file)
    experiment = getattr(module, "EXPERIMENT", None)
    if not isinstance(experiment, Experiment):
        raise UserError(f"{file} is not a pipeline: it must define EXPERIMENT = Experiment(...), as pipelines/smoke.py does")
    return Pipeline(
        name=file.stem,
        file=file,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        description=inspect.cleandoc(module.__doc__ or "(no description)"),
        experiment=override(experiment, changes or {}),
        changes=dict(changes or {}),
        suggest=getattr(module, "suggest", None),
        curve=getattr(module, "CURVE", {}),
    )


def summary_of(file: Path) -> str:
    """Return the first line of a pipeline's docstring without running the file."""
    try:
        return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]
    except (OSError, SyntaxError, ValueError) as error:
        return f"(can't be read: {type(error).__name__})"


def _find(reference: str, workspace: Workspace) -> Path:
    if reference.endswith(".py") or "/" in reference:
        file = user_path(reference).resolve()
        if not file.is_file():
            raise UserError(f"PIPELINE={reference}: there is no such file")
        return file
    files = available(workspace)
    if reference in files:
        return files[reference]
    close = difflib.get_close_matches(reference, files, n=1)
    hint = f"; did you mean {close[0]}?" if close else "."
    raise UserError(f"there is no pipeline '{reference}'{hint} The pipelines are {', '.join(files)}")


def _import(file: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(f"pipelines.{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UserError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        _import_keras_quietly(file)
        spec.loader.exec_module(module)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        line = getattr(error, "lineno", None) or _line_in(error, file)
        where = f", line {line}" if line else ""
        raise UserError(f"{file}{where}: the pipeline can't be loaded: {type(error).__name__}: {first_line(error)}") from error
    return module


def _import_keras_quietly(file: Path) -> None:
    """Import Keras without its backend's messages, if the pipeline file imports Keras or TensorFlow."""
    if re.search(r"^(import|from) (keras|tensorflow)\b", file.read_text(encoding="utf-8"), re.M):
        with contextlib.suppress(ImportError), backend.without_messages():
            import keras  # noqa: F401


def _line_in(error: BaseException, file: Path) -> int | None:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return lines[-1] if lines else None
