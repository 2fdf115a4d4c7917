"""`make bench GPU=1`: complete trainings on this machine's GPUs, compared with the rate of matrix products.

Each line is yielded as soon as it is measured. Models are trained in a temporary workspace; times include start and
compilation.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from digit_recognizer import backend
from digit_recognizer.bench import workloads
from digit_recognizer.bench.comparison import forward_operations
from digit_recognizer.bench.timing import Program, measure_rates
from digit_recognizer.ensemble import blending
from digit_recognizer.experiment import Pipeline, load
from digit_recognizer.metrics import Estimate
from digit_recognizer.rehearsal.rehearse import rehearse_part
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.records import read_member_metrics
from digit_recognizer.training.cross_validation import Request, train
from digit_recognizer.workspace import Workspace

PIPELINES = ("fast", "flagship_gpu", "deotte")
REHEARSED = "flagship_gpu"


@dataclass(frozen=True)
class MatrixRate:
    """The rate of matrix products on one device, in the precision of training."""

    precision: str  # Keras's dtype policy
    operations: float  # per second


@dataclass(frozen=True)
class Training:
    """The training of all folds of a pipeline."""

    name: str
    models: int
    seconds: float  # elapsed time
    images_per_second: float  # of all models together
    reached: float  # share of the devices' matrix rate, without the images of validation
    accuracy: Estimate  # out of fold


@dataclass(frozen=True)
class RehearsedPart:
    """The rehearsal of a pipeline on one part."""

    name: str
    seconds: float  # of the clock
    accuracy: Estimate


def measure_gpus(
    workspace: Workspace,
    on_progress: Callable[[str], None] = lambda text: None,
    pipelines: Sequence[str] = PIPELINES,
    rehearsed: str = REHEARSED,
    seconds: float = 6.0,
) -> Iterator[MatrixRate | Training | RehearsedPart]:
    """Yield the matrix rate, a training of each pipeline, and a part of `rehearsed`.

    Raises:
        UserError: a training fails.
    """
    on_progress("timing matrix products")
    rate = statistics.median(measure_rates([Program("products", workloads.matrix_products)], 3, seconds / 3)["products"])
    yield MatrixRate(backend.precision("auto"), rate)
    with tempfile.TemporaryDirectory(prefix="digit-recognizer-") as folder:
        inner = Workspace(Path(folder))
        inner.input.symlink_to(workspace.input.resolve())
        for name in pipelines:
            on_progress(f"training {name}")
            yield _training(name, _members(name, workspace), inner, rate * max(1, len(backend.gpus())))
        on_progress(f"rehearsing {rehearsed}")
        began = time.monotonic()
        part = rehearse_part([Request(one, one.name) for one in _members(rehearsed, workspace)], rehearsed, 0, inner)
        yield RehearsedPart(rehearsed, time.monotonic() - began, part.accuracy)


def _members(name: str, workspace: Workspace) -> list[Pipeline]:
    pipeline = load(name, workspace)
    return [load(member, workspace) for member in pipeline.experiment.members] or [pipeline]


def _training(name: str, pipelines: Sequence[Pipeline], inner: Workspace, rate: float) -> Training:
    began = time.monotonic()
    models = sum(train(Request(pipeline, f"{name}-{pipeline.name}"), inner).members for pipeline in pipelines)
    seconds = time.monotonic() - began
    images, operations = 0, 0
    for pipeline in pipelines:
        run = RunFolder.of(inner, f"{name}-{pipeline.name}")
        trained = sum(read_member_metrics(run.member(member)).images for member in run.finished())
        images += trained
        operations += 3 * trained * forward_operations(pipeline, inner)
    blend = blending.compute_blend(inner, [f"{name}-{pipeline.name}" for pipeline in pipelines], name)
    return Training(
        name=name,
        models=models,
        seconds=seconds,
        images_per_second=images / seconds,
        reached=operations / seconds / rate,
        accuracy=blend.accuracy,
    )
