"""Rendering of templates/ to self-contained HTML files, with one Jinja environment for all pages."""

import functools
import html
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digit_recognizer import files
from digit_recognizer.formatting import decimals, duration, interval, setting, winner
from digit_recognizer.report.digit_sheet import DigitSheet, percent

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def code(text: str) -> "Markup":
    """Return a text as HTML with its `words` in backticks as code."""
    from markupsafe import Markup

    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text)))


FILTERS = {
    "interval": interval,
    "duration": duration,
    "decimals": decimals,
    "thousands": "{:,}".format,
    "percent": percent,
    "setting": setting,
    "code": code,
}


def write_page(path: Path, template: str, **values: Any) -> Path:
    """Fill `template` with `values`, write it to `path` and return `path`; values are HTML-escaped."""
    files.write_text(path, environment().get_template(template).render(values))
    return path


@functools.cache
def environment() -> "Environment":
    """Return the environment of all pages; undefined names in a template are errors."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("digit_recognizer.report")
    result = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    result.filters |= FILTERS
    result.globals |= {"sheet_columns": DigitSheet.columns, "winner": winner}
    return result
