"""The pipeline files that another machine needs in addition to the project's wheel."""

from collections.abc import Sequence

from digit_recognizer.experiment import Pipeline
from digit_recognizer.workspace import PIPELINES, Workspace


def own_pipelines(pipelines: Sequence[Pipeline], workspace: Workspace) -> dict[str, bytes]:
    """Return by name the files that are not in the wheel: all of the workspace, since one may load another, and `pipelines`."""
    own = workspace.root / "pipelines"
    paths = [*(() if own.resolve() == PIPELINES.resolve() else own.glob("*.py")), *(one.file for one in pipelines)]
    return {path.name: path.read_bytes() for path in paths if path.parent.resolve() != PIPELINES.resolve()}
