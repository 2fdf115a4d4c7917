"""Atomic writes: every file is written under a temporary name, flushed, then renamed. Also locks and checksums."""

import dataclasses
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

from digit_recognizer.errors import DamagedError, UserError, first_line

CHECKSUM = "checksum"  # the last field of a record: SHA-256 of the others
Record = TypeVar("Record")

OnProgress = Callable[[str], None]  # called with a line of text about what is being done now


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; if the block succeeds, it is flushed and renamed to `path`.

    The temporary file has the suffix of `path`, which Keras checks, and is removed if the block fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        if error.filename == str(temporary):
            error.filename = str(path)  # the name that a message shows
        raise
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporaries(folder: Path) -> None:
    """Delete the temporary files of killed processes anywhere in `folder`."""
    for path in folder.rglob(".*"):
        match = re.fullmatch(r"\..+\.(\d+)(\.[^.]+)?", path.name)
        if match and not _running(int(match[1])):
            path.unlink(missing_ok=True)


def _running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # another user's process; not a process id
        return True
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"  # Z: a zombie process
    except OSError:  # not Linux
        return True


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_to_append(path: Path, buffering: int = -1) -> IO[bytes]:
    """Open a file to read it and to append to it. A link is refused: in somebody else's folder it may lead anywhere.

    Raises:
        OSError: the file is a link, or can't be written.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o666), "ab+", buffering)


def lock(file: IO[Any] | int, busy: Callable[[], str] | None = None) -> None:
    """Lock an open file or folder exclusively until it is closed; the kernel closes it when the process ends.

    Args:
        busy: returns the error message if another process has the lock; None waits for that process instead.

    Raises:
        UserError: another process has the lock, and `busy` is given.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
    except BlockingIOError:
        raise UserError(busy()) from None  # only raised with LOCK_NB


def is_locked(path: Path) -> bool:
    """Return whether a process has locked a file; False if there is no such file or it can't be read."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 without changing line ends."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Write named arrays; `read_npz` reads them back."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def write_record(path: Path, record: Any) -> None:
    """Write a dataclass as JSON; `read_record` reads it back."""
    write_text(path, record_text(record))


def record_text(record: Any) -> str:
    """Return a dataclass as JSON, followed by a checksum of its content; fields that are None by default are left out."""
    optional = {item.name for item in dataclasses.fields(record) if item.default is None}
    content = {name: value for name, value in dataclasses.asdict(record).items() if value is not None or name not in optional}
    return json.dumps(content | {CHECKSUM: _checksum(content)}, indent=2, ensure_ascii=False) + "\n"


def read_record(path: Path, kind: type[Record], remedy: str) -> Record:
    """Return the dataclass that `write_record` wrote.

    Args:
        remedy: what the user can do if the file is damaged.

    A file without a checksum is accepted if all its fields have the right type.

    Raises:
        DamagedError: the file is missing, doesn't match its checksum, or a field is missing or has the wrong type; the
            message names the field.
        UserError: the file can't be read.
    """
    import pydantic

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it holds no JSON object")
        checksum = content.pop(CHECKSUM, None)
        if checksum is not None and checksum != _checksum(content):
            raise ValueError("its content doesn't match its checksum")
        return pydantic.TypeAdapter(kind).validate_json(json.dumps(content), strict=True)
    except FileNotFoundError:
        raise DamagedError(f"{path} is missing", remedy) from None
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from error
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise DamagedError(f"{path} is damaged (field {field}: {first['msg']})", remedy) from None
    except ValueError as error:  # includes errors in JSON and UTF-8
        raise DamagedError(f"{path} is damaged ({first_line(error)})", remedy) from None


def _checksum(content: Mapping[str, Any]) -> str:
    as_read = json.loads(json.dumps(content))  # turns tuples into lists and keys into strings
    return hashlib.sha256(json.dumps(as_read, sort_keys=True).encode()).hexdigest()


def read_npz(path: Path, **expected: str) -> dict[str, np.ndarray]:
    """Return all arrays of the file; NumPy checks the archive's CRC-32 checksums.

    Args:
        expected: required arrays, such as `name="int 1"`: kind (int or float) and number of dimensions.

    Raises:
        UserError: the file is missing or damaged, or an array is missing or has the wrong type; the message names the array.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except Exception as error:  # a damaged zip raises anything from BadZipFile to zlib.error to KeyError
        raise UserError(f"{path} is damaged ({type(error).__name__}: {first_line(error)})") from error
    for name, description in expected.items():
        kind, dimensions = description.split()
        if name not in arrays:
            raise UserError(f"{path} is damaged (it has no array '{name}')")
        kinds = {"int": np.integer, "float": np.floating}
        if not np.issubdtype(arrays[name].dtype, kinds[kind]) or arrays[name].ndim != int(dimensions):
            found = f"{arrays[name].dtype}, {arrays[name].ndim} dimensions"
            raise UserError(f"{path} is damaged (array '{name}' must be {kind}, {dimensions} dimensions, not {found})")
    return arrays


def sha256_of(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_arrays(*arrays: np.ndarray) -> str:
    """Return the SHA-256 over dtype, shape and bytes of the arrays, so the source's line ends and compression don't matter."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
