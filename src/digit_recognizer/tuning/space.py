"""The search space: what a pipeline's `suggest(trial)` may vary, and the pipeline's own settings as a point in it.

Trial parameters are named like the settings they stand for (`learning_rate`, `augmentation.rotation`,
`network_options.dropout`), so that the pipeline's own values can be read back from its experiment.
"""

import ast
import hashlib
import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from digit_recognizer.data.dataset import Dataset
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Experiment, Pipeline, override, settings

# Trials differing in these could not be compared, or would take another share of the machine.
FIXED = ("folds", "fold_seed", "seeds", "members", "threads", "teacher")


def own_parameters(pipeline: Pipeline) -> dict[str, Any]:
    """Return the trial parameters that stand for the pipeline as it is, by running `suggest` on the pipeline's own values.

    Raises:
        UserError: there is no `suggest`, the pipeline has a teacher, a parameter is no setting, the pipeline's value is outside
            its range, or `suggest` changes the pipeline when it is given its own values.
    """
    from optuna.trial import FixedTrial

    if pipeline.suggest is None:
        raise UserError(
            f"{pipeline.file} can't be tuned: it has no suggest(trial), a function that returns changes such as "
            '{"learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)}'
        )
    if pipeline.experiment.teacher:
        raise UserError(
            f"{pipeline.file} can't be tuned with a teacher, which knows the rows of the fresh folds that the best trials "
            "are trained on again: search without (SET=teacher=)"
        )
    trial = FixedTrial(_OwnValues(pipeline.experiment))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # Optuna's words for a value outside its range
            changes = pipeline.suggest(trial)
        changed = override(pipeline.experiment, changes)
    except UserError as error:
        raise UserError(f"{pipeline.file}: suggest(trial): {error}") from error
    except Exception as error:
        raise UserError(f"{pipeline.file}: suggest(trial), given the pipeline's own values: {_said(error)}") from error
    if fixed := sorted({*changes, *trial.params} & {*FIXED}):
        raise UserError(f"{pipeline.file}: suggest(trial) can't vary {', '.join(fixed)}: all trials must share them")
    before, after = _OwnValues(pipeline.experiment), _OwnValues(changed)
    if moved := [f"{name}: {before[name]!r} -> {after[name]!r}" for name in changes if after[name] != before[name]]:
        raise UserError(
            f"{pipeline.file}: suggest(trial) given the pipeline's own values must give the pipeline back, but it changes "
            + ", ".join(moved)
        )
    return dict(trial.params)


def identity(pipeline: Pipeline, dataset: Dataset) -> dict[str, Any]:
    """Return what all trials of a study must share, as JSON values: data, settings, and code."""
    code = _without_words(pipeline.file) + inspect.getsource(pipeline.experiment.network)
    return {
        "data": dataset.sha256,
        "settings": settings(pipeline.experiment),
        "code of the pipeline and its network": hashlib.sha256(code.encode()).hexdigest()[:12],
    }


def _without_words(file: Path) -> str:
    """Return a module's code without its docstring and comments."""
    module = ast.parse(file.read_text(encoding="utf-8"))
    if ast.get_docstring(module):
        del module.body[0]
    return ast.unparse(module)


class _OwnValues(dict):
    """An experiment as Optuna's FixedTrial asks for it: a value for each parameter's name."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__()
        self.experiment = experiment

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, name: str) -> Any:
        part: Any = self.experiment
        for key in name.split("."):
            if isinstance(part, Mapping):
                part = part[key] if key in part else _default_option(self.experiment, key)
            elif hasattr(part, key):
                part = getattr(part, key)
            else:
                raise UserError(f"'{name}' is no setting: name trial parameters like the settings they vary")
        return part


def _default_option(experiment: Experiment, name: str) -> Any:
    option = inspect.signature(experiment.network).parameters.get(name)
    if option is None or option.default is inspect.Parameter.empty:
        raise UserError(f"'network_options.{name}' is neither set nor has a default in {experiment.network.__qualname__}")
    return option.default


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]
