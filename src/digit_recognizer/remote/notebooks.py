"""Private notebooks on Kaggle through the kaggle client: push, state, log and output."""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from digit_recognizer import kaggle_client
from digit_recognizer.errors import UserError
from digit_recognizer.kaggle_client import COMPETITION, PAGE, client

ACCELERATOR = "NvidiaTeslaT4"  # two of them
SESSION_SECONDS = 12 * 3600  # after which Kaggle stops a notebook
SCRIPT = "script.py"
_INSTEAD = "docs/kaggle.md describes how to do it in the browser"

State = Literal["queued", "running", "complete", "error", "cancelled"]
_STATES: dict[str, State] = {
    "QUEUED": "queued",
    "NEW_SCRIPT": "queued",
    "RUNNING": "running",
    "COMPLETE": "complete",
    "ERROR": "error",
    "CANCEL_REQUESTED": "cancelled",
    "CANCEL_ACKNOWLEDGED": "cancelled",
}


@dataclass(frozen=True)
class Notebook:
    """The identity of a notebook on Kaggle, which derives `slug` from the title."""

    owner: str
    slug: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.slug}"

    @property
    def page(self) -> str:
        return f"https://www.kaggle.com/code/{self}"


class Status(NamedTuple):
    """The state of a notebook's latest version, and Kaggle's reason for a failure."""

    state: State
    reason: str


class Quota(NamedTuple):
    """Hours of GPU use: left and allowed until `renewed`."""

    left: float
    allowed: float
    renewed: datetime | None


def user_name() -> str:
    """Return the name of the user's account.

    Raises:
        UserError: no or wrong credentials, no network.
    """
    with client("signing in to Kaggle", _INSTEAD) as api:
        return str(api.get_config_value("username"))


def gpu_quota() -> Quota | None:
    """Return the user's GPU quota, or None if Kaggle doesn't report it.

    Raises:
        UserError: no or wrong credentials, no network.
    """
    with client("asking for the GPU quota", _INSTEAD) as api:
        answer = api.quota_view()
        if not (quota := answer.gpu_quota) or not quota.total_time_allowed:
            return None
        used, allowed = quota.time_used.total_seconds() / 3600, quota.total_time_allowed.total_seconds() / 3600
        return Quota(max(0.0, allowed - used), allowed, answer.quota_refresh_time)


def push(notebook: Notebook, script: str, seconds: int) -> None:
    """Save a version of the notebook, which Kaggle then runs on two GPUs for at most `seconds`, without internet access.

    Raises:
        UserError: Kaggle refused it, with Kaggle's reason.
        UnreachableError: Kaggle can't be reached for now.
    """
    metadata = {
        "id": str(notebook),
        "title": notebook.slug.replace("-", " "),
        "code_file": SCRIPT,
        "language": "python",
        "kernel_type": "script",
        "is_private": True,
        "enable_gpu": True,
        "enable_internet": False,
        "competition_sources": [COMPETITION],
        "machine_shape": ACCELERATOR,
    }
    with tempfile.TemporaryDirectory(prefix="digit-recognizer-") as folder:
        (Path(folder) / SCRIPT).write_text(script, encoding="utf-8")
        (Path(folder) / "kernel-metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
        with client(f"pushing the notebook {notebook}", _INSTEAD) as api:
            answer = api.kernels_push(folder, timeout=str(seconds))
            error = kaggle_client.mask(answer.error or "")
            refused = list(answer.invalid_competition_sources or ())
    if error:
        raise UserError(f"Kaggle did not take the notebook {notebook}: {error}{_remedy(error)}")
    if refused:
        raise UserError(f"Kaggle does not let the notebook read the competition's data: accept the rules at {PAGE}/rules")


def _remedy(error: str) -> str:
    if "phone" in error.lower() or "verif" in error.lower():
        return "; verify your phone number at https://www.kaggle.com/settings: GPUs need it"
    if "quota" in error.lower():
        return "; wait for next week's hours, or train on this machine: leave ON out"
    return ""


def status(notebook: Notebook) -> Status | None:
    """Return the state of the notebook's latest version, or None if there is no such notebook.

    Raises:
        UserError: no or wrong credentials.
        UnreachableError: Kaggle can't be reached for now.
    """
    import requests

    with client(f"asking for the state of {notebook}", _INSTEAD) as api:
        try:
            answer = api.kernels_status(str(notebook))
        except requests.HTTPError as error:
            if error.response is None or error.response.status_code != 404:
                raise
            return None
        except ValueError as error:  # the client raises it for a 403: Kaggle doesn't report whether a notebook exists
            if "Cannot access" not in str(error):
                raise
            return None
        return Status(_STATES[answer.status.name], kaggle_client.mask(answer.failure_message or ""))


def log_events(notebook: Notebook) -> Iterator[str]:
    """Yield the output of the latest version from its beginning, and new output while it runs.

    The iterator ends with the notebook or if the connection fails; then call it again and skip what was yielded before.
    """
    import requests

    try:
        with client(f"reading the log of {notebook}", _INSTEAD) as api:
            events = api.kernels_logs_stream(str(notebook))
            first = next(events, None)
    except UserError:  # no line for half a minute
        return
    # Outside the block above, which would discard what the caller prints.
    with contextlib.suppress(requests.RequestException, OSError), contextlib.closing(events):
        while first is not None:
            yield _text(first)
            first = next(events, None)


def _text(event: dict[str, Any]) -> str:
    return str(event.get("data") or "")


def download_output(notebook: Notebook, names: list[str], folder: Path) -> None:
    """Download files of these names from the output of the latest version; missing ones are skipped.

    Raises:
        UserError: no or wrong credentials.
        UnreachableError: Kaggle can't be reached for now.
    """
    pattern = f"^({'|'.join(name.replace('.', '[.]') for name in names)})$"
    with client(f"downloading the output of {notebook}", _INSTEAD) as api:
        api.kernels_output(str(notebook), path=str(folder), file_pattern=pattern, force=True)
