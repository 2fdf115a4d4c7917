"""Local web servers: their address, and their end at Ctrl-C."""

import socket
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from digit_recognizer.cli.serving import serve
from digit_recognizer.errors import UserError


class InterruptedServer(HTTPServer):
    """A server that is interrupted by Ctrl-C at once."""

    def serve_forever(self, poll_interval=0.5):
        raise KeyboardInterrupt


def make_server(host, port):
    return InterruptedServer((host, port), BaseHTTPRequestHandler)


@pytest.fixture
def taken_port():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_first_free_port_from_the_default_on_is_used_and_ctrl_c_is_a_normal_end(taken_port):
    addresses = []
    serve(make_server, None, None, taken_port, addresses.append)
    (address,) = addresses
    assert address.startswith("http://127.0.0.1:")
    assert taken_port < int(address.rpartition(":")[2]) < taken_port + 20


def test_given_port_that_is_in_use_is_a_one_line_error(taken_port):
    addresses = []
    with pytest.raises(UserError, match=f"port {taken_port} is in use by other programs: choose another one with PORT="):
        serve(make_server, None, taken_port, 8080, addresses.append)
    assert not addresses


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_unusable_address_is_a_one_line_error(host):
    with pytest.raises(UserError, match=f"can't listen on {host}, port 8123") as caught:
        serve(make_server, host, 8123, 8080, print)
    assert "\n" not in str(caught.value)
