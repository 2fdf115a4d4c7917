"""A web server with optuna-dashboard."""

import threading
from collections.abc import Callable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna.storages import BaseStorage

from digit_recognizer.errors import UserError
from digit_recognizer.tuning import database, journal
from digit_recognizer.workspace import Workspace


def dashboard_server(name: str, workspace: Workspace, url: str | None) -> Callable[[str, int], WSGIServer]:
    """Return a function that takes host and port and returns a web server there, or raises OSError.

    The server runs in this process, since a database's URL, with its password, must not be visible on a command line.

    Args:
        name: the study's; for a database all studies are shown.
        url: the database, or None for the study's journal.

    Raises:
        UserError: optuna-dashboard is not installed, there is no such study, or the database can't be reached.
    """
    try:
        from optuna_dashboard import wsgi
    except ImportError:
        raise UserError("the dashboard needs a package: pip install optuna-dashboard") from None
    path = journal.path_of(name, workspace)
    if url:
        storage: BaseStorage = database.open_database(url, threading.Event(), lambda message: None)
    elif path.exists():
        storage = journal.open_journal(path)
    else:
        raise UserError(f"there is no study {name} in {workspace.studies}: start one with `make tune`")
    application = wsgi(storage)
    return lambda host, port: make_server(host, port, application, _ThreadingServer, _QuietHandler)


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Print nothing."""
