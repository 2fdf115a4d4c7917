"""In a notebook that has TensorFlow, installing the package leaves TensorFlow and what it needs as they are."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _names(lines):
    return {re.split(r"[\[<>=!; ]", line.strip())[0].lower() for line in lines if line.strip() and line.strip()[0] not in "#-"}


def test_package_does_not_ask_for_tensorflow_nor_for_certain_versions():
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert "tensorflow" not in _names(dependencies)
    assert [line for line in dependencies if re.search("[=<~]=?", line.replace(">=", ""))] == []


def test_make_pins_whatever_the_package_needs():
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    pinned = (ROOT / "requirements.txt").read_text().splitlines()
    through_others = {"pillow", "scipy"}  # of matplotlib and scikit-learn
    assert _names(dependencies) - through_others <= _names(pinned)
    assert all("==" in line for line in pinned if line and line[0] not in "#-")
