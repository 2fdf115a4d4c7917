"""bench: this project timed against common alternatives."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from digit_recognizer.cli.console import Console, Table, make_console, spinner
from digit_recognizer.cli.parser import Command, Parser, UsageError
from digit_recognizer.errors import UserError
from digit_recognizer.formatting import duration, interval
from digit_recognizer.workspace import Workspace

if TYPE_CHECKING:
    from digit_recognizer.bench import Row
    from digit_recognizer.bench.gpu import MatrixRate, RehearsedPart, Training


def bench(workspace: Workspace, full: bool = False, gpu: bool = False) -> None:
    """Time this project against common alternatives on this machine."""
    from digit_recognizer import backend
    from digit_recognizer.bench import compare, workspace_with_data

    console = make_console()
    if gpu:
        _bench_gpus(workspace, full, console)
        return
    with spinner(console, "looking for data") as on_progress, workspace_with_data(workspace, console.print) as filled:
        rows = list(compare(filled, full, on_progress))
    console.print(benchmark_table(rows, backend.device()))


def _bench_gpus(workspace: Workspace, full: bool, console: Console) -> None:
    """Train the pipelines for GPUs and print each result as soon as it is measured."""
    from digit_recognizer import backend
    from digit_recognizer.bench import workspace_with_data
    from digit_recognizer.bench.gpu import measure_gpus

    if full:
        raise UsageError("FULL=1 has no effect with GPU=1: leave one of them out")
    if not backend.gpus():
        raise UserError("GPU=1: nvidia-smi lists no GPU here; `make bench` measures the CPU")
    with spinner(console, "looking for data") as on_progress, workspace_with_data(workspace, console.print) as filled:
        console.print(f"{backend.device()}, {backend.name()}")
        for result in measure_gpus(filled, on_progress):
            console.print(gpu_line(result))


def gpu_line(result: "MatrixRate | Training | RehearsedPart") -> str:
    from digit_recognizer.bench.gpu import MatrixRate, Training

    if isinstance(result, MatrixRate):
        return f"matrix products, {result.precision}: {result.operations / 1e12:,.1f} TFLOP/s"
    if isinstance(result, Training):
        speed = f"{result.images_per_second:,.0f} images/s, {result.reached:.1%} of the matrix rate"
        scores = f"out of fold {interval(result.accuracy)}"
        return f"{result.name}: {result.models} models in {duration(result.seconds)}, {speed}, {scores}"
    return f"{result.name}: one part rehearsed in {duration(result.seconds)}, {interval(result.accuracy)}"


def benchmark_table(rows: Sequence["Row"], device: str) -> Table:
    """Return the benchmark's rows, ratios first."""
    columns = (">ratio", "lowest to highest", "goal", "what", "this project", "alternative", "limit", ">reached")
    cells = (
        (
            f"{row.ratio:.2f}",
            f"{min(row.ratios):.2f} to {max(row.ratios):.2f}",
            row.goal and f">= {row.goal:g}",
            row.what,
            row.ours,
            row.usual,
            row.limit,
            None if row.reached is None else f"{row.reached:.0%}",
        )
        for row in rows
    )
    return Table(f"Benchmark on {device}: medians of repeated timings", columns, cells)


def _add_options(parser: Parser) -> None:
    parser.add_argument("--full", action="store_true", help="also measure the time to given accuracies")
    parser.add_argument("--gpu", action="store_true", help="instead train fast, flagship_gpu and deotte on the GPUs here")


COMMANDS = (Command(bench, _add_options),)
