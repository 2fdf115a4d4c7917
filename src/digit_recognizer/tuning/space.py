"""The search space of a study, and the pipeline's own settings as a point in it.

Trial parameters are named after their settings (`learning_rate`, `augmentation.rotation`,
`network_options.dropout`), so that the pipeline's own values can be read from its experiment.
"""

import ast
import hashlib
import inspect
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.trial import BaseTrial, FixedTrial

from digit_recognizer.data.dataset import Dataset
from digit_recognizer.errors import UserError, first_line
from digit_recognizer.experiment import Experiment, Pipeline, override, settings_json

# If these varied, trials could not be compared or would use the machine differently.
FIXED = ("folds", "fold_seed", "seeds", "members", "threads")

# Upper limits of augmentation in the default space; a larger value of the pipeline replaces the limit.
ALWAYS_SEARCHED = {"rotation": 20.0, "zoom": 0.2, "shift": 0.15}
SEARCHED_WHERE_USED = {"shear": 10.0, "elastic": 1.5}

Suggest = Callable[[BaseTrial], dict[str, Any]]


@dataclass(frozen=True)
class SearchSpace:
    """The search space of a pipeline. `suggest(trial)` returns changes of settings in the format of `override`."""

    suggest: Suggest
    baseline: Mapping[str, Any]  # the parameters of the unchanged pipeline
    definition: Mapping[str, Any]  # range of each of these parameters, as JSON values

    def changes(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the changes that a trial with these parameters makes.

        Raises:
            UserError: the parameters are outside this space.
        """
        try:
            return self.suggest(FixedTrial(dict(parameters)))
        except Exception as error:
            raise UserError(
                f"the study is damaged: {dict(parameters)} is outside the search space ({first_line(error)})"
            ) from error


def search_space(pipeline: Pipeline) -> SearchSpace:
    """Return the space of the pipeline's `suggest`, or the default one, after trying it with the pipeline's own values.

    Raises:
        UserError: the pipeline has no network, nothing is suggested, a parameter is not a setting, the pipeline's value is
            outside its range, or `suggest` changes the pipeline when given its own values.
    """
    experiment = pipeline.experiment
    if experiment.members:
        raise UserError(f"{pipeline.file} has no network: tune one of its members ({', '.join(experiment.members)})")
    suggest = pipeline.suggest or default_suggest(experiment)
    trial = FixedTrial(_OwnValues(experiment))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # Optuna only warns about a value outside its range
            changes = suggest(trial)
        changed = override(experiment, changes)
    except UserError as error:
        raise UserError(f"{pipeline.file}: suggest(trial): {first_line(error)}") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UserError(f"{pipeline.file}: suggest(trial), given the pipeline's own values: {reason}") from error
    if not trial.params:
        raise UserError(f"{pipeline.file}: suggest(trial) must call a method such as trial.suggest_float")
    if fixed := sorted({*changes, *trial.params} & {*FIXED}):
        raise UserError(f"{pipeline.file}: suggest(trial) can't vary {', '.join(fixed)}: all trials must have the same")
    before, after = _OwnValues(experiment), _OwnValues(changed)
    if moved := [f"{name}: {before[name]!r} -> {after[name]!r}" for name in changes if after[name] != before[name]]:
        raise UserError(
            f"{pipeline.file}: suggest(trial) given the pipeline's own values must not change the pipeline, but it changes "
            + ", ".join(moved)
        )
    definition = {name: json.loads(distribution_to_json(one)) for name, one in trial.distributions.items()}
    return SearchSpace(suggest, dict(trial.params), definition)


def default_suggest(experiment: Experiment) -> Suggest:
    """Return the `suggest` of a pipeline without one.

    It varies learning rate, batch size, label smoothing, augmentation, and dropout if the network has that option.
    """
    rate, batch, policy = experiment.learning_rate, experiment.batch_size, experiment.augmentation
    used = {name: high for name, high in SEARCHED_WHERE_USED.items() if getattr(policy, name)}
    augmentation = {name: max(high, getattr(policy, name)) for name, high in {**ALWAYS_SEARCHED, **used}.items()}
    dropout = _network_option(experiment, "dropout")

    def suggest(trial: BaseTrial) -> dict[str, Any]:
        changes = {
            "learning_rate": trial.suggest_float("learning_rate", rate / 5, rate * 5, log=True),
            "batch_size": trial.suggest_categorical("batch_size", sorted({max(1, batch // 2), batch, 2 * batch})),
            "label_smoothing": trial.suggest_float("label_smoothing", 0.0, max(0.15, experiment.label_smoothing)),
        }
        if isinstance(dropout, float | int):
            changes["network_options.dropout"] = trial.suggest_float("network_options.dropout", 0.0, max(0.6, dropout))
        for name, high in augmentation.items():
            changes[f"augmentation.{name}"] = trial.suggest_float(f"augmentation.{name}", 0.0, high)
        return changes

    return suggest


def identity(pipeline: Pipeline, space: SearchSpace, dataset: Dataset) -> dict[str, Any]:
    """Return what must be equal for all trials of a study, as JSON values: data, settings, search space and code."""
    code = _without_comments(pipeline.file) + inspect.getsource(pipeline.experiment.network)
    return {
        "data": dataset.sha256,
        "settings": settings_json(pipeline.experiment),
        "search space": dict(space.definition),
        "code of the pipeline and its network": hashlib.sha256(code.encode()).hexdigest()[:12],
    }


def _without_comments(file: Path) -> str:
    """Return a module's code without its docstring and comments."""
    module = ast.parse(file.read_text(encoding="utf-8"))
    if ast.get_docstring(module):
        del module.body[0]
    return ast.unparse(module)


class _OwnValues(dict):
    """The values of an experiment's settings by parameter name, for Optuna's FixedTrial."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__()
        self.experiment = experiment

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, name: str) -> Any:
        part: Any = self.experiment
        for key in name.split("."):
            if isinstance(part, Mapping):
                part = part[key] if key in part else _network_option(self.experiment, key, required=True)
            elif hasattr(part, key):
                part = getattr(part, key)
            else:
                raise UserError(f"'{name}' is not a setting: name trial parameters after the settings they vary")
        return part


def _network_option(experiment: Experiment, name: str, *, required: bool = False) -> Any:
    """Return the option's value, or its default in the network; None if the network has no such option."""
    option = inspect.signature(experiment.network).parameters.get(name)
    default = None if option is None or option.default is inspect.Parameter.empty else option.default
    value = experiment.network_options.get(name, default)
    if value is None and required:
        raise UserError(f"'network_options.{name}' is neither set nor has a default in {experiment.network.__qualname__}")
    return value
