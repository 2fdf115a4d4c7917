"""A local web server until Ctrl-C: the drawing page, a study's dashboard."""

import contextlib
import errno
from collections.abc import Callable
from socketserver import TCPServer

from digit_recognizer.errors import UserError

LOOPBACK = "127.0.0.1"
ATTEMPTS = 20  # ports to try, starting with the default one


def serve(
    make_server: Callable[[str, int], TCPServer],
    host: str | None,
    port: int | None,
    default_port: int,
    on_address: Callable[[str], None],
) -> None:
    """Run a server until Ctrl-C; `on_address` is called with its URL when it accepts connections.

    Args:
        make_server: takes host and port and returns a server that listens there, or raises OSError.
        host: None: this machine only.
        port: None: the first free one from `default_port`.

    Raises:
        UserError: the port is in use, or the address can't be used.
    """
    with _listening(make_server, host or LOOPBACK, port, default_port) as server:
        on_address(f"http://{host or LOOPBACK}:{server.server_address[1]}")
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def _listening(make_server: Callable[[str, int], TCPServer], host: str, port: int | None, default_port: int) -> TCPServer:
    candidates = [port] if port else range(default_port, default_port + ATTEMPTS)
    for candidate in candidates:
        try:
            return make_server(host, candidate)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise UserError(f"can't listen on {host}, port {candidate} ({error.strerror}): set HOST and PORT") from None
    taken = f"port {port} is" if port else f"ports {candidates[0]} to {candidates[-1]} are"
    raise UserError(f"{taken} in use by other programs: choose another one with PORT={candidates[-1] + 1}")
