"""onnxruntime-web, which runs the graph in the browser: downloaded with npm, pinned and checked."""

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from digit_recognizer import files
from digit_recognizer.errors import UserError

PACKAGE = "onnxruntime-web@1.30.0"
# File of the page -> file in the package, SHA-256. The first is named .js, since some web servers don't know .mjs.
FILES = {
    "ort.js": ("ort.wasm.bundle.min.mjs", "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90"),
    "ort-wasm-simd-threaded.wasm": (
        "ort-wasm-simd-threaded.wasm",
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    ),
}


def download(folder: Path) -> None:
    """Download the runtime to the folder, unless it is there and intact.

    Raises:
        UserError: npm is missing or fails, or a file has the wrong SHA-256.
    """
    if all((folder / name).is_file() and files.sha256_of(folder / name) == digest for name, (_, digest) in FILES.items()):
        return
    with tempfile.TemporaryDirectory() as temporary:
        archive = _pack(Path(temporary))
        with tarfile.open(archive) as package:
            for name, (member, digest) in FILES.items():
                with files.atomic(folder / name) as path:
                    with package.extractfile(f"package/dist/{member}") as source, path.open("wb") as target:
                        shutil.copyfileobj(source, target)
                    if files.sha256_of(path) != digest:
                        raise UserError(f"{member} of {PACKAGE} has the wrong SHA-256: check npm's registry setting")


def _pack(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise UserError("the drawing page needs npm to download its runtime: install Node.js (https://nodejs.org)")
    command = [npm, "pack", PACKAGE, "--prefer-offline", "--pack-destination", str(folder)]
    finished = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if finished.returncode:
        codes = [line.split()[-1] for line in finished.stderr.splitlines() if line.startswith("npm") and " code " in line]
        reason = codes[0] if codes else f"exit status {finished.returncode}"
        raise UserError(f"npm can't download {PACKAGE} ({reason}): check the network and try again")
    return next(folder.glob("*.tgz"))
