"""An experiment: every setting of a pipeline, frozen, typed and checked; and the loading of pipelines by name or file."""

import ast
import dataclasses
import difflib
import hashlib
import importlib.util
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from digit_recognizer.errors import UserError
from digit_recognizer.experiment.validation import check_range, check_types, hints
from digit_recognizer.workspace import Workspace

Monitor = Literal["val_loss", "val_accuracy"]


@dataclass(frozen=True)
class Augmentation:
    """Random changes to each training image, drawn anew each epoch. Zero turns one off.

    Rotation, zoom, shear and shift are drawn uniformly and applied as one matrix about the image's centre.
    """

    rotation: float = 0.0  # degrees, within +-rotation
    zoom: float = 0.0  # scale within 1 +- zoom
    zoom_axes: Literal["together", "each"] = "each"  # one factor for both axes, or one for each
    shear: float = 0.0  # degrees, within +-shear, along x
    shift: float = 0.0  # fraction of the side, within +-shift, each axis on its own
    elastic: float = 0.0  # pixels: standard deviation of a smooth random displacement of each axis
    elastic_smoothing: float = 5.0  # pixels: how far apart displacements become independent (Gaussian sigma)
    erasing: float = 0.0  # probability that a square patch is set to the background
    erasing_side: int = 6  # pixels
    fill: Literal["constant", "nearest"] = "constant"  # beyond the border: background, or the border's pixel
    engine: Literal["batched", "albumentations"] = "batched"
    # Any other transforms of Albumentations by name and arguments, after the above: (("GaussNoise", {"p": 0.5}),).
    transforms: tuple[tuple[str, Mapping[str, Any]], ...] = ()

    def __post_init__(self) -> None:
        check_types(self)
        for name, limit in (("rotation", 180), ("zoom", 0.9), ("shear", 60), ("shift", 0.9), ("erasing", 1)):
            check_range(self, name, 0, limit)
        check_range(self, "elastic", 0, 10)
        check_range(self, "elastic_smoothing", 0.5, 50)
        check_range(self, "erasing_side", 1, 512)
        if self.transforms and self.engine != "albumentations":
            raise ValueError("transforms need engine='albumentations'")
        if self.elastic and self.engine == "albumentations":
            raise ValueError("elastic needs engine='batched'; with Albumentations name ElasticTransform in transforms")

    @property
    def active(self) -> bool:
        """Whether it changes images at all."""
        amounts = (self.rotation, self.zoom, self.shear, self.shift, self.elastic, self.erasing)
        return any(amounts) or bool(self.transforms)


@dataclass(frozen=True)
class Schedule:
    """The learning rate over the steps of a training.

    constant: stays. exponential: times `decay` after each epoch. cosine: falls from the start to `final` of it.
    one_cycle: rises from a twenty-fifth over the first `warmup` of all steps, then falls along a cosine to `final` of the peak
    (Smith and Topin, 2018).
    """

    kind: Literal["constant", "exponential", "cosine", "one_cycle"] = "constant"
    decay: float = 1.0
    warmup: float = 0.25
    final: float = 0.01

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "decay", 1e-6, 1)
        check_range(self, "warmup", 0, 0.95)
        check_range(self, "final", 0, 1)


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when `monitor` has not improved by `min_delta` for `patience` epochs."""

    monitor: Monitor = "val_loss"
    patience: int = 10
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "patience", 1, 10_000)


@dataclass(frozen=True)
class ReduceLROnPlateau:
    """Multiply the learning rate by `factor` when `monitor` has not improved for `patience` epochs."""

    monitor: Monitor = "val_loss"
    patience: int = 3
    factor: float = 0.5
    min_learning_rate: float = 1e-5

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "patience", 1, 10_000)
        check_range(self, "factor", 1e-6, 0.999999)
        check_range(self, "min_learning_rate", 0, 10)


@dataclass(frozen=True)
class Checkpoint:
    """Keep a model of the best epoch by `monitor`, or of each epoch that improved, beside the one that predicts."""

    monitor: Monitor = "val_accuracy"
    every_improvement: bool = False

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True)
class Experiment:
    """All settings of a pipeline. `override` changes some of them; anything impossible is refused with the field's name.

    `network(x, classes, **network_options)` takes scaled images as a Keras tensor (batch, height, width, channels) and returns
    softmax probabilities (batch, classes); see models.py.
    """

    network: Callable[..., Any] | None = None
    network_options: Mapping[str, Any] = field(default_factory=dict)
    scaling: Literal["unit", "centred", "standardised"] = "unit"  # 0..1; minus the mean pixel; and over its deviation

    folds: int = 5
    fold_seed: int = 0
    seeds: tuple[int, ...] = (0,)

    epochs: int = 10
    steps_per_epoch: int = 0  # 0: as many as the training rows give
    validate_every: int = 1  # epochs; the last one is always validated
    measure_every: int = 0  # steps between accuracies on 1,000 validation images (steps.csv); 0: never
    batch_size: int = 64
    # Share of the batches that is drawn from the tenth of the training images with the highest loss; 0: all images alike.
    hard_examples: float = 0.0
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.9  # of sgd (Nesterov's if `nesterov`)
    nesterov: bool = False
    weight_decay: float = 0.0  # of adamw and sgd
    label_smoothing: float = 0.0
    schedule: Schedule = Schedule()
    ema: float = 0.0  # momentum of the moving average of the weights, which then validates and predicts; 0: none
    augmentation: Augmentation = Augmentation()
    # A run with the same folds, from whose probabilities for the test images to learn as well, in the same number of steps.
    teacher: str = ""

    keep: Literal["last", "best_val_loss", "best_val_accuracy"] = "last"  # which epoch predicts
    early_stopping: EarlyStopping | None = None
    reduce_lr_on_plateau: ReduceLROnPlateau | None = None
    checkpoint: Checkpoint | None = None

    tta: int = 1  # test-time augmentation: views averaged for each prediction; 1 is the plain image
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"  # auto: mixed where it is fast
    deterministic: bool = False  # byte-equal results on a GPU as well, at some cost
    threads: int = 1  # CPU threads a member; part of what the result depends on, byte for byte

    members: tuple[str, ...] = ()  # other pipelines: training this one trains them, ensembling it blends them
    published: str = ""  # the accuracy that the source states, shown beside ours

    def __post_init__(self) -> None:
        check_types(self)
        if (self.network is None) == (not self.members):
            raise ValueError("network: give either a network or members")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"seeds={self.seeds!r}: need one or more different numbers from 0")
        for name, low, high in (
            ("folds", 2, 100),
            ("fold_seed", 0, 2**31),
            ("epochs", 1, 100_000),
            ("steps_per_epoch", 0, 10**9),
            ("validate_every", 1, 100_000),
            ("measure_every", 0, 10**9),
            ("batch_size", 1, 65_536),
            ("hard_examples", 0, 0.99),
            ("learning_rate", 1e-12, 100),
            ("momentum", 0, 0.99999),
            ("weight_decay", 0, 10),
            ("label_smoothing", 0, 0.99),
            ("ema", 0, 0.999999),
            ("tta", 1, 64),
            ("threads", 1, 1024),
        ):
            check_range(self, name, low, high)
        if self.weight_decay and self.optimizer not in ("adamw", "sgd"):
            raise ValueError(f"weight_decay={self.weight_decay!r} needs optimizer='adamw' or 'sgd'")
        if self.nesterov and self.optimizer != "sgd":
            raise ValueError("nesterov needs optimizer='sgd'")
        steered = self.early_stopping or self.reduce_lr_on_plateau or self.checkpoint or self.keep != "last"
        if self.validate_every > 1 and steered:
            raise ValueError("validate_every: keep, early_stopping, reduce_lr_on_plateau and checkpoint need 1")
        if self.reduce_lr_on_plateau and self.schedule.kind != "constant":
            raise ValueError("reduce_lr_on_plateau needs schedule.kind='constant': only one of them can set the rate")


def override(experiment: Experiment, changes: Mapping[str, Any]) -> Experiment:
    """Return the experiment with fields replaced; dots reach nested ones: `{"augmentation.rotation": 15}`.

    Raises:
        UserError: no such field, or a value that the field can't take.
    """
    nested: dict[str, Any] = {}
    for name, value in changes.items():
        *outer, last = name.split(".")
        group = nested
        for part in outer:
            group = group.setdefault(part, _Group())
            if not isinstance(group, _Group):
                raise UserError(f"{name}: {part} is set as a whole too; set one of them")
        group[last] = value
    return _replace(experiment, nested, "")


def merged(first: Mapping[str, Any], then: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes that do in one `override` what `first` and `then` do one after the other."""
    changes = dict(first)
    for name, value in then.items():
        outer, _, inner = name.partition(".")
        if inner and isinstance(changes.get(outer), Mapping):
            changes[outer] = {**changes[outer], inner: value}
        else:
            changes = {old: kept for old, kept in changes.items() if not old.startswith(f"{name}.")} | {name: value}
    return changes


def parse_settings(text: str) -> dict[str, Any]:
    """Turn `"epochs=2 augmentation.rotation=15"` into changes for `override`; values are Python literals or bare words.

    Raises:
        UserError: an item without `=`.
    """
    changes = {}
    for item in text.split():
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise UserError(f"SET: '{item}' is not of the form field=value (values are written without spaces)")
        try:
            changes[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            changes[name] = value
    return changes


def settings(experiment: Experiment) -> dict[str, Any]:
    """Return all settings as JSON values, functions by their dotted name."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, tuple | list):
            return [plain(item) for item in value]
        if callable(value):
            return f"{value.__module__}.{value.__qualname__}"
        return value

    return plain(experiment)


def differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return what changed between two nested mappings, as `name: old -> new`."""
    found = []
    for name in dict.fromkeys([*before, *now]):
        old, new = before.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append(f"{prefix}{name}: {old!r} -> {new!r}")
    return found


@dataclass(frozen=True)
class Pipeline:
    """A pipeline as loaded from its file, with the file's `suggest(trial)` and `CURVE` where it has them."""

    name: str
    file: Path
    sha256: str
    description: str
    experiment: Experiment
    changes: Mapping[str, Any] = field(default_factory=dict)  # settings that differ from the file's, as `override` takes them
    suggest: Callable[[Any], dict[str, Any]] | None = None
    # Length of training, 1 being the experiment's own, -> out-of-fold accuracy that was measured, on how many images.
    curve: Mapping[float, tuple[float, int]] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return self.description.strip().partition("\n")[0]

    def changed(self, changes: Mapping[str, Any]) -> "Pipeline":
        """Return the pipeline with more settings changed.

        Raises:
            UserError: no such setting, or a value that it can't take.
        """
        experiment, together = override(self.experiment, changes), merged(self.changes, changes)
        return dataclasses.replace(self, experiment=experiment, changes=together)


def available(workspace: Workspace) -> dict[str, Path]:
    """Return the pipelines that can be named, name -> file, the workspace's own first."""
    found: dict[str, Path] = {}
    for folder in workspace.pipeline_folders:
        for file in sorted(folder.glob("*.py")):
            if not file.stem.startswith("_"):
                found.setdefault(file.stem, file)
    return found


def load(reference: str, workspace: Workspace | None = None, changes: Mapping[str, Any] | None = None) -> Pipeline:
    """Load a pipeline by its name, or by the path of a Python file anywhere, with some settings changed.

    Raises:
        UserError: there is none of that name (the message lists those there are), the file is no pipeline, or a setting is
            impossible.
    """
    workspace = workspace or Workspace.default()
    file = _find(reference, workspace)
    module = _import(file)
    experiment = getattr(module, "EXPERIMENT", None)
    if not isinstance(experiment, Experiment):
        raise UserError(f"{file}: no pipeline: it must define EXPERIMENT = Experiment(...); see pipelines/smoke.py")
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
        file = Path(reference).expanduser().resolve()
        if not file.is_file():
            raise UserError(f"PIPELINE={reference}: there is no such file")
        return file
    files = available(workspace)
    if reference in files:
        return files[reference]
    close = difflib.get_close_matches(reference, files, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    listing = "\n".join(f"  {name:<18} {summary_of(file)}" for name, file in files.items())
    raise UserError(f"there is no pipeline '{reference}'.{hint} There are:\n{listing}")


def _import(file: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(f"pipelines.{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UserError(f"{file}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except UserError:
        raise
    except Exception as error:
        line = getattr(error, "lineno", None) or _line_in(error, file)
        where = f", line {line}" if line else ""
        raise UserError(f"{file}{where}: the pipeline can't be loaded: {type(error).__name__}: {error}") from error
    return module


def _line_in(error: BaseException, file: Path) -> int | None:
    line, trace = None, error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


class _Group(dict):
    """Changes to the fields of a nested part, told apart from a value that is a dictionary."""


def _replace(part: Any, changes: dict[str, Any], prefix: str) -> Any:
    """Return `part` with all changes made at once, since some are only possible together."""
    if isinstance(part, Mapping):
        return {**part, **changes}
    if not dataclasses.is_dataclass(part):
        where = prefix.rstrip(".")
        raise UserError(f"{prefix}{next(iter(changes))}: {where} is {part!r} here; set the whole of it in a pipeline file")
    names = [item.name for item in dataclasses.fields(part)]
    values = {}
    for name, value in changes.items():
        if name not in names:
            close = _similar(name, part)
            hint = f"did you mean {prefix}{close}?" if close else "`digit-recognizer settings` lists all"
            raise UserError(f"{prefix}{name}: there is no such setting; {hint}")
        nested = isinstance(value, _Group)
        values[name] = _replace(getattr(part, name), value, f"{prefix}{name}.") if nested else _as_field(part, name, value)
    try:
        return dataclasses.replace(part, **values)
    except ValueError as error:
        raise UserError(f"{prefix}{error}") from error


def _similar(name: str, part: Any) -> str | None:
    """Return the field of `part` or of a part of it, dotted, that `name` may mean; None where no name is close."""
    dotted = {item.name: item.name for item in dataclasses.fields(part)}
    for outer in list(dotted):
        inner = getattr(part, outer)
        names = [item.name for item in dataclasses.fields(inner)] if dataclasses.is_dataclass(inner) else inner
        for last in names if isinstance(names, list | Mapping) else ():
            dotted.setdefault(last, f"{outer}.{last}")
    close = difflib.get_close_matches(name, dotted, n=1)
    return dotted[close[0]] if close else None


def _as_field(part: Any, name: str, value: Any) -> Any:
    """A list or single value for a field that holds a tuple becomes one, so that `seeds=1` and `seeds=[0,1]` work."""
    if typing.get_origin(hints(type(part))[name]) is tuple and not isinstance(value, tuple):
        return tuple(value) if isinstance(value, list) else (value,)
    return value
