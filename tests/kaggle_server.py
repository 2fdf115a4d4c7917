"""A server on loopback that acts as Kaggle for the unmodified client, and a function to run code in a process that uses it.

The client is configured for `http://localhost/api` with `http_proxy`, so that the server can listen on any free port.
"""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from digit_recognizer.submission.record import BlendRecord

TOKEN = "KGAT_marked_secret_0123456789"
PRELUDE = """
import json, sys
from pathlib import Path
from digit_recognizer import kaggle_client
from digit_recognizer.data import dataset, sources
from digit_recognizer.errors import UserError
from digit_recognizer.submission import ledger, submitting
from digit_recognizer.workspace import Workspace
kaggle_client.TIMEOUT, kaggle_client.RETRY_DELAYS, submitting.POLL_SECONDS = 1.0, (0.1, 0.1), 0.05
progress = []
try:
"""
ENDING = """
except UserError as error:
    print("UserError:", error)
    sys.exit(1)
"""

BLEND = BlendRecord(
    runs=["fast", "baseline"],
    members={"fast": 5, "baseline": 5},
    partial=[],
    method="equal weights",
    methods=[],
    weights={"fast": 0.5, "baseline": 0.5},
    temperatures={"fast": 1.0, "baseline": 1.0},
    oof_accuracy=0.9961,
    oof_accuracy_low=0.9955,
    oof_accuracy_high=0.9967,
    oof_log_loss=0.012,
    run_oof_accuracy={"fast": 0.9959, "baseline": 0.9911},
    best_run=None,
)


@dataclass
class Answer:
    """An answer of the server: status, JSON or bytes, possibly late or incomplete."""

    content: dict | bytes = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0  # seconds
    cut: int | None = None  # bytes after which the connection is closed


class KaggleServer:
    """Answers like Kaggle. `answers[call]` replaces an answer or, as a list, the next answers; `calls` are the calls so far."""

    def __init__(self, archive: bytes = b"") -> None:
        self.archive = archive
        self.answers: dict[str, Answer | list[Answer]] = {}
        self.calls: list[tuple[str, dict]] = []
        self.uploads: list[bytes] = []
        self.authorizations: set[str] = set()
        self.submissions: list[dict] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True

    def __enter__(self) -> "KaggleServer":
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def names(self) -> list[str]:
        """The calls so far, by name."""
        return [name for name, _ in self.calls]

    def answer(self, name: str, body: dict) -> Answer:
        """Return the answer to the call `name`."""
        self.calls.append((name, body))
        chosen = self.answers.get(name)
        if isinstance(chosen, list):
            chosen = chosen.pop(0) if chosen else None
        return chosen or self._usual(name, body)

    def _usual(self, name: str, body: dict) -> Answer:
        match name:
            case "IntrospectToken":
                active = body["token"] == TOKEN
                return Answer({"active": active, "username": "someone"} if active else {"active": False})
            case "DownloadDataFiles":
                return Answer(
                    status=302, headers={"Location": "http://storage.localhost/digit-recognizer.zip?signature=secret"}
                )
            case "GET":
                return Answer(self.archive, headers={"Content-Type": "application/zip"})
            case "GetSubmissionLimits":
                return Answer({"numToday": 1, "numTotal": 7, "numAllowedNow": 9})
            case "StartSubmissionUpload":
                return Answer({"token": "blob", "createUrl": "http://storage.localhost/upload?signature=secret"})
            case "CreateSubmission":
                self.submissions.insert(
                    0,
                    {"ref": 4711, "description": body["submissionDescription"], "status": "COMPLETE", "publicScore": "0.99650"},
                )
                return Answer({"message": "ok", "ref": 4711})
            case "GetSubmission":
                return Answer(self.submissions[0])
            case "ListSubmissions":
                return Answer({"submissions": self.submissions[: body["pageSize"]]})
        return Answer()

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                server.authorizations.add(self.headers.get("Authorization", ""))
                self._send(server.answer(urlsplit(self.path).path.rsplit("/", 1)[-1], json.loads(content)))

            def do_GET(self) -> None:
                path = urlsplit(self.path).path
                kind, _, name = path.removeprefix("/").partition("/")
                self._send(server.answer(kind, {"name": name}) if kind in ("api", "output") else server.answer("GET", {}))

            def do_PUT(self) -> None:
                server.uploads.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                self._send(server.answer("PUT", {}))

            def _send(self, answer: Answer) -> None:
                time.sleep(answer.delay)
                binary = isinstance(answer.content, bytes)
                content = answer.content if binary else json.dumps(answer.content).encode()
                try:
                    self.send_response(answer.status)
                    headers = {"Content-Type": "application/json", "Content-Length": str(len(content))} | answer.headers
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(content[: answer.cut])
                    if answer.cut is not None:
                        self.close_connection = True
                except OSError:
                    pass  # the client timed out

            def log_message(self, *arguments: object) -> None:
                pass

        return Handler


def environment(server: KaggleServer | None, home: Path, **extra: str) -> dict[str, str]:
    """Return the environment of a process whose kaggle client uses `server` and none of the user's settings."""
    address = server.address if server else "http://127.0.0.1:9"
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "PYTHONPATH") if name in os.environ}
    own = {"HOME": str(home), "KAGGLE_API_ENVIRONMENT": "LOCALHOST", "KAGGLE_API_TOKEN": TOKEN}
    return kept | own | {"http_proxy": address, "https_proxy": address} | extra


def call(code: str, env: dict[str, str], timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run lines of Python that use this package, in a separate process, because the client reads its environment at import.

    A UserError is printed in one line and gives exit status 1. Output is in `stdout`; check that it contains no secret.
    """
    body = "\n".join(f"    {line}" for line in code.strip().splitlines())
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + body + ENDING], env=env, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert TOKEN not in done.stdout + done.stderr
    assert "signature=secret" not in done.stdout + done.stderr
    return done
