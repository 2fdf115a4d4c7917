"""Files that are never half written: every artefact goes to a temporary name, is flushed, then renamed."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from digit_recognizer.errors import UserError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block ends well, it is flushed and renamed to `path`.

    The temporary file keeps the suffix of `path` (Keras looks at it) and is removed when the block fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporaries(folder: Path) -> None:
    """Delete what `atomic` left anywhere in `folder` when its process was killed."""
    for path in folder.rglob(".*"):
        match = re.fullmatch(r"\..+\.(\d+)(\.[^.]+)?", path.name)
        if match and not _running(int(match[1])):
            path.unlink(missing_ok=True)


def _running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # somebody else's; no process id at all
        return True
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"  # ended, but not yet reaped
    except OSError:  # no Linux
        return True


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, line ends as given."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with the keys in their order."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Write named arrays; `read_npz` reads them back."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def read_json(path: Path) -> Any:
    """Return the parsed file.

    Raises:
        UserError: it is missing, unreadable or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path} can't be read ({error}): delete it and run the command again") from error


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Return all arrays of the file; the archive's CRC-32 sums are checked on the way.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except Exception as error:  # a damaged zip raises anything from BadZipFile to zlib.error to KeyError
        raise UserError(f"{path} is damaged ({type(error).__name__}: {error})") from error


def sha256_of(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_arrays(*arrays: np.ndarray) -> str:
    """Return the SHA-256 over dtype, shape and bytes of the arrays, so line ends and packing of their source don't matter."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
