"""Numbers and times as text, the same on a terminal, on pages and in files."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from digit_recognizer.metrics import Comparison, Estimate


def duration(seconds: float) -> str:
    """Return `40 s`, `12 min`, `3 h 20 min` or `2 days`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"


def utc_now() -> str:
    """Return the present time in ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def decimals(value: float | None) -> str:
    """Return `0.99571`, with as many decimals as Kaggle's scores; empty for None."""
    return "" if value is None else f"{value:.5f}"


def setting(value: Any) -> str:
    """Return a setting's value, a float with four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def interval(estimate: "Estimate") -> str:
    """Return `0.99571 (0.99503 to 0.99630)`: the value and its 95 % interval."""
    return f"{estimate.value:.5f} ({estimate.low:.5f} to {estimate.high:.5f})"


def p_text(p_value: float) -> str:
    """Return `p = 0.031`, or `p < 0.001`."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"


def winner(first: str, second: str, comparison: "Comparison") -> str:
    """Return which of two, by name, is better: `b is better: 58 more of 42,000 images right (p < 0.001, ...)`."""
    from digit_recognizer.metrics import SIGNIFICANT

    better, sign = (first, 1) if comparison.images >= 0 else (second, -1)
    low, high = sorted(round(sign * bound * comparison.rows) for bound in comparison.accuracy_difference[1:])
    more = f"{abs(comparison.images):,} more of {comparison.rows:,} images right"
    certainty = f"({p_text(comparison.p_value)}, 95 % interval {low:,} to {high:,})"
    if comparison.p_value < SIGNIFICANT:
        return f"{better} is better: {more} {certainty}"
    return f"no significant difference between {first} and {second}: {better} has {more} {certainty}"
