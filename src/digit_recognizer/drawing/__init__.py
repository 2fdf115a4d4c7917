"""The drawing page: static files with which a run's models classify a drawn digit in the browser."""

import errno
from collections.abc import Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from digit_recognizer import files
from digit_recognizer.data.digit_images import are_digits
from digit_recognizer.drawing import network, runtime
from digit_recognizer.errors import UserError
from digit_recognizer.formatting import interval
from digit_recognizer.metrics import Estimate
from digit_recognizer.report import rendering
from digit_recognizer.runs.records import TrainingData

_SCRIPTS = Path(__file__).parent / "scripts"


def check_data(data: TrainingData) -> None:
    """Check the data that a run was trained on, before its models are loaded.

    Raises:
        UserError: the data is not grey digits of 28x28, the format of drawings.
    """
    if not are_digits(data.classes, data.image_shape):
        height, width, channels = data.image_shape
        raise UserError(
            f"this run was trained on {data.source} ({len(data.classes)} classes, {height}x{width}x{channels}): "
            "the drawing page is for runs on grey digits of 28x28"
        )


def export(models: Sequence[Any], folder: Path, run: str, accuracy: Estimate | None) -> Path:
    """Write the page, the average of the models as one ONNX graph, and its runtime; return the page's index.html.

    Any web server can serve the folder under any path, without access to other hosts. An earlier export is replaced.

    Args:
        models: Keras models from grey pixels 0..255 (batch, 28, 28, 1) to probabilities (batch, 10).
        run: the run's name, shown on the page with its out-of-fold accuracy.

    Raises:
        UserError: Keras's backend can't export, or npm is missing or can't download the runtime.
        OSError: the folder can't be written, or it is or holds a link, which would serve what is behind it.
    """
    if any(path.is_symlink() for path in (folder, *folder.rglob("*"))):
        raise OSError(errno.ELOOP, "it is or holds a symbolic link", str(folder))
    runtime.download(folder)
    with files.atomic(folder / "model.onnx") as temporary:
        network.write_onnx(models, temporary)
    caption = f"Run {run}: mean of {len(models)} models" if len(models) > 1 else f"Run {run}: one model"
    if accuracy:
        caption += f"; out-of-fold accuracy {interval(accuracy)}"
    for path in _SCRIPTS.iterdir():
        files.write_text(folder / path.name, path.read_text(encoding="utf-8"))
    return rendering.write_page(folder / "index.html", "draw.html", caption=caption)


def make_server(folder: Path, host: str = "127.0.0.1", port: int = 0) -> ThreadingHTTPServer:
    """Return a web server for the folder; `serve_forever()` runs it. Port 0 is any free one (`server_port`).

    Raises:
        OSError: the port is in use, or the address can't be used.
    """
    return ThreadingHTTPServer((host, port), partial(_QuietHandler, directory=str(folder)))


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Print nothing."""
