"""Numbers as text, the same on a terminal and on pages."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from digit_recognizer.metrics import Estimate


def duration(seconds: float) -> str:
    """Return `40 s`, `12 min`, `3 h 20 min` or `2 days`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"


def interval(estimate: "Estimate") -> str:
    """Return `0.99571 (0.99503 to 0.99630)`: the value and its 95 % interval."""
    return f"{estimate.value:.5f} ({estimate.low:.5f} to {estimate.high:.5f})"
