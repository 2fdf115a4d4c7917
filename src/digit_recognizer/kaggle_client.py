"""Download, upload and scoring with the kaggle client. Every failure is a one-line UserError without secrets.

Importing the client signs in, prints, and may wait forever, so `client` imports it with its output discarded and with
time-outs.
"""

import contextlib
import errno
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from digit_recognizer.errors import UserError

COMPETITION = "digit-recognizer"
PAGE = f"https://www.kaggle.com/competitions/{COMPETITION}"
TOKEN_PAGE = "https://www.kaggle.com/settings/api"
TIMEOUT = 30.0  # seconds that a request may wait for the server's next byte
RETRY_DELAYS = (2.0, 8.0)  # seconds before a failed download is tried again; one that timed out is not

_BY_HAND = f"or download the zip in a browser from {PAGE}/data and `make data SOURCE=path/to/it.zip`; `make demo` needs neither"
_SEE_IN_BROWSER = f"or see your submissions in a browser at {PAGE}/submissions"


class UnreachableError(UserError):
    """Kaggle can't be reached for now (network, time-out, 429, 5xx). A file that was sent may have arrived nevertheless."""


@dataclass(frozen=True)
class Scoring:
    """The state of one submission on Kaggle."""

    ref: int
    status: Literal["pending", "complete", "error"]
    public_score: float | None
    problem: str  # why it could not be scored


def download(folder: Path, on_progress: Callable[[str], None]) -> Path:
    """Download the competition's zip into `folder` and return its path; the caller checks whether it is intact.

    Raises:
        UserError: no credentials or wrong ones, rules not accepted, no network, or an incomplete download.
    """
    path = folder / f"{COMPETITION}.zip"
    start = time.monotonic()
    for delay in (*RETRY_DELAYS, None):
        try:
            with client(f"downloading {COMPETITION}.zip", _BY_HAND) as api, api.build_kaggle_client() as kaggle:
                from kagglesdk.competitions.types.competition_api_service import ApiDownloadDataFilesRequest

                response = kaggle.competitions.competition_api_client.download_data_files(
                    _request(ApiDownloadDataFilesRequest, competition_name=COMPETITION)
                )
                api.download_file(response, str(path), kaggle.http_client(), quiet=True, max_retries=0, timeout=TIMEOUT)
            return path
        except UnreachableError as error:
            if delay is None or time.monotonic() - start > TIMEOUT:
                raise
            on_progress(f"{error}; trying again in {delay:.0f} s")
            time.sleep(delay)
    raise AssertionError("the last delay is None")


def submissions_left(path: Path) -> int | None:
    """Return how many submissions are left until midnight UTC, or None if Kaggle doesn't report it (before the first one).

    `path` is the file to submit, which an error names.
    """
    with client("asking for the submissions left", _in_browser(path)) as api:
        limits = api.competition_get_submission_limits(COMPETITION)
    return limits.num_allowed_now if limits.num_total or limits.num_today else None


def upload(path: Path, description: str) -> int:
    """Upload a file as a submission and return Kaggle's number (`ref`) of it.

    Raises:
        UnreachableError: it is not known whether the submission arrived; call `find` to check.
        UserError: Kaggle refused it.
    """
    with client(f"submitting {path.name}", _in_browser(path)) as api:
        answer = api.competition_submit(str(path), description, COMPETITION, quiet=True)
        if not answer.ref:
            words = mask(answer.message or "no reason given")
            raise UserError(f"Kaggle did not take the upload of {path.name} ({words}): nothing was submitted, try again later")
    return answer.ref


def _in_browser(path: Path) -> str:
    return f"or upload {path} in a browser at {PAGE}/submit"


def scoring(ref: int) -> Scoring:
    """Return the state of submission `ref`."""
    with client(f"asking for the score of submission {ref}") as api, api.build_kaggle_client() as kaggle:
        from kagglesdk.competitions.types.competition_api_service import ApiGetSubmissionRequest

        return _scoring(kaggle.competitions.competition_api_client.get_submission(_request(ApiGetSubmissionRequest, ref=ref)))


def find(tag: str) -> Scoring | None:
    """Return the latest of the last 100 submissions whose description contains `tag`, or None."""
    with client("looking through your submissions") as api:
        found = api.competition_submissions(COMPETITION, page_size=100) or []
    return next((_scoring(submission) for submission in found if submission and tag in (submission.description or "")), None)


def _scoring(submission: Any) -> Scoring:
    try:
        score = float(submission.public_score)
    except (TypeError, ValueError):
        score = None
    status = submission.status.name.lower()
    return Scoring(submission.ref, status, score if status == "complete" else None, mask(submission.error_description or ""))


def _request(kind: type, **values: Any) -> Any:
    request = kind()
    for name, value in values.items():
        setattr(request, name, value)
    return request


@contextlib.contextmanager
def client(doing: str, instead: str = _SEE_IN_BROWSER) -> Iterator[Any]:
    """Yield the signed-in KaggleApi, without output and with time-outs; whatever it raises in the block becomes a UserError."""
    try:
        with _plain_environment(), _timeouts(), _silence():
            yield _sign_in(instead)
            return
    except UserError:
        raise
    except Exception as error:
        problem = _explain(error, doing, instead)
    raise problem  # not `from error`: the client's errors can contain signed URLs and credentials


def _sign_in(instead: str) -> Any:
    """Return the KaggleApi, signed in with the credentials that it finds.

    Raises:
        UserError: there are no credentials, or Kaggle doesn't accept them; the message names their file.
    """
    from kaggle import api  # tries to sign in, and hides the error if that fails

    if not _config(api).get("auth_method"):
        try:
            api.authenticate()
        except (SystemExit, TypeError, AttributeError, UnicodeError):  # a list in kaggle.json, a byte order mark before a token
            raise _missing_credentials(Path(api.config), instead) from None
    return api


def _missing_credentials(kaggle_json: Path, instead: str) -> UserError:
    from kagglesdk.kaggle_env import get_access_token_from_env

    try:
        token = get_access_token_from_env()[0] or ""
    except UnicodeError:
        return UserError(f"{_token_file()} is not plain text: save the token in it as UTF-8")
    if not token.isascii():
        return UserError(f"the token from {_source()} begins with a byte order mark: save it as UTF-8 without one")
    if token:
        return UserError(f"Kaggle does not accept the token from {_source()}: make a new one at {TOKEN_PAGE}")
    if fault := _fault_of(kaggle_json):
        return UserError(f"{kaggle_json} {fault}")
    oauth = Path.home() / ".kaggle" / "credentials.json"
    if oauth.exists():
        return UserError(f"the kaggle client can't sign in with {oauth}: run `kaggle auth login`, which writes it again")
    return UserError(
        f"no Kaggle credentials: sign in at {TOKEN_PAGE}, press 'Generate New Token' and save it as {_token_file()}; {instead}"
    )


def _token_file() -> Path:
    return Path.home() / ".kaggle" / "access_token"


def _is_token(text: str) -> bool:
    return text.strip("\"' \r\n").startswith("KGAT_")


def _fault_of(kaggle_json: Path) -> str:
    """Return why the client can't use kaggle.json; empty if the file is missing or without fault."""
    try:
        content = kaggle_json.read_bytes() if kaggle_json.exists() else b""
    except OSError as error:
        return f"can't be read: {error.strerror}"
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return "begins with a byte order mark, which the kaggle client can't read: save it as UTF-8 without one"
    if _is_token(content.decode("utf-8", "replace")):
        return f"holds an access token instead of JSON: save the token as {_token_file()}"
    try:
        value = json.loads(content or b"{}")
    except ValueError as error:
        return f"is not JSON ({error}): make a new one at {TOKEN_PAGE}"
    missing = [name for name in ("username", "key") if not isinstance(value, dict) or name not in value]
    return f"has no '{missing[0]}': make a new one at {TOKEN_PAGE}" if content.strip() and missing else ""


def _config(api: Any) -> dict[str, Any]:
    """Return the client's settings and credentials; empty if kaggle.json holds something else than a JSON object."""
    values = getattr(api, "config_values", None)
    return values if isinstance(values, dict) else {}


def _source() -> str:
    """Return the file or variable of the token or key that the client used or tried to use."""
    from kagglesdk.kaggle_env import get_access_token_from_env

    api = sys.modules["kaggle"].api
    method = _config(api).get("auth_method")
    if method == "OAUTH":
        return str(Path.home() / ".kaggle" / "credentials.json")
    if method == "LEGACY_API_KEY":
        return "KAGGLE_USERNAME and KAGGLE_KEY" if os.environ.get("KAGGLE_KEY") else api.config
    source = get_access_token_from_env()[1]
    return str(_token_file()) if source == "access_token" else str(source)


@contextlib.contextmanager
def _plain_environment() -> Iterator[None]:
    """Hide VERBOSE, which makes the client print its Authorization header, and empty variables, which override kaggle.json."""
    hidden = {name: value for name, value in os.environ.items() if name.startswith("KAGGLE_") and not value}
    hidden |= {name: os.environ[name] for name in ("VERBOSE", "VERBOSE_OUTPUT") if name in os.environ}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def _timeouts() -> Iterator[None]:
    """Give each request a time-out, and the upload fewer retries: the client has no setting for either."""
    from requests.adapters import HTTPAdapter, Retry

    send = HTTPAdapter.send

    def send_with_timeout(self: Any, request: Any, stream: bool = False, timeout: Any = None, **rest: Any) -> Any:
        if self.max_retries.total:
            self.max_retries = Retry(total=2, backoff_factor=0.5, allowed_methods=None)
        return send(self, request, stream=stream, timeout=timeout or TIMEOUT, **rest)

    HTTPAdapter.send = send_with_timeout
    try:
        yield
    finally:
        HTTPAdapter.send = send


def _explain(error: Exception, doing: str, instead: str) -> UserError:
    import requests

    response = getattr(error, "response", None)
    if response is not None:  # not `if response`: an error's Response is falsy
        return _refusal(response, doing)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return UserError(f"{doing}: the disk is full: free some space and run the same command again")
    if isinstance(error, requests.exceptions.ChunkedEncodingError) or "file size" in str(error):
        return UnreachableError(f"{doing}: the connection was closed before the end: try again")
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return UnreachableError(f"{doing}: Kaggle gave no answer for {TIMEOUT:.0f} s: try again later")
    if isinstance(error, requests.exceptions.JSONDecodeError | ValueError | KeyError):
        return UnreachableError(f"{doing}: the answer is not Kaggle's (a sign-in page or proxy in between?): check the network")
    if isinstance(error, requests.RequestException):
        return UnreachableError(f"{doing}: Kaggle can't be reached: check the network (and HTTPS_PROXY); {instead}")
    kind = UserError if isinstance(error, OSError) else UnreachableError
    return kind(f"{doing}: the kaggle client failed ({type(error).__name__}: {mask(str(error))})")


def _refusal(response: Any, doing: str) -> UserError:
    code, words = response.status_code, ""
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        answer = response.json()
        code, words = int(answer.get("code") or code), mask(str(answer.get("message") or ""))
    said = f" (Kaggle says: {words})" if words else ""
    if code == 401:
        remedy = f"make a new one at {TOKEN_PAGE}"
        if _is_token(sys.modules["kaggle"].api.get_config_value("key") or ""):
            remedy = f"its key is an access token: save that as {_token_file()}"
        return UserError(f"{doing}: Kaggle does not accept the token or key from {_source()}{said}: {remedy}")
    if code == 403:
        return UserError(
            f"{doing}: Kaggle refuses (403){said}: accept the competition's rules at {PAGE}/rules, and if that was done verify "
            "your phone number at https://www.kaggle.com/settings"
        )
    if code == 404:
        return UserError(f"{doing}: Kaggle does not know it (404){said}: join the competition at {PAGE}")
    if code == 429:
        return UnreachableError(f"{doing}: too many requests to Kaggle (429){said}: wait some minutes and try again")
    if code >= 500:
        return UnreachableError(f"{doing}: Kaggle's server failed ({code}){said}: try again later")
    return UserError(f"{doing}: Kaggle refuses ({code}){said}")


def mask(text: str) -> str:
    """Return the server's text on one line, shortened, with the user's secrets replaced by asterisks."""
    from kagglesdk.kaggle_env import get_access_token_from_env

    known = _config(getattr(sys.modules.get("kaggle"), "api", None))  # None: the import failed
    for secret in filter(None, [known.get("key"), known.get("token"), get_access_token_from_env()[0]]):
        text = text.replace(secret, "***")
    return " ".join(text.split())[:300]
