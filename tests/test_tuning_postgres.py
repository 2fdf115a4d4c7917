"""A study shared by several machines: two processes on a real PostgreSQL server, one killed, and the server going away."""

import collections
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import study_worker

from digit_recognizer.experiment import load
from digit_recognizer.tuning import trials
from digit_recognizer.tuning.study import StudyRequest, tune

WORKER = Path(__file__).with_name("study_worker.py")
PASSWORD = "marked-secret-7261"


def program(name: str) -> str | None:
    """Find one of the server's programs; Debian keeps them beside the path."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return shutil.which(name) or (str(versions[0]) if versions else None)


class Server:
    """PostgreSQL on loopback, its data in a temporary folder, run by a user who is not root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.user = "postgres" if os.getuid() == 0 else None
        if self.user:
            shutil.chown(folder, self.user)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self.run(program("initdb"), "-D", folder / "data", "-U", "tuner", "-A", "scram-sha-256", f"--pwfile={secret}", "-N")
        self.start()

    def run(self, *command: object) -> None:
        parts = [str(part) for part in command]
        done = subprocess.run(parts, capture_output=True, text=True, user=self.user, cwd=self.folder)
        assert done.returncode == 0, f"{parts}: {done.stdout} {done.stderr}"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        self.run(program("pg_ctl"), "-D", self.folder / "data", "-w", "-l", self.folder / "log", "-o", options, "start")

    def stop(self) -> None:
        self.run(program("pg_ctl"), "-D", self.folder / "data", "-w", "-m", "immediate", "stop")

    def url(self, password: str = PASSWORD, database: str = "postgres") -> str:
        return f"postgresql://tuner:{password}@127.0.0.1:{self.port}/{database}"


@pytest.fixture(scope="module")
def server():
    if not program("initdb"):
        reason = "PostgreSQL's server is not installed (Debian: apt-get install postgresql)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    # Not in pytest's own folder, which only its owner may enter: the server runs as another user.
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        server = Server(Path(folder))
        yield server
        with contextlib.suppress(AssertionError):  # a failed test may have left it stopped
            server.stop()


@pytest.fixture
def workspace(tmp_path):
    return study_worker.workspace_with_pipeline(tmp_path / "shared")


@pytest.fixture
def database(server, request):
    """The address of a database of the test's own."""
    import psycopg

    name = request.node.name.lower()[:60]
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return server.url(database=name)


def start_worker(workspace, url, trials, seconds, hours=None):
    options = {"trials": trials, "hours": hours, "storage": url}
    command = [sys.executable, WORKER, workspace.root, json.dumps(options), str(seconds)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, bufsize=1
    )


def wait_for_trial(worker, number_of_trials=1):
    """Read the worker's lines until it has begun so many trials."""
    begun, lines = 0, []
    for line in worker.stdout:
        lines.append(line)
        begun += "'began'" in line
        if begun == number_of_trials:
            return
    pytest.fail("the worker ended: " + "".join(lines))


def study_of(url):
    import optuna

    return optuna.load_study(study_name="quick", storage=url.replace("postgresql://", "postgresql+psycopg://"))


@pytest.mark.slow
def test_two_machines_share_a_study_and_one_killed_in_the_middle_loses_and_doubles_nothing(workspace, database):
    first, second = (start_worker(workspace, database, 6, 0.3) for _ in range(2))
    wait_for_trial(first, 2)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    output, _ = second.communicate(timeout=120)

    assert second.returncode == 0, output
    known = study_of(database).get_trials()
    roots = [trials.root(trial) for trial in known if trials.counts(trial)]
    assert len(roots) == len(set(roots)) == 6
    assert all(trial.state.is_finished() for trial in known)
    continued = [trial for trial in known if trial.user_attrs.get(trials.CONTINUES)]
    assert len(continued) == 1
    original = known[trials.root(continued[0])]
    assert continued[0].params == original.params
    trained = collections.Counter((workspace.root / "trained.txt").read_text().splitlines())
    assert set(trained.values()) == {1}, "a finished fold was trained twice"
    assert PASSWORD not in output
    assert not any(PASSWORD in path.read_text(errors="ignore") for path in workspace.root.rglob("*") if path.is_file())


@pytest.mark.slow
def test_study_goes_on_when_the_server_is_back(workspace, database, server):
    worker = start_worker(workspace, database, 2, 0.6)
    wait_for_trial(worker, 2)
    server.stop()
    time.sleep(3)
    server.start()
    output, _ = worker.communicate(timeout=120)

    assert worker.returncode == 0, output
    assert output.count("does not answer") == 1
    assert output.count("is back") == 1
    assert json.loads(output.splitlines()[-1])["trials"] == 2
    assert PASSWORD not in output


@pytest.mark.slow
def test_ctrl_c_while_the_server_is_away_ends_with_clear_words(workspace, database, server):
    worker = start_worker(workspace, database, 2, 0.6)
    wait_for_trial(worker)
    server.stop()
    try:
        assert any("does not answer" in line for line in worker.stdout)
        worker.send_signal(signal.SIGINT)
        output, _ = worker.communicate(timeout=30)
    finally:
        server.start()

    assert worker.returncode == 1
    assert "the same command goes on when the server is back" in output.splitlines()[-1]
    assert "Traceback" not in output
    assert PASSWORD not in output


@pytest.mark.slow
def test_time_runs_out_for_the_search_while_another_machine_still_trains(workspace, database):
    """A machine whose HOURS end does not wait for the others, but trains the best again."""
    worker = start_worker(workspace, database, 1, 0)
    worker.communicate(timeout=60)
    study = study_of(database)
    study.ask().set_user_attr(trials.OWNER, "another:1")
    worker = start_worker(workspace, database, None, 0.1, hours=6 / 3600)
    output, _ = worker.communicate(timeout=60)

    assert worker.returncode == 0, output
    assert output.count("'confirmed'") >= 2
    assert study.get_trials()[1].state.name == "RUNNING"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda server: server.url(password="wrong-secret-1"), "password authentication failed"),
        (lambda server: server.url(database="nowhere"), 'database "nowhere" does not exist'),
        (lambda server: server.url().replace(str(server.port), "1"), "refused"),
        (lambda server: server.url().replace("127.0.0.1", "no-such-host.invalid"), "no-such-host.invalid"),
    ],
)
def test_a_server_that_refuses_is_named_without_its_password(workspace, server, monkeypatch, change, words):
    from digit_recognizer.errors import UserError

    monkeypatch.setattr("digit_recognizer.tuning.study.load_dataset", study_worker.dataset)
    url = change(server)
    request = StudyRequest(load("quick", workspace), "quick", trials=1, storage=url)
    with pytest.raises(UserError) as caught:
        tune(request, workspace)
    said = str(caught.value)
    assert words in said
    assert "\n" not in said
    assert "***" in said
    assert PASSWORD not in said and "wrong-secret-1" not in said
