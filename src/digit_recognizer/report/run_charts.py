"""A run's learning curves and the accuracies of its folds, as SVG."""

from digit_recognizer import figures
from digit_recognizer.runs.member import Member
from digit_recognizer.runs.run import Run


def learning_curves(run: Run) -> dict[str, str]:
    """Return charts by title: loss, accuracy and learning rate of each member, and accuracy within epochs if measured."""
    charts = {
        "Loss": _chart(run, "loss", "log"),
        "Accuracy": _chart(run, "accuracy", "accuracy"),
        "Learning rate": _chart(run, "learning_rate", "linear"),
    }
    within = [
        figures.Line(result.steps["step"], result.steps["val_accuracy"], _colour(result.member), _name(run, result.member))
        for result in run.members
        if result.steps is not None
    ]
    if within:
        charts["Accuracy on 1,000 validation images"] = figures.lines_svg(within, "step", "accuracy", "accuracy")
    return charts


def _chart(run: Run, column: str, scale: figures.Scale) -> str:
    lines = []
    for result in run.members:
        history, colour = result.history, _colour(result.member)
        shown = history[column]
        validation = history.get(f"val_{column}")
        if validation is not None and validation.notna().any():
            lines.append(figures.Line(history["epoch"], shown, colour, dashed=True))
            shown = validation
        kept = result.metrics.kept_epoch
        lines.append(figures.Line(history["epoch"], shown, colour, _name(run, result.member), mark=kept))
    return figures.lines_svg(lines, "epoch", column.replace("_", " "), scale)


def _colour(member: Member) -> int:
    return member.seed if member.fold is None else member.fold


def _name(run: Run, member: Member) -> str:
    """Return the member's name in the legend; each fold is named once."""
    if member.fold is None:
        return f"all of train, seed {member.seed}"
    return f"fold {member.fold}" if member.seed == run.members[0].member.seed else ""


def fold_boxes(run: Run) -> str:
    """Draw the accuracies of the folds by seed, and those of the mean of several seeds."""
    groups: dict[str, list[float]] = {}
    for result in run.members:
        if result.member.fold is not None:
            groups.setdefault(f"seed {result.member.seed}", []).append(result.metrics.accuracy)
    if len(groups) > 1:
        groups["mean of seeds"] = [fold.value for fold in run.fold_accuracies.values()]
    return figures.boxes_svg(groups, "accuracy of a fold")
