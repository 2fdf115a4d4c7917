"""Filling the templates: what all pages share."""

from pathlib import Path
from typing import Any

from digit_recognizer import files
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.formatting import duration, interval
from digit_recognizer.report.digits import COLUMNS, DigitSheet, Picture, percent
from digit_recognizer.runs.run import Run


def write_page(path: Path, template: str, dataset: Dataset, sheet: DigitSheet, **values: Any) -> Path:
    """Fill `template` and write it to `path` as one self-contained file; return `path`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("digit_recognizer", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"interval": interval, "duration": duration, "decimals": decimals}
    shared = {"dataset": dataset, "classes": dataset.classes, "sheet": sheet, "sheet_columns": COLUMNS}
    files.write_text(path, environment.get_template(template).render(shared | values))
    return path


def training_picture(sheet: DigitSheet, dataset: Dataset, run: Run, row: int) -> Picture:
    """Caption a training digit with its label, the run's prediction, its probability, the row and the fold."""
    label, prediction = dataset.classes[run.labels[row]], dataset.classes[run.predictions[row]]
    lines = [percent(run.confidence[row]), f"row {row}, fold {run.fold[row]}"]
    return Picture(sheet.train(row), f"{label} → {prediction}", lines)


def decimals(value: float) -> str:
    """Return an accuracy as Kaggle prints it."""
    return f"{value:.5f}"
