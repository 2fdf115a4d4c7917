"""Where a study is kept: a journal in `studies/`, or a PostgreSQL server that several machines share."""

import fcntl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digit_recognizer.errors import UserError
from digit_recognizer.runs.run_record import locked
from digit_recognizer.workspace import Workspace

HEARTBEAT = 30  # seconds between two signs of life of a trial on a server
GRACE = 300  # seconds without one after which the trial is taken over
RETRY = 1  # seconds between two attempts to reach a server that went away
# Options of libpq: a server that vanishes without a word is missed in 20 seconds, even while it owes an answer (Linux: hours).
CONNECTION = {
    "application_name": "digit-recognizer",
    "connect_timeout": 10,
    "tcp_user_timeout": 20_000,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
}
FORM = "postgresql://user:password@host:5432/database"


@dataclass(frozen=True)
class Patience:
    """Waits for a server that went away until it is back or `stop` is set, and tells `warn` in one line each."""

    stop: threading.Event
    warn: Callable[[str], None]


@contextmanager
def opened(name: str, workspace: Workspace, url: str | None, patience: Patience) -> Iterator[Any]:
    """Give the Optuna storage of study `name`: its journal, held for this process alone, or the server at `url`.

    Raises:
        UserError: another process runs the study, or the server can't be reached or refuses.
    """
    if url:
        storage = _server(url, patience)
        try:
            yield storage
        finally:
            storage.engine.dispose()
    else:
        with locked(workspace.studies / name):
            yield journal(workspace, name)


def journal(workspace: Workspace, name: str) -> Any:
    """Return the Optuna storage of the study's journal, `studies/<name>.journal`.

    Raises:
        UserError: the file is damaged.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path = workspace.studies / f"{name}.journal"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    try:
        return JournalStorage(JournalFileBackend(str(path), _KernelLock(path)))
    except (ValueError, KeyError, OSError) as error:
        raise UserError(f"{path} is damaged ({error}): move it away, or bring it back from a copy") from error


def address(url: str) -> str:
    """Return the server's address without its password.

    Raises:
        UserError: it is not of the form `postgresql://...`; the message doesn't repeat it.
    """
    return _parsed(url).set(drivername="postgresql").render_as_string(hide_password=True)


def gone(error: BaseException) -> bool:
    """Whether an error of Optuna's or SQLAlchemy's means that the server was lost in the middle of a question."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    return any(isinstance(one, StorageInternalError | SQLAlchemyError) for one in causes(error))


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Give the error and those it came from: Optuna's `optimize` hides some behind an AssertionError."""
    while error:
        yield error
        error = error.__cause__ or error.__context__


class _KernelLock:
    """A lock as Optuna's journal takes one. Optuna's own stay behind when a process is killed; the kernel lets go of this one.

    Whoever takes it cuts off a line that was being written when its writer was killed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def acquire(self) -> bool:
        self.file = self.path.open("r+b")
        fcntl.flock(self.file, fcntl.LOCK_EX)
        _cut_torn_line(self.file)
        return True

    def release(self) -> None:
        self.file.close()


def _cut_torn_line(file: Any, chunk: int = 4096) -> None:
    end = position = file.seek(0, 2)
    while position:
        start = max(position - chunk, 0)
        file.seek(start)
        newline = file.read(position - start).rfind(b"\n")
        if newline >= 0:
            position = start + newline + 1
            break
        position = start
    if position < end:
        file.truncate(position)


def _parsed(url: str) -> Any:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise UserError(f"STORAGE is no address of a server: it must look like {FORM}") from None
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise UserError(f"STORAGE={parsed.drivername}://...: only PostgreSQL is supported: {FORM}")
    return parsed.set(drivername="postgresql+psycopg")


def _server(url: str, patience: Patience) -> Any:
    import sqlalchemy
    from optuna.exceptions import ExperimentalWarning

    parsed = _parsed(url)
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise UserError("STORAGE needs a driver: pip install 'psycopg[binary]'") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # heartbeats
            storage = _connect(parsed)
    except sqlalchemy.exc.OperationalError as error:
        raise UserError(f"STORAGE={address(url)}: {_reason(error.orig, parsed)}: check address, user and password") from None
    except Exception as error:
        raise UserError(f"STORAGE={address(url)}: {_reason(error, parsed)}") from None
    sqlalchemy.event.listen(storage.engine, "do_connect", _waiting(address(url), parsed, patience))
    return storage


def _connect(parsed: Any) -> Any:
    """Open the storage; two machines that make its tables at the same moment get in each other's way, so try again."""
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    storage_class = _storage_class()
    for attempt in range(5):
        try:
            return storage_class(
                parsed.render_as_string(hide_password=False),
                engine_kwargs={"pool_pre_ping": True, "connect_args": CONNECTION},
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
            )
        except (IntegrityError, ProgrammingError):
            if attempt == 4:
                raise
            time.sleep(0.5)
    raise AssertionError


def _storage_class() -> Any:
    from optuna.storages import RDBStorage

    class Storage(RDBStorage):
        def record_heartbeat(self, trial_id: int) -> None:
            try:
                super().record_heartbeat(trial_id)
            except Exception as error:  # an error would end the thread, and with it the trial's signs of life
                if not gone(error):
                    raise

    return Storage


def _waiting(shown: str, parsed: Any, patience: Patience) -> Callable[..., Any]:
    """Return a `do_connect` handler of SQLAlchemy's that doesn't give up and, for all its threads together, says so once."""
    lost, telling = threading.Event(), threading.Lock()

    def tell(now_lost: bool, message: str) -> None:
        with telling:
            if lost.is_set() != now_lost:
                lost.set() if now_lost else lost.clear()
                patience.warn(message)

    def connect(dialect: Any, record: Any, arguments: list, options: dict) -> Any:
        while True:
            try:
                connection = dialect.connect(*arguments, **options)
            except dialect.dbapi.OperationalError as error:
                tell(True, f"{shown} does not answer ({_reason(error, parsed)}): trainings go on and wait for it")
                if patience.stop.wait(RETRY):
                    raise
            else:
                tell(False, f"{shown} is back")
                return connection

    return connect


def _reason(error: BaseException | None, parsed: Any) -> str:
    """Return the server's words in one line, without the password."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[0] if lines else type(error).__name__
    return said.replace(str(parsed.password), "***") if parsed.password else said
