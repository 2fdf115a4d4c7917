"""The unmodified kaggle client with a server on loopback: downloads, credentials, and a one-line error for each failure."""

import io
import json
import zipfile

import pytest
from kaggle_server import TOKEN, Answer, KaggleServer, call, environment

from digit_recognizer import kaggle_client
from digit_recognizer.data import dataset, sources
from digit_recognizer.workspace import Workspace


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A zip like Kaggle's, with the bundled digits."""
    workspace = Workspace(tmp_path_factory.mktemp("bundled"))
    sources.fetch("bundled", workspace)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name in dataset.FILES:
            file.write(workspace.input / name, name)
    return content.getvalue()


@pytest.fixture
def server(archive):
    with KaggleServer(archive) as running:
        yield running


def fetch(server, tmp_path, **extra):
    root = tmp_path / "workspace"
    return call(
        f"print(sources.fetch('kaggle', Workspace(Path({str(root)!r}))).summary)",
        environment(server, tmp_path / "home", **extra),
    )


def fetch_on_a_slow_machine(server, tmp_path):
    """Fetch with so long a time-out that no attempt counts as timed out, however long the client takes to be imported."""
    code = f"kaggle_client.TIMEOUT = 60.0; sources.fetch('kaggle', Workspace(Path({str(tmp_path)!r})))"
    return call(code, environment(server, tmp_path / "home"))


def test_data_is_downloaded_unpacked_and_checked(server, tmp_path):
    done = fetch(server, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1,437 training and 360 test images" in done.stdout
    assert sorted(path.name for path in (tmp_path / "workspace" / "input").iterdir()) == sorted(
        [*dataset.FILES, "dataset.json"]
    )
    assert f"Bearer {TOKEN}" in server.authorizations


def test_second_call_downloads_nothing(server, tmp_path):
    fetch(server, tmp_path)
    calls = len(server.calls)
    assert "Already there" in fetch(server, tmp_path).stdout
    assert len(server.calls) == calls


def test_legacy_key_works_and_empty_variables_do_not_hide_it(server, tmp_path):
    folder = tmp_path / "home" / ".kaggle"
    folder.mkdir(parents=True)
    (folder / "kaggle.json").write_text(json.dumps({"username": "someone", "key": "k" * 32}))
    done = fetch(server, tmp_path, KAGGLE_API_TOKEN="", KAGGLE_USERNAME="", KAGGLE_KEY="")
    assert done.returncode == 0, done.stdout
    assert any(text.startswith("Basic ") for text in server.authorizations)


def test_verbose_environment_does_not_print_the_token(server, tmp_path):
    assert fetch(server, tmp_path, VERBOSE="1", VERBOSE_OUTPUT="1").returncode == 0  # `call` looks for the token


def test_download_that_fails_once_is_tried_again(server, tmp_path):
    server.answers["GET"] = [Answer(server.archive, cut=1000)]
    server.answers["DownloadDataFiles"] = [Answer({"message": "slow down"}, status=429)]
    assert fetch_on_a_slow_machine(server, tmp_path).returncode == 0


def test_failed_download_is_tried_twice_more(server, tmp_path):
    server.answers["DownloadDataFiles"] = Answer(status=503)
    assert "503" in fetch_on_a_slow_machine(server, tmp_path).stdout
    assert server.names().count("DownloadDataFiles") == 3


def test_download_that_timed_out_is_not_tried_again(server, tmp_path):
    server.answers["GET"] = Answer(delay=5)
    assert "no answer" in fetch(server, tmp_path).stdout
    assert server.names().count("GET") == 1


@pytest.mark.parametrize(("newer", "found"), [(99, "8 complete 0.97"), (100, "None")])
def test_latest_of_the_last_100_submissions_with_the_tag_is_found(newer, found, server, tmp_path):
    others = [{"ref": 100 + number, "description": "x [ba]", "status": "PENDING"} for number in range(newer)]
    tagged = [
        {"ref": ref, "description": "x [ab]", "status": "COMPLETE", "publicScore": score}
        for ref, score in ((8, "0.97"), (7, "0.99"))
    ]
    server.submissions = others + tagged
    code = "found = kaggle_client.find('[ab]'); print(found and f'{found.ref} {found.status} {found.public_score}')"
    assert call(code, environment(server, tmp_path / "home")).stdout.strip() == found


def test_long_text_of_the_server_is_one_line_of_at_most_300_characters():
    assert kaggle_client.mask("a  b\nc") == "a b c"
    assert kaggle_client.mask("x" * 1000) == "x" * 300


def html(status: int) -> Answer:
    return Answer(b"<html><body>Sign in</body></html>", status=status, headers={"Content-Type": "text/html"})


def zipped(content: bytes) -> Answer:
    return Answer(content, headers={"Content-Type": "application/zip"})


# Answers of the server to a call, and words that the error must contain.
FAILURES = {
    "wrong token": ({"IntrospectToken": Answer({"active": False})}, ["does not accept", "KAGGLE_API_TOKEN", "settings/api"]),
    "token unknown": ({"IntrospectToken": Answer({"message": "no"}, 404)}, ["does not accept", "settings/api"]),
    "token expired": ({"IntrospectToken": Answer({"message": "no"}, 401)}, ["does not accept", "settings/api"]),
    "401": (
        {"DownloadDataFiles": Answer({"code": 401, "message": "Unauthenticated"}, 401)},
        ["does not accept", "settings/api"],
    ),
    "rules not accepted": (
        {"DownloadDataFiles": Answer({"code": 403, "message": "You must accept this competition's rules"}, 403)},
        ["digit-recognizer/rules", "phone", "You must accept"],
    ),
    "404": ({"DownloadDataFiles": Answer({"message": "Not found"}, 404)}, ["404", "join the competition"]),
    "429": ({"DownloadDataFiles": Answer({"message": "Too many requests"}, 429)}, ["429", "wait"]),
    "500": ({"DownloadDataFiles": html(500)}, ["500", "try again later"]),
    "503": ({"DownloadDataFiles": html(503)}, ["503", "try again later"]),
    "error hidden in a 200": ({"DownloadDataFiles": Answer({"code": 503, "message": "over"})}, ["503", "over"]),
    "an echo of the token": ({"DownloadDataFiles": Answer({"message": f"bad token {TOKEN}"}, 400)}, ["400", "bad token ***"]),
    "hanging sign-in": ({"IntrospectToken": Answer(delay=5)}, ["no answer"]),
    "hanging call": ({"DownloadDataFiles": Answer(delay=5)}, ["no answer"]),
    "hanging storage": ({"GET": Answer(delay=5)}, ["no answer"]),
    "storage refuses": ({"GET": html(403)}, ["403"]),
    "cut download": ({"GET": Answer(b"PK" + b"x" * 5000, cut=1000)}, ["closed before the end"]),
    "web page for a zip": ({"GET": html(200)}, ["the download is a web page", "download it again"]),
    "corrupt zip": ({"GET": zipped(b"PK\3\4" + b"x" * 5000)}, ["the download", "incomplete or damaged"]),
    "empty zip": ({"GET": zipped(b"")}, ["the download is empty"]),
}


@pytest.mark.parametrize("name", FAILURES)
def test_each_failure_is_one_line_and_leaves_nothing(name, server, tmp_path):
    answers, words = FAILURES[name]
    server.answers.update(answers)
    done = fetch(server, tmp_path)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("UserError: ")
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""
    assert all(word in done.stdout for word in words), done.stdout
    folder = tmp_path / "workspace" / "input"
    assert not folder.exists() or list(folder.iterdir()) == []


def test_failure_keeps_the_existing_data(server, tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    sources.fetch("bundled", workspace)
    before = {path.name: path.read_bytes() for path in workspace.input.iterdir()}
    server.answers["GET"] = Answer(b"PK\3\4" + b"x" * 5000)
    code = f"sources.fetch('kaggle', Workspace(Path({str(workspace.root)!r})), force=True)"
    assert call(code, environment(server, tmp_path / "home")).returncode == 1
    assert {path.name: path.read_bytes() for path in workspace.input.iterdir()} == before


def test_no_network_is_a_one_line_error(tmp_path):
    done = fetch(None, tmp_path)
    assert done.returncode == 1
    assert "can't be reached" in done.stdout and "make demo" in done.stdout


def test_missing_credentials_are_an_error_with_all_remedies(server, tmp_path):
    done = fetch(server, tmp_path, KAGGLE_API_TOKEN="")
    assert done.returncode == 1
    for word in (
        "https://www.kaggle.com/settings/api",
        ".kaggle/access_token",
        "make demo",
        "SOURCE=",
        "digit-recognizer/data",
    ):
        assert word in done.stdout
    assert server.calls == []


def write_credentials(tmp_path, name, content):
    path = tmp_path / "home" / ".kaggle" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


OAUTH = json.dumps(
    {
        "refresh_token": "r",
        "access_token": TOKEN,
        "access_token_expiration": "2999-01-01T00:00:00+00:00",
        "username": "someone",
    }
)
KEY = json.dumps({"username": "someone", "key": "k" * 32})
FAULTS = {
    "cut": ("{", "is not JSON"),
    "a list": ("[]", "has no 'username'"),
    "a list of keys": (f"[{KEY}]", "has no 'username'"),
    "null": ("null", "has no 'username'"),
    "no key": ('{"username": "someone"}', "has no 'key'"),
    "settings only": ('{"competition": "x"}', "has no 'username'"),
    "byte order mark": (b"\xef\xbb\xbf" + KEY.encode(), "byte order mark"),
    "UTF-16": (KEY.encode("utf-16"), "byte order mark"),
    "a token": (f"{TOKEN}\n", "holds an access token instead of JSON"),
    "a quoted token": (f'"{TOKEN}"', "holds an access token instead of JSON"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faulty_kaggle_json_is_named_with_its_fault(name, server, tmp_path):
    content, fault = FAULTS[name]
    path = write_credentials(tmp_path, "kaggle.json", content)
    done = fetch(server, tmp_path, KAGGLE_API_TOKEN="")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1
    assert str(path) in done.stdout and fault in done.stdout
    assert server.calls == []


def test_empty_kaggle_json_counts_as_missing(server, tmp_path):
    write_credentials(tmp_path, "kaggle.json", "")
    assert "no Kaggle credentials" in fetch(server, tmp_path, KAGGLE_API_TOKEN="").stdout


@pytest.mark.parametrize("content", ['{"competition": "x"}', "{", f"{TOKEN}"])
def test_kaggle_json_that_the_client_ignores_does_not_hide_other_credentials(content, server, tmp_path):
    write_credentials(tmp_path, "kaggle.json", content)
    write_credentials(tmp_path, "credentials.json", OAUTH)
    done = fetch(server, tmp_path, KAGGLE_API_TOKEN="")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Bearer {TOKEN}" in server.authorizations


@pytest.mark.parametrize(
    ("file", "content", "variables", "named"),
    [
        ("credentials.json", OAUTH, {}, "{home}/.kaggle/credentials.json"),
        ("kaggle.json", KEY, {}, "{home}/.kaggle/kaggle.json"),
        ("access_token", TOKEN, {}, "{home}/.kaggle/access_token"),
        ("unused", "", {"KAGGLE_USERNAME": "someone", "KAGGLE_KEY": "k" * 32}, "KAGGLE_USERNAME and KAGGLE_KEY"),
    ],
    ids=["OAuth", "kaggle.json", "token", "variables"],
)
def test_refused_credentials_are_named(file, content, variables, named, server, tmp_path):
    write_credentials(tmp_path, file, content)
    server.answers["DownloadDataFiles"] = Answer({"code": 401, "message": "Unauthenticated"}, 401)
    done = fetch(server, tmp_path, KAGGLE_API_TOKEN="", **variables)
    assert f"does not accept the token or key from {named.format(home=tmp_path / 'home')}" in done.stdout


def test_token_given_as_a_key_is_recognised(server, tmp_path):
    write_credentials(tmp_path, "kaggle.json", json.dumps({"username": "someone", "key": TOKEN}))
    server.answers["DownloadDataFiles"] = Answer({"code": 401, "message": "Unauthenticated"}, 401)
    done = fetch(server, tmp_path, KAGGLE_API_TOKEN="")
    assert "its key is an access token: save that as" in done.stdout


@pytest.mark.parametrize(
    ("encoding", "fault"), [("utf-8-sig", "begins with a byte order mark"), ("utf-16", "is not plain text")]
)
def test_token_file_of_another_encoding_is_named(encoding, fault, server, tmp_path):
    path = write_credentials(tmp_path, "access_token", TOKEN.encode(encoding))
    done = fetch(server, tmp_path, KAGGLE_API_TOKEN="")
    assert done.returncode == 1
    assert str(path) in done.stdout and fault in done.stdout


def test_home_that_cannot_be_written_is_one_line(server, tmp_path):
    (tmp_path / "file").write_text("")
    done = call(
        f"sources.fetch('kaggle', Workspace(Path({str(tmp_path / 'workspace')!r})))",
        environment(server, tmp_path / "file" / "home"),
    )
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1
    assert "the kaggle client failed" in done.stdout and str(tmp_path / "file") in done.stdout
