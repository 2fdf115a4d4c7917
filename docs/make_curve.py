"""Draw docs/images/curve.png: rehearsed accuracy by training time, for the average of more and more models.

    make rehearse PIPELINE=flagship PARTS=0,1,2
    .venv/bin/python docs/make_curve.py 0.5 flagship

The first argument is the training time of a model in minutes; the others are runs that were rehearsed on the same parts.
Averages one, two, five, ten ... models of the runs of all rehearsed parts, in the order of their seeds, and takes the mean over
all such groups. Prints the figures as a table, too.
"""

import sys
from pathlib import Path

import numpy as np

from digit_recognizer import metrics
from digit_recognizer.data.dataset import load_test_labels
from digit_recognizer.figures import default_style
from digit_recognizer.rehearsal.parts import existing_parts, part_workspace
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.results import Predictions
from digit_recognizer.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
COUNTS = (1, 2, 5, 10, 20, 40)


def main() -> None:
    """Print the figures and draw the picture."""
    if len(sys.argv) < 3:
        sys.exit("name the minutes per model and the runs: see the top of this file")
    minutes, runs, workspace = float(sys.argv[1]), sys.argv[2:], Workspace(Path.cwd())
    parts = [part for part in existing_parts(workspace) if all(_run(workspace, part, run).path.exists() for run in runs)]
    if not parts:
        sys.exit("name runs that were trained in rehearsal/part_0, ...: see the top of this file")
    wrong = dict.fromkeys(COUNTS, 0.0)
    images = 0
    for part in parts:
        labels = load_test_labels(part_workspace(workspace, part))
        models = np.stack([test for run in runs for test in _test_probabilities(_run(workspace, part, run))])
        images += len(labels)
        wrong = {count: wrong[count] + _wrong(models, labels, count) for count in wrong if count <= len(models)}
    print("| models averaged | minutes | wrong of", f"{images:,}", "| rehearsed |\n| --- | --- | --- | --- |")
    for count, number in wrong.items():
        print(f"| {count} | {count * minutes:.1f} | {number:.1f} | {1 - number / images:.5f} |")
    draw(wrong, images, minutes, ROOT / "docs" / "images" / "curve.png")


def _run(workspace: Workspace, part: int, run: str) -> RunFolder:
    return RunFolder.of(part_workspace(workspace, part), run)


def _test_probabilities(run: RunFolder) -> list[np.ndarray]:
    """Return each model's probabilities of the test images, float32 (n, classes), seed by seed."""
    return [Predictions.read(run.member(member).predictions).test for member in run.finished()]


def _wrong(models: np.ndarray, labels: np.ndarray, count: int) -> float:
    """Return how many images the average of `count` models gets wrong: the mean over all groups of consecutive models."""
    groups = [models[first : first + count] for first in range(0, len(models) - count + 1, count)]
    return float(np.mean([(group.mean(axis=0).argmax(axis=1) != labels).sum() for group in groups]))


@default_style()
def draw(wrong: dict[int, float], images: int, minutes: float, path: Path) -> None:
    """Write a PNG of the accuracy by the training time, with 95 % intervals; a model takes `minutes`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    times = np.array(list(wrong)) * minutes
    estimates = [metrics.proportion(round(images - number), images) for number in wrong.values()]
    values = np.array([estimate.value for estimate in estimates])
    spread = np.abs(np.array([(estimate.low, estimate.high) for estimate in estimates]).T - values)
    axes.errorbar(times, values, yerr=spread, marker="o", capsize=3, color="#3366aa")
    axes.set_xscale("log")
    ticks = [f"{time:.2g} min\n{count} model{'s' * (count > 1)}" for time, count in zip(times, wrong, strict=True)]
    axes.set_xticks(times, ticks)
    axes.minorticks_off()
    axes.set_xlabel("training time on two cores")
    axes.set_ylabel("rehearsed accuracy")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    main()
