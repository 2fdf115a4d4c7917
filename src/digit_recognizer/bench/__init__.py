"""`make bench`: this project's speed, compared with common alternatives and with the limits of the machine."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from digit_recognizer.bench.comparison import Row, compare
from digit_recognizer.workspace import Workspace

__all__ = ["Row", "compare", "workspace_with_data"]


@contextlib.contextmanager
def workspace_with_data(workspace: Workspace, on_progress: Callable[[str], None]) -> Iterator[Workspace]:
    """Yield `workspace` if its input/ has data, else a temporary one with the bundled digits; report which by `on_progress`.

    Raises:
        UserError: the data is damaged.
    """
    from digit_recognizer.data import dataset, sources

    if (workspace.input / dataset.RECORD).exists():
        data = dataset.load_dataset(workspace)
        on_progress(f"data: {data.source} in {workspace.input}, {len(data.labels):,} training images")
        yield workspace
        return
    with tempfile.TemporaryDirectory() as folder:
        inner = Workspace(Path(folder))
        sources.fetch("bundled", inner)
        count = len(dataset.load_dataset(inner).labels)
        on_progress(f"data: bundled digits, {count:,} training images ({workspace.input} has no data)")
        yield inner
