"""A study on a PostgreSQL server, shared by several machines. A lost connection is retried until it is restored."""

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from digit_recognizer.errors import UserError

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from sqlalchemy.engine import URL

HEARTBEAT_INTERVAL = 30  # seconds
GRACE_PERIOD = 300  # seconds without a heartbeat after which a trial's process counts as killed
RETRY_INTERVAL = 1  # seconds between two attempts to reach the server
# Options of libpq. With them a lost server is detected within 20 seconds, even while waiting for an answer (Linux: hours).
CONNECTION = {
    "application_name": "digit-recognizer",
    "connect_timeout": 10,
    "tcp_user_timeout": 20_000,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
}
EXAMPLE = "postgresql://user:password@host:5432/database"


def open_database(url: str, stop: threading.Event, on_warning: Callable[[str], None]) -> "RDBStorage":
    """Return the Optuna storage at `url`.

    A connection that is lost later is retried until it is restored or `stop` is set; `on_warning` is called with one line when
    it is lost and one when it is restored.

    Raises:
        UserError: the URL is not a PostgreSQL URL, the driver is missing, or the server can't be reached or refuses.
    """
    import sqlalchemy
    from optuna.exceptions import ExperimentalWarning

    parsed = _parsed(url)
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise UserError("STORAGE needs a database driver: pip install 'psycopg[binary]'") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # heartbeats
            storage = _connect(parsed)
    except sqlalchemy.exc.OperationalError as error:
        reason = _reason(error.orig, parsed)
        raise UserError(f"STORAGE={without_password(url)}: {reason}: check address, user and password") from None
    except Exception as error:
        raise UserError(f"STORAGE={without_password(url)}: {_reason(error, parsed)}") from None
    sqlalchemy.event.listen(storage.engine, "do_connect", _reconnecting(url, stop, on_warning))
    return storage


def without_password(url: str) -> str:
    """Return the server's address without its password.

    Raises:
        UserError: it is not of the form `postgresql://...`; the message doesn't repeat it.
    """
    return _parsed(url).set(drivername="postgresql").render_as_string(hide_password=True)


def is_connection_error(error: BaseException) -> bool:
    """Return whether an error of Optuna or SQLAlchemy means that the connection was lost during a query."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    return any(isinstance(one, StorageInternalError | SQLAlchemyError) for one in error_chain(error))


def error_chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and its causes, because Optuna's `optimize` raises an AssertionError from some errors."""
    while error:
        yield error
        error = error.__cause__ or error.__context__


def _parsed(url: str) -> "URL":
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise UserError(f"STORAGE is not the URL of a database: it must look like {EXAMPLE}") from None
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise UserError(f"STORAGE={parsed.drivername}://...: only PostgreSQL is supported: {EXAMPLE}")
    return parsed.set(drivername="postgresql+psycopg")


def _connect(parsed: "URL") -> "RDBStorage":
    """Open the storage; retry if two machines create its tables at the same time."""
    from optuna.storages import RetryHeartbeatStaleTrialCallback
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    storage_class = _storage_class()
    for attempt in range(5):
        try:
            return storage_class(
                parsed.render_as_string(hide_password=False),
                engine_kwargs={"pool_pre_ping": True, "connect_args": CONNECTION},
                heartbeat_interval=HEARTBEAT_INTERVAL,
                grace_period=GRACE_PERIOD,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True),
            )
        except (IntegrityError, ProgrammingError):
            if attempt == 4:
                raise
            time.sleep(0.5)
    raise AssertionError


def _storage_class() -> type:
    from optuna.storages import RDBStorage

    class Storage(RDBStorage):
        def record_heartbeat(self, trial_id: int) -> None:
            try:
                super().record_heartbeat(trial_id)
            except Exception as error:  # an error would end the heartbeat thread
                if not is_connection_error(error):
                    raise

    return Storage


def _reconnecting(url: str, stop: threading.Event, on_warning: Callable[[str], None]) -> Callable[..., Any]:
    """Return a `do_connect` handler for SQLAlchemy that retries and warns once for all threads."""
    shown, parsed = without_password(url), _parsed(url)
    lost, lock = threading.Event(), threading.Lock()

    def warn(now_lost: bool, message: str) -> None:
        with lock:
            if lost.is_set() != now_lost:
                lost.set() if now_lost else lost.clear()
                on_warning(message)

    def connect(dialect: Any, record: Any, arguments: list, options: dict) -> Any:
        while True:
            try:
                connection = dialect.connect(*arguments, **options)
            except dialect.dbapi.OperationalError as error:
                warn(True, f"{shown} does not answer ({_reason(error, parsed)}): trainings continue, the connection is retried")
                if stop.wait(RETRY_INTERVAL):
                    raise
            else:
                warn(False, f"{shown} answers again")
                return connection

    return connect


def _reason(error: BaseException | None, parsed: "URL") -> str:
    """Return the server's message in one line, without the password."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    message = lines[0] if lines else type(error).__name__
    return message.replace(str(parsed.password), "***") if parsed.password else message
