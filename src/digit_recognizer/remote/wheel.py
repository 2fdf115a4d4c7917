"""What another machine needs: this project's wheel, built from the running sources, and other pipelines.

Neither setuptools nor a network is needed.
"""

import base64
import hashlib
import importlib.metadata
import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from digit_recognizer.experiment import Pipeline
from digit_recognizer.workspace import INSTALLED, PIPELINES, Workspace

PACKAGE = Path(__file__).resolve().parents[1]
SUFFIXES = (".py", ".html", ".css", ".js")  # as in pyproject.toml
WHEEL = b"Wheel-Version: 1.0\nGenerator: digit-recognizer\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
TIME = (1980, 1, 1, 0, 0, 0)  # time stamp of all files, so that the same sources give the same wheel


def build_wheel() -> tuple[str, bytes]:
    """Return the wheel's file name and content: the package with its pipelines, as built by `pip wheel .`."""
    distribution = importlib.metadata.distribution("digit-recognizer")
    stem = f"digit_recognizer-{distribution.version}"
    entries = dict(_sources())
    entries[f"{stem}.dist-info/METADATA"] = (distribution.read_text("METADATA") or "").encode()
    entries[f"{stem}.dist-info/WHEEL"] = WHEEL
    entries[f"{stem}.dist-info/entry_points.txt"] = (distribution.read_text("entry_points.txt") or "").encode()
    record = "".join(f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in entries.items())
    entries[f"{stem}.dist-info/RECORD"] = f"{record}{stem}.dist-info/RECORD,,\n".encode()
    return f"{stem}-py3-none-any.whl", zipped(entries)


def own_pipelines(pipelines: Sequence[Pipeline], workspace: Workspace) -> dict[str, bytes]:
    """Return by name the files that are not in the wheel: all of the workspace, since one may load another, and `pipelines`."""
    own = workspace.root / "pipelines"
    paths = [*(() if own.resolve() == PIPELINES.resolve() else own.glob("*.py")), *(one.file for one in pipelines)]
    return {path.name: path.read_bytes() for path in paths if path.parent.resolve() != PIPELINES.resolve()}


def zipped(entries: dict[str, bytes]) -> bytes:
    """Return a zip file of these names and contents; the same entries give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name, TIME), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _sources() -> Iterator[tuple[str, bytes]]:
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix in SUFFIXES:
            yield f"digit_recognizer/{path.relative_to(PACKAGE).as_posix()}", path.read_bytes()
    for path in () if INSTALLED else sorted(PIPELINES.glob("*.py")):
        yield f"digit_recognizer/pipelines/{path.name}", path.read_bytes()


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
