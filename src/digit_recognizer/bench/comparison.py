"""The rows of `make bench`: this project compared with common alternatives and with the limits of the machine."""

import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from digit_recognizer import backend
from digit_recognizer.bench import workloads
from digit_recognizer.bench.timing import Program, Rates, measure_rates, measure_times
from digit_recognizer.experiment import Augmentation, Pipeline, load
from digit_recognizer.training.workers import LocalWorkers
from digit_recognizer.workspace import Workspace

PIPELINES = ("fast", "baseline", "deotte")
REPEATS, SECONDS = 5, 6.0
POLICY = Augmentation(rotation=10, zoom=0.1, shift=0.1)
BATCH = 128
ACCURACIES = (0.990, 0.995)
BYTES_PER_PIXEL = 1 + 1 + 2 * 2 * 4  # a byte read and one written; two float32 coordinates written and read


@dataclass(frozen=True)
class Row:
    """One comparison; figures are medians of the repeats."""

    what: str
    ratios: list[float]  # how many times better this project is, in each repeat
    goal: float | None
    ours: str
    usual: str
    limit: str = ""
    reached: float | None = None  # share of the limit

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)


@dataclass(frozen=True)
class Settings:
    """What to measure, and for how long."""

    repeats: int = REPEATS
    seconds: float = SECONDS  # per repeat
    pipelines: tuple[str, ...] = PIPELINES


def compare(
    workspace: Workspace,
    full: bool,
    on_progress: Callable[[str], None] = lambda text: None,
    settings: Settings = Settings(),
) -> Iterator[Row]:
    """Yield the rows; with `full` also the times to given accuracies, which take as long as a full training.

    Raises:
        UserError: there is no data, or a timed program fails.
    """
    on_progress("timing the augmentation engines")
    yield _augmentation(settings)
    on_progress("timing the reading of the data")
    yield from _reading(workspace, settings)
    pipelines = [load(name, workspace) for name in settings.pipelines]
    for pipeline in pipelines:
        on_progress(f"timing the training of {pipeline.name}")
        yield from _training(pipeline, workspace, settings)
    if full:
        on_progress(f"training one fold of {pipelines[0].name} in both ways")
        yield from _times_to_accuracy(pipelines[0], workspace)


def _augmentation(settings: Settings) -> Row:
    usual = Augmentation(rotation=POLICY.rotation, zoom=POLICY.zoom, shift=POLICY.shift, engine="albumentations")
    rates = measure_rates(
        [
            Program("batched engine", workloads.augmentation, (POLICY, BATCH), threads=1),
            Program("Albumentations engine", workloads.augmentation, (usual, BATCH), threads=1),
            Program("memory", workloads.memory_copies, (1,), threads=1),
        ],
        settings.repeats,
        settings.seconds / 2,
    )
    ours, usual, memory = rates.values()
    limits = [rate / (28 * 28 * BYTES_PER_PIXEL) for rate in memory]
    return Row(
        "augmentation on one core: batched engine, compared with Albumentations",
        _ratios(ours, usual),
        15,
        f"{_median(ours)} images/s",
        f"{_median(usual)} images/s",
        f"{_median(limits)}: memory bandwidth",
        statistics.median(_ratios(ours, limits)),
    )


def _reading(workspace: Workspace, settings: Settings) -> Iterator[Row]:
    cores = backend.cpu_cores()
    size = sum((workspace.input / name).stat().st_size for name in ("train.csv", "test.csv"))
    rates = measure_rates(
        [
            Program("reading", workloads.reading_checked, (workspace,)),
            Program("cache", workloads.reading_cached, (workspace,)),
            Program("pandas", workloads.reading_with_pandas, (workspace,)),
            Program("memory", workloads.memory_copies, (cores,)),
        ],
        settings.repeats,
        settings.seconds / 2,
    )
    read, cached, pandas, memory = rates.values()
    limits = [rate / size for rate in memory]
    for what, rate in (("CSV files read and checked", read), ("data from the cache", cached)):
        yield Row(
            f"{what}, compared with pandas.read_csv",
            _ratios(rate, pandas),
            None,
            _milliseconds(rate),
            _milliseconds(pandas),
            f"{_milliseconds(limits)}: memory bandwidth",
            statistics.median(_ratios(rate, limits)),
        )


def _training(pipeline: Pipeline, workspace: Workspace, settings: Settings) -> Iterator[Row]:
    experiment, named = pipeline.experiment, (pipeline.file, {}, workspace)
    members = experiment.folds * len(experiment.seeds)
    jobs = min(LocalWorkers().plan(experiment, members).jobs, members)
    programs = [
        Program("project", workloads.training, (*named, jobs), parts=jobs),
        Program("plain script", workloads.plain_training, named),
        Program("matrix products", workloads.matrix_products),
    ]
    if pipeline.name == settings.pipelines[0]:
        programs.append(Program("prediction", workloads.prediction, named, threads=experiment.threads, copies=jobs, parts=jobs))
    rates = measure_rates(programs, settings.repeats, settings.seconds)
    ours, usual, products = (rates[name] for name in ("project", "plain script", "matrix products"))
    operations = forward_operations(pipeline, workspace)
    limits = [rate / (3 * operations) for rate in products]
    reached = _ratios(ours, limits)
    yield Row(
        f"training {pipeline.name} ({jobs} in parallel), compared with a plain Keras script",
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
        f"predicting all folds of {pipeline.name}, compared with training them",
        [1 / share for share in shares],
        10,
        f"{_median(prediction)} images/s, {statistics.median(shares):.1%} of the training time",
        f"{_median(training)} images/s",
        f"{_median(limits)}: matrix products",
        statistics.median(_ratios(prediction, limits)),
    )


def _times_to_accuracy(pipeline: Pipeline, workspace: Workspace) -> Iterator[Row]:
    changes = {"validate_every": 1}
    longer = {"epochs": 3 * pipeline.experiment.epochs}
    times = measure_times(
        ACCURACIES,
        [
            Program("project", workloads.training_to_accuracy, (pipeline.file, changes, workspace)),
            Program("plain script", workloads.plain_training_to_accuracy, (pipeline.file, longer, workspace)),
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
    """Return the floating-point operations of the network's matrix products for one image; training needs three times that."""
    from digit_recognizer.data.dataset import load_dataset
    from digit_recognizer.models.build_model import build_model
    from digit_recognizer.runs.evaluation import keras_session

    data = load_dataset(workspace)
    with keras_session():
        model = build_model(pipeline.experiment, data.image_shape, len(data.classes), 0.0, 1.0)
        products = [layer for layer in _layers(model) if hasattr(layer, "kernel")]
        return sum(2 * math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1]) for layer in products)


def _layers(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        yield from _layers(layer) if hasattr(layer, "layers") else [layer]


def _ratios(ours: list[float], others: list[float]) -> list[float]:
    return [one / other for one, other in zip(ours, others, strict=True)]


def _median(rates: list[float]) -> str:
    return f"{statistics.median(rates):,.0f}"


def _milliseconds(rates: list[float]) -> str:
    return f"{1000 / statistics.median(rates):,.0f} ms"


def _seconds(time: float) -> str:
    return f"{time:,.0f} s" if math.isfinite(time) else "not reached"
