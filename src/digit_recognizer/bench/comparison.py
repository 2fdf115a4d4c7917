"""The rows of `make bench`: what is compared, and how near it comes to what the machine can do."""

import math
import os
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from digit_recognizer.bench import contenders
from digit_recognizer.bench.racing import Contender, Rates, race, time_to
from digit_recognizer.experiment import Augmentation, Pipeline, load
from digit_recognizer.training.members import default_jobs
from digit_recognizer.workspace import Workspace

PIPELINES = ("fast", "baseline", "deotte")
REPEATS, SECONDS = 5, 6.0
POLICY = Augmentation(rotation=10, zoom=0.1, shift=0.1)
BATCH = 128
ACCURACIES = (0.990, 0.995)
BYTES_A_PIXEL = 1 + 1 + 2 * 2 * 4  # a byte read and one written; two float32 coordinates written and read

Say = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """One comparison: `ours` and `usual` in `unit`, a figure each repeat."""

    what: str
    ratios: list[float]  # how many times better this project is, a figure each repeat
    goal: float | None
    ours: str
    usual: str
    limit: str = ""
    reached: float | None = None  # the fraction of the limit

    @property
    def ratio(self) -> float:
        """The median."""
        return statistics.median(self.ratios)


@dataclass(frozen=True)
class Settings:
    """How long to measure what."""

    repeats: int = REPEATS
    seconds: float = SECONDS
    pipelines: tuple[str, ...] = PIPELINES


def compare(workspace: Workspace, full: bool, say: Say = lambda text: None, settings: Settings = Settings()) -> Iterator[Row]:
    """Yield one row after another; with `full` also the times to accuracies, which take as long as a training.

    Raises:
        UserError: there is no data, or something that is timed fails.
    """
    say("timing the augmentation engines")
    yield _augmentation(settings)
    say("timing the reading of the data")
    yield from _reading(workspace, settings)
    pipelines = [load(name, workspace) for name in settings.pipelines]
    for pipeline in pipelines:
        say(f"timing the training of {pipeline.name}")
        yield from _training(pipeline, workspace, settings)
    if full:
        say(f"training {pipelines[0].name} on a fold, twice")
        yield from _times_to_accuracy(pipelines[0], workspace)


def _augmentation(settings: Settings) -> Row:
    usual = Augmentation(rotation=POLICY.rotation, zoom=POLICY.zoom, shift=POLICY.shift, engine="albumentations")
    rates = race(
        [
            Contender("batched engine", contenders.augmentation, (POLICY, BATCH), threads=1),
            Contender("Albumentations engine", contenders.augmentation, (usual, BATCH), threads=1),
            Contender("memory", contenders.memory_copies, (1,), threads=1),
        ],
        settings.repeats,
        settings.seconds / 2,
    )
    ours, usual, memory = rates.values()
    limits = [rate / (28 * 28 * BYTES_A_PIXEL) for rate in memory]
    return Row(
        "augmentation on one core: batched engine against Albumentations",
        _ratios(ours, usual),
        15,
        f"{_median(ours)} images/s",
        f"{_median(usual)} images/s",
        f"{_median(limits)}: images and coordinates at the speed of memory",
        statistics.median(_ratios(ours, limits)),
    )


def _reading(workspace: Workspace, settings: Settings) -> Iterator[Row]:
    cores = _cores()
    size = sum((workspace.input / name).stat().st_size for name in ("train.csv", "test.csv"))
    rates = race(
        [
            Contender("reading", contenders.reading_checked, (workspace,)),
            Contender("cache", contenders.reading_cached, (workspace,)),
            Contender("pandas", contenders.reading_with_pandas, (workspace,)),
            Contender("memory", contenders.memory_copies, (cores,)),
        ],
        settings.repeats,
        settings.seconds / 2,
    )
    read, cached, pandas, memory = rates.values()
    limits = [rate / size for rate in memory]
    for what, rate in (("CSV files read and checked", read), ("data from the cache", cached)):
        yield Row(
            f"{what}, against pandas.read_csv",
            _ratios(rate, pandas),
            None,
            _milliseconds(rate),
            _milliseconds(pandas),
            f"{_milliseconds(limits)}: the CSV files at the speed of memory",
            statistics.median(_ratios(rate, limits)),
        )


def _training(pipeline: Pipeline, workspace: Workspace, settings: Settings) -> Iterator[Row]:
    experiment, named = pipeline.experiment, (pipeline.file, {}, workspace)
    members = experiment.folds * len(experiment.seeds)
    jobs = min(default_jobs(experiment, members), members)
    racing = [
        Contender("project", contenders.training, (*named, jobs), parts=jobs),
        Contender("plain script", contenders.plain_training, named),
        Contender("matrix products", contenders.matrix_products),
    ]
    if pipeline.name == settings.pipelines[0]:
        racing.append(
            Contender("prediction", contenders.prediction, named, threads=experiment.threads, copies=jobs, parts=jobs)
        )
    rates = race(racing, settings.repeats, settings.seconds)
    ours, usual, products = (rates[name] for name in ("project", "plain script", "matrix products"))
    operations = forward_operations(pipeline, workspace)
    limits = [rate / (3 * operations) for rate in products]
    reached = _ratios(ours, limits)
    yield Row(
        f"training {pipeline.name} ({jobs} side by side) against a plain Keras script",
        _ratios(ours, usual),
        1.5,
        f"{_median(ours)} images/s",
        f"{_median(usual)} images/s",
        f"{_median(limits)}: matrix products at {statistics.median(products) / 1e9:,.0f} GFLOP/s",
        statistics.median(reached),
    )
    if "prediction" in rates:
        yield _prediction(pipeline, workspace, rates, [rate / operations for rate in products])


def _prediction(pipeline: Pipeline, workspace: Workspace, rates: Rates, limits: list[float]) -> Row:
    from digit_recognizer.data.dataset import load_dataset

    data, experiment = load_dataset(workspace), pipeline.experiment
    rows = len(data.labels)
    trained = rows * (experiment.folds - 1) * experiment.epochs
    predicted = rows + len(data.test_images) * experiment.folds
    training, prediction = rates["project"], rates["prediction"]
    shares = [(predicted / quick) / (trained / slow) for quick, slow in zip(prediction, training, strict=True)]
    return Row(
        f"predicting all of {pipeline.name}'s folds, against training them",
        [1 / share for share in shares],
        10,
        f"{_median(prediction)} images/s, {statistics.median(shares):.1%} of the training",
        f"{_median(training)} images/s",
        f"{_median(limits)}: matrix products",
        statistics.median(_ratios(prediction, limits)),
    )


def _times_to_accuracy(pipeline: Pipeline, workspace: Workspace) -> Iterator[Row]:
    changes = {"threads": _cores(), "validate_every": 1}
    longer = {"epochs": 3 * pipeline.experiment.epochs}
    times = time_to(
        ACCURACIES,
        [
            Contender("project", contenders.training_to_accuracy, (pipeline.file, changes, workspace)),
            Contender("plain script", contenders.plain_training_to_accuracy, (pipeline.file, longer, workspace)),
        ],
    )
    for accuracy, ours, usual in zip(ACCURACIES, times["project"], times["plain script"], strict=True):
        yield Row(
            f"{pipeline.name}: time to {accuracy:.3f} validation accuracy on fold 0",
            [usual / ours if math.isfinite(ours) else math.nan],
            None,
            _seconds(ours),
            _seconds(usual),
        )


def forward_operations(pipeline: Pipeline, workspace: Workspace) -> int:
    """Return the floating-point operations of the network's products for one image; training takes three times as many."""
    from digit_recognizer.data.dataset import load_dataset
    from digit_recognizer.models.build_model import build_model
    from digit_recognizer.runs.evaluation import keras_session

    data = load_dataset(workspace)
    with keras_session():
        model = build_model(pipeline.experiment, data.image_shape, len(data.classes), 0.0, 1.0)
        layers = [layer for layer in model._flatten_layers() if hasattr(layer, "kernel")]
        return sum(2 * math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1]) for layer in layers)


def _ratios(ours: list[float], others: list[float]) -> list[float]:
    return [one / other for one, other in zip(ours, others, strict=True)]


def _median(rates: list[float]) -> str:
    return f"{statistics.median(rates):,.0f}"


def _milliseconds(rates: list[float]) -> str:
    return f"{1000 / statistics.median(rates):,.0f} ms"


def _seconds(time: float) -> str:
    return f"{time:,.0f} s" if math.isfinite(time) else "given up"


def _cores() -> int:
    return len(os.sched_getaffinity(0))
