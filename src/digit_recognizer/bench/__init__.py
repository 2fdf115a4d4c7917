"""`make bench`: this project against the usual ways and against what the machine can do, side by side in the same minutes."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from digit_recognizer.bench.comparison import Row, compare
from digit_recognizer.workspace import Workspace

__all__ = ["Row", "compare", "workspace_with_data"]


@contextlib.contextmanager
def workspace_with_data(workspace: Workspace, say: Callable[[str], None]) -> Iterator[Workspace]:
    """Yield `workspace` if its input/ has data, else a passing one with the bundled digits; says which.

    Raises:
        UserError: the data is damaged.
    """
    from digit_recognizer.data import dataset, sources

    if (workspace.input / dataset.RECORD).exists():
        data = dataset.load_dataset(workspace)
        say(f"data: {data.source} of {workspace.input}, {len(data.labels):,} training images")
        yield workspace
        return
    with tempfile.TemporaryDirectory() as folder:
        inner = Workspace(Path(folder))
        sources.fetch("bundled", inner)
        say(f"data: bundled digits, {len(dataset.load_dataset(inner).labels):,} training images ({workspace.input} has none)")
        yield inner
