"""A wheel of this project, and virtual environments for it with the libraries of the running one."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def build_wheel(folder: Path) -> Path:
    """Build the wheel in `folder` from a copy of the sources, without a network; return its path."""
    copy = folder / "sources"
    for name in ("src", "pipelines"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    pip("wheel", "--no-build-isolation", "--no-deps", "--no-index", f"--wheel-dir={folder}", str(copy))
    return next(folder.glob("digit_recognizer-*.whl"))


def create_environment(folder: Path, without: Iterable[str] = ()) -> Path:
    """Create a virtual environment with the running one's libraries, except this project and `without`; return its Python.

    The libraries are linked into one folder, so that the omitted ones can neither be imported nor found by pip.
    """
    venv.create(folder, with_pip=False)
    libraries = folder / "libraries"
    libraries.mkdir()
    left_out = ("digit_recognizer", "__editable__", *without)
    for path in map(Path, sys.path):
        if path.name in ("site-packages", "dist-packages"):
            for entry in path.iterdir():
                if not entry.name.startswith(left_out) and not (libraries / entry.name).exists():
                    (libraries / entry.name).symlink_to(entry)
    site_packages = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    (Path(site_packages) / "libraries.pth").write_text(f"{libraries}\n")
    return folder / "bin" / "python"


def environment_variables(python: Path) -> dict[str, str]:
    """Return this process's variables with that environment's programs first and without the repository's sources."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**variables, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}


def pip(*words: str) -> None:
    """Run pip, which must succeed."""
    done = subprocess.run([sys.executable, "-m", "pip", "--quiet", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
