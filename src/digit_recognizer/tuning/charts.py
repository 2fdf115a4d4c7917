"""Optuna's charts of a study, as SVG in the style of the pages."""

import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from optuna import Study

from digit_recognizer.figures import INK, SERIES, set_scale, to_svg
from digit_recognizer.tuning import trials

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOSS = "out-of-fold log loss"


def history(study: Study) -> str:
    """Draw each complete trial's log loss over its number, and the best so far."""

    def draw() -> "Axes":
        from optuna.visualization.matplotlib import plot_optimization_history

        axes = plot_optimization_history(study, target_name=LOSS)
        for trial in filter(trials.is_baseline, trials.complete(study.get_trials(deepcopy=False))):
            axes.plot(trial.number, trial.value, "D", markersize=7, color=SERIES[2], label="baseline trial")
        axes.xaxis.get_major_locator().set_params(integer=True)
        return axes

    return _svg(draw, 6.4, 3.0)


def importances(study: Study) -> str:
    """Draw the importance of each parameter."""

    def draw() -> "Axes":
        from optuna.visualization.matplotlib import plot_param_importances

        axes = plot_param_importances(study)
        axes.set(xlabel="share of the variance explained", ylabel="")
        axes.get_legend().remove()
        return axes

    return _svg(draw, 6.4, 3.0)


def slice_of(study: Study, parameter: str) -> str:
    """Draw the log loss of the complete trials over one parameter; later trials are darker."""

    def draw() -> "Axes":
        from optuna.visualization.matplotlib import plot_slice

        return plot_slice(study, [parameter], target_name=LOSS)

    return _svg(draw, 3.8, 2.6)


def _svg(draw: Callable[[], "Axes"], width: float, height: float) -> str:
    """Return what one of Optuna's functions draws, which use pyplot and its ggplot style, in the style of the pages."""
    import matplotlib

    if "matplotlib.pyplot" not in sys.modules:
        matplotlib.use("agg")  # needs no screen
    from matplotlib import pyplot
    from matplotlib.text import Text
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    style = {"figure.figsize": (width, height), "figure.constrained_layout.use": True}
    with pyplot.rc_context(style), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental functions; axes of a single value
        axes = draw()
    figure = axes.figure
    try:
        if len(figure.axes) == 1:  # a layout can't be changed beside a colour bar
            figure.set_layout_engine("constrained")
        axes.set_title("", loc="left" if axes.get_title(loc="left") else "center")
        losses = [value for value in axes.dataLim.intervaly if value > 0]
        if axes.get_ylabel() == LOSS and len(losses) == 2 and losses[1] > 3 * losses[0]:
            set_scale(axes, "log")
        if axes.get_xscale() == "log":
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=7))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        if axes.get_legend():
            axes.legend(frameon=False, fontsize=8, ncols=3)
        for one in figure.axes:
            one.tick_params(which="both", colors=INK)
        for text in figure.findobj(Text):
            text.set_color(INK)
        return to_svg(figure)
    finally:
        pyplot.close(figure)
