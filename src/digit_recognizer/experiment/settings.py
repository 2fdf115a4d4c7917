"""Every setting of a pipeline: frozen dataclasses that reject invalid values.

`digit-recognizer settings` shows the comment at the end of a field's line or above it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from digit_recognizer.experiment.validation import check_range, check_types

Monitor = Literal["val_loss", "val_accuracy"]


@dataclass(frozen=True)
class Augmentation:
    """Random changes to the training images, drawn again in each epoch; 0 turns one off.

    Zoom, rotation, shear and shift are drawn uniformly and applied as one affine matrix about the image's centre.
    """

    rotation: float = 0.0  # degrees, within +-rotation
    zoom: float = 0.0  # scale within 1 +- zoom, drawn for each axis
    shear: float = 0.0  # degrees, within +-shear, along x
    shift: float = 0.0  # fraction of the side, within +-shift, drawn for each axis
    elastic: float = 0.0  # standard deviation of a smooth random displacement of each axis, in pixels
    elastic_smoothing: float = 5.0  # distance at which displacements become independent (Gaussian sigma), in pixels
    fill: Literal["constant", "nearest"] = "constant"  # beyond the border: the background, or the border's pixel
    engine: Literal["batched", "albumentations"] = "batched"  # albumentations is several times slower
    # More transforms of Albumentations, applied after the above: (("GaussNoise", {"p": 0.5}),).
    transforms: tuple[tuple[str, Mapping[str, Any]], ...] = ()

    def __post_init__(self) -> None:
        check_types(self)
        for name, limit in (("rotation", 180), ("zoom", 0.9), ("shear", 60), ("shift", 0.9)):
            check_range(self, name, 0, limit)
        check_range(self, "elastic", 0, 10)
        check_range(self, "elastic_smoothing", 0.5, 50)
        if self.transforms and self.engine != "albumentations":
            raise ValueError("transforms need engine='albumentations'")
        if self.elastic and self.engine == "albumentations":
            raise ValueError("elastic needs engine='batched'; with Albumentations, add ElasticTransform to transforms")

    @property
    def active(self) -> bool:
        """Whether any augmentation is turned on."""
        return any((self.rotation, self.zoom, self.shear, self.shift, self.elastic)) or bool(self.transforms)


@dataclass(frozen=True)
class Schedule:
    """The learning rate over the steps of a training.

    constant: always `learning_rate`. exponential: multiplied by `decay` after each epoch. one_cycle: rises linearly from
    1/25 of `learning_rate` during the first `warmup` of all steps, then falls along a cosine to `final` of it (Smith and
    Topin, 2018).
    """

    kind: Literal["constant", "exponential", "one_cycle"] = "constant"  # always the same, falling, or rising and falling
    decay: float = 1.0  # factor per epoch, of exponential
    warmup: float = 0.25  # fraction of all steps, of one_cycle
    final: float = 0.01  # last learning rate as a fraction of the highest, of one_cycle

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "decay", 1e-6, 1)
        check_range(self, "warmup", 0, 0.95)
        check_range(self, "final", 0, 1)


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when `monitor` has not improved by `min_delta` for `patience` epochs."""

    monitor: Monitor = "val_loss"  # the figure that decides
    patience: int = 10  # epochs without improvement
    min_delta: float = 0.0  # smallest change that counts as an improvement

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "patience", 1, 10_000)


@dataclass(frozen=True)
class ReduceLROnPlateau:
    """Multiply the learning rate by `factor` when `monitor` has not improved for `patience` epochs."""

    monitor: Monitor = "val_loss"  # the figure that decides
    patience: int = 3  # epochs without improvement
    factor: float = 0.5  # of the learning rate
    min_learning_rate: float = 1e-5  # never lower than this

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "patience", 1, 10_000)
        check_range(self, "factor", 1e-6, 0.999999)
        check_range(self, "min_learning_rate", 0, 10)


@dataclass(frozen=True)
class Checkpoint:
    """Save an additional model of the best epoch by `monitor`, or one of each epoch that improved."""

    monitor: Monitor = "val_accuracy"  # the figure that decides
    every_improvement: bool = False  # keep a file of each epoch that improved

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True)
class Experiment:
    """All settings of a pipeline. `override` changes some of them; an invalid value raises an error with the field's name.

    `network(x, classes, **network_options)` takes scaled images as a Keras tensor (batch, height, width, channels) and returns
    softmax probabilities (batch, classes); see models/networks.py.
    """

    network: Callable[..., Any] | None = None  # the function that builds the network
    network_options: Mapping[str, Any] = field(default_factory=dict)  # its keyword arguments
    # unit: pixels from 0 to 1. centred: minus the mean of the training pixels. standardised: divided by their deviation, too.
    scaling: Literal["unit", "centred", "standardised"] = "unit"

    folds: int = 5  # of the stratified cross-validation
    fold_seed: int = 0  # which rows are in which fold
    seeds: tuple[int, ...] = (0,)  # one model per seed and fold
    # Width in pixels to which digits are scaled (0: images as they are); with several, consecutive folds and seeds alternate.
    digit_widths: tuple[int, ...] = (0,)
    # Rows of train.csv that no model is trained on, such as wrong labels; SET=drop_rows=labels.csv takes those of a file.
    drop_rows: tuple[int, ...] = ()

    epochs: int = 10  # passes over the training rows
    steps_per_epoch: int = 0  # batches in an epoch; 0: all training rows once
    validate_every: int = 1  # epochs between validations, counted back from the last epoch
    measure_every: int = 0  # steps between measurements of the accuracy on 1,000 validation images (steps.csv); 0: never
    batch_size: int = 64  # images in a step
    # Fraction of the batches that is drawn from the tenth of the training images with the highest loss; 0: uniform sampling.
    hard_examples: float = 0.0
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = "adam"  # Keras's class of that name
    learning_rate: float = 1e-3  # the highest one where there is a schedule
    momentum: float = 0.9  # of sgd
    weight_decay: float = 0.0  # of adamw and sgd
    label_smoothing: float = 0.0  # fraction of the label's probability that is spread over all classes
    schedule: Schedule = Schedule()
    ema: float = 0.0  # momentum of the moving average of the weights, which then validates and predicts; 0: none
    augmentation: Augmentation = Augmentation()

    keep: Literal["last", "best_val_loss", "best_val_accuracy"] = "last"  # the epoch whose weights are used for predictions
    early_stopping: EarlyStopping | None = None  # when training stops before the last epoch
    reduce_lr_on_plateau: ReduceLROnPlateau | None = None  # when the learning rate is reduced
    checkpoint: Checkpoint | None = None  # which models are saved in addition to the one for predictions

    # auto: bfloat16 or float16 in mixed precision where the device computes faster with it, else float32.
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    deterministic: bool = False  # the same bytes in each training on a GPU too; slower
    threads: int = 1  # CPU threads for each operation of a model; another number changes the bytes of the results

    members: tuple[str, ...] = ()  # other pipelines, instead of a network: `train` trains them, `ensemble` blends them
    published: str = ""  # accuracy stated by the source, shown with the measured one

    def __post_init__(self) -> None:
        check_types(self)
        if (self.network is None) == (not self.members):
            raise ValueError("network: give either a network or members")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"seeds={self.seeds!r}: must be one or more different whole numbers from 0")
        if not self.digit_widths or min(self.digit_widths) < 0:
            raise ValueError(f"digit_widths={self.digit_widths!r}: must be one or more whole numbers from 0")
        if len(set(self.drop_rows)) != len(self.drop_rows) or min(self.drop_rows, default=0) < 0:
            raise ValueError("drop_rows: must be different whole numbers from 0")
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
            ("threads", 1, 1024),
        ):
            check_range(self, name, low, high)
        if self.weight_decay and self.optimizer not in ("adamw", "sgd"):
            raise ValueError(f"weight_decay={self.weight_decay!r} needs optimizer='adamw' or 'sgd'")
        uses_validation = self.early_stopping or self.reduce_lr_on_plateau or self.checkpoint or self.keep != "last"
        if self.validate_every > 1 and uses_validation:
            raise ValueError("validate_every must be 1 for keep, early_stopping, reduce_lr_on_plateau or checkpoint")
        if self.reduce_lr_on_plateau and self.schedule.kind != "constant":
            raise ValueError("reduce_lr_on_plateau needs schedule.kind='constant': both would set the learning rate")
