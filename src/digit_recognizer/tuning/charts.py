"""A study's charts as SVG for its page."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial

from digit_recognizer.figures import SERIES, new_figure, set_scale, to_svg
from digit_recognizer.tuning import trials

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def history(complete: Sequence[FrozenTrial]) -> str:
    """Draw each complete trial's log loss over its number, with the best so far."""
    ordered = sorted(complete, key=lambda trial: trial.number)
    numbers, values = [trial.number for trial in ordered], np.array([trial.value for trial in ordered])
    figure = new_figure(6.4, 3.0)
    axes = figure.subplots()
    axes.step(numbers, np.minimum.accumulate(values), where="post", color=SERIES[1], linewidth=1.4, label="best so far")
    axes.plot(numbers, values, "o", markersize=4, color=SERIES[0], label="complete trial")
    start = next((trial for trial in ordered if trials.root(trial) == trials.START), None)
    if start:
        axes.plot(start.number, start.value, "D", markersize=6, color=SERIES[2], label="start")
    _scale_losses(axes, values)
    axes.set(xlabel="trial", ylabel="out-of-fold log loss")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, fontsize=8, ncols=3)
    return to_svg(figure)


def bars(values: Mapping[str, float], label: str) -> str:
    """Draw named values 0..1 as horizontal bars, in their order."""
    figure = new_figure(6.4, 0.7 + 0.3 * len(values))
    axes = figure.subplots()
    axes.barh(list(values), list(values.values()), color=SERIES[0], height=0.6)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    return to_svg(figure)


def slice_of(complete: Sequence[FrozenTrial], name: str) -> str:
    """Draw the log loss of the complete trials over one parameter."""
    having = [trial for trial in complete if name in trial.params]
    values = np.array([trial.value for trial in having])
    distribution = having[0].distributions[name]
    figure = new_figure(3.6, 2.6)
    axes = figure.subplots()
    if isinstance(distribution, CategoricalDistribution):
        labels = [str(choice) for choice in distribution.choices]
        axes.plot([labels.index(str(trial.params[name])) for trial in having], values, "o", markersize=4, color=SERIES[0])
        axes.set_xticks(range(len(labels)), labels)
        axes.set_xlim(-0.5, len(labels) - 0.5)
    else:
        places = [trial.params[name] for trial in having]
        axes.plot(places, values, "o", markersize=4, color=SERIES[0])
        if getattr(distribution, "log", False):
            axes.set_xscale("log")
    _scale_losses(axes, values)
    axes.set(xlabel=name, ylabel="log loss")
    return to_svg(figure)


def _scale_losses(axes: "Axes", values: np.ndarray) -> None:
    set_scale(axes, "log" if values.max() > 3 * values.min() else "linear")
