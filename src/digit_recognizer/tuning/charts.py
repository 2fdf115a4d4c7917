"""A study's charts as SVG for its page."""

from collections.abc import Mapping, Sequence

import numpy as np
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial

from digit_recognizer.figures import _SERIES, _figure, _svg
from digit_recognizer.tuning import trials


def history(complete: Sequence[FrozenTrial]) -> str:
    """Draw each complete trial's log loss over its number, with the best so far."""
    ordered = sorted(complete, key=lambda trial: trial.number)
    numbers, values = [trial.number for trial in ordered], np.array([trial.value for trial in ordered])
    figure = _figure(6.4, 3.0)
    axes = figure.subplots()
    axes.step(numbers, np.minimum.accumulate(values), where="post", color=_SERIES[1], linewidth=1.4, label="best so far")
    axes.plot(numbers, values, "o", markersize=4, color=_SERIES[0], label="complete trial")
    start = [trial for trial in ordered if trials.root(trial) == trials.START]
    axes.plot(
        [trial.number for trial in start], [trial.value for trial in start], "D", markersize=6, color=_SERIES[2], label="start"
    )
    _log_axis(axes.yaxis, values)
    axes.set(xlabel="trial", ylabel="out-of-fold log loss")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, fontsize=8, ncols=3)
    return _svg(figure)


def bars(values: Mapping[str, float], label: str) -> str:
    """Draw named values 0..1 as horizontal bars, in their order."""
    figure = _figure(6.4, 0.7 + 0.3 * len(values))
    axes = figure.subplots()
    axes.barh(list(values), list(values.values()), color=_SERIES[0], height=0.6)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    return _svg(figure)


def slice_of(complete: Sequence[FrozenTrial], name: str) -> str:
    """Draw the log loss of the complete trials over one parameter."""
    having = [trial for trial in complete if name in trial.params]
    values = np.array([trial.value for trial in having])
    distribution = having[0].distributions[name]
    figure = _figure(3.6, 2.6)
    axes = figure.subplots()
    if isinstance(distribution, CategoricalDistribution):
        labels = [str(choice) for choice in distribution.choices]
        axes.plot([labels.index(str(trial.params[name])) for trial in having], values, "o", markersize=4, color=_SERIES[0])
        axes.set_xticks(range(len(labels)), labels)
        axes.set_xlim(-0.5, len(labels) - 0.5)
    else:
        places = [trial.params[name] for trial in having]
        axes.plot(places, values, "o", markersize=4, color=_SERIES[0])
        if getattr(distribution, "log", False):
            axes.set_xscale("log")
    _log_axis(axes.yaxis, values)
    axes.set(xlabel=name, ylabel="log loss")
    return _svg(figure)


def _log_axis(axis: "object", values: np.ndarray) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    if values.max() < 3 * values.min():
        return
    axis.axes.set_yscale("log")
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
