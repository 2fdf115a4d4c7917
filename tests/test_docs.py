"""The commands in README and docs/ exist."""

import re
import shlex
from pathlib import Path

import pytest

from digit_recognizer import experiment
from digit_recognizer.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if page.stem != "journal"]
COMMAND = re.compile(r"(?:^ {4}|`)(?:KERAS_BACKEND=\w+ )?(make [^`\n#]+)", re.M)


def typed_commands():
    return [
        pytest.param(command, id=f"{page.stem}: {command}") for page in PAGES for command in COMMAND.findall(page.read_text())
    ]


@pytest.mark.parametrize("command", typed_commands())
def test_make_takes_each_command_that_is_shown(command):
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    takes = {name: variables.split() for name, variables in re.findall(r"^takes\.([a-z]+) :=(.*)", makefile, re.M)}
    words = shlex.split(command)[1:]
    goals = [word for word in words if "=" not in word]
    assert set(goals) <= targets
    for word in words:
        name, is_variable, _ = word.partition("=")
        assert not is_variable or any(name in takes.get(goal, ()) for goal in goals), name


@pytest.mark.parametrize("number", range(2))
def test_whole_pipelines_that_are_shown_load(tmp_path, number):
    blocks = re.findall(r"```python\n(\"\"\".*?)```", (ROOT / "docs" / "pipelines.md").read_text(), re.S)
    file = tmp_path / "pipelines" / "mine.py"
    file.parent.mkdir()
    file.write_text(blocks[number])
    assert experiment.load("mine", Workspace(tmp_path)).experiment.network is not None


def test_links_and_pictures_exist_and_pictures_are_small():
    for page in (*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "docs" / "journal.md"):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            path = page.parent / target
            assert path.exists(), f"{page.name}: {target}"
            assert path.suffix != ".png" or path.stat().st_size < 150_000, f"{target}: run docs/make_screenshots.py"


def test_readme_fits_in_two_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
