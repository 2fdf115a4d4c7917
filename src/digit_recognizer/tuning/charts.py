"""Optuna's charts of a study, as SVG in the style of the pages."""

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from optuna import Study

from digit_recognizer.figures import INK, SERIES, default_style, set_scale, to_svg
from digit_recognizer.tuning import trials

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOSS = "out-of-fold log loss"


def history(study: Study) -> str:
    """Draw each complete trial's log loss over its number, and the best so far."""
    with _pyplot(6.4, 3.0):
        from optuna.visualization.matplotlib import plot_optimization_history

        axes = plot_optimization_history(study, target_name=LOSS)
    for trial in filter(trials.is_baseline, trials.complete(study.get_trials(deepcopy=False))):
        axes.plot(trial.number, trial.value, "D", markersize=7, color=SERIES[2], label="baseline trial")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, fontsize=8, ncols=3)
    return _svg(axes)


def importances(study: Study) -> str:
    """Draw the importance of each parameter."""
    with _pyplot(6.4, 3.0):
        from optuna.visualization.matplotlib import plot_param_importances

        axes = plot_param_importances(study)
    axes.set(xlabel="share of the variance explained", ylabel="")
    axes.get_legend().remove()
    return _svg(axes)


def slice_of(study: Study, parameter: str) -> str:
    """Draw the log loss of the complete trials over one parameter; the colour is the trial's number."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    with _pyplot(3.8, 2.6):
        from optuna.visualization.matplotlib import plot_slice

        axes = plot_slice(study, [parameter], target_name=LOSS)
    axes.collections[0].set_cmap("cool")  # visible on light and dark pages
    if axes.get_xscale() == "log":
        low, high = axes.get_xlim()
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if high / low < 50 else (1.0,), numticks=5))  # room for five
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    return _svg(axes)


@contextlib.contextmanager
def _pyplot(width: float, height: float) -> Iterator[None]:
    """Restore pyplot's settings, which Optuna's functions change, after the block."""
    style = {"figure.figsize": (width, height), "figure.constrained_layout.use": True}
    with default_style(**style), warnings.catch_warnings():
        if "matplotlib.pyplot" not in sys.modules:
            import matplotlib

            matplotlib.use("agg")  # needs no display
        warnings.simplefilter("ignore")  # experimental functions; axes with a single value
        yield


def _svg(axes: "Axes") -> str:
    """Return Optuna's drawing with the pages' colours and no title, which the page has."""
    from matplotlib import pyplot
    from matplotlib.text import Text

    figure = axes.figure
    if len(figure.axes) == 1:  # with a colour bar the layout can't be changed
        figure.set_layout_engine("constrained")
    for place in ("left", "center"):
        axes.set_title("", loc=place)
    low, high = axes.dataLim.intervaly
    if axes.get_ylabel() == LOSS and high > 3 * low > 0:
        set_scale(axes, "log")
    for one in figure.axes:
        one.tick_params(which="both", colors=INK)
    for text in figure.findobj(Text):
        text.set_color(INK)
    pyplot.close(figure)
    return to_svg(figure)
