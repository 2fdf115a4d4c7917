"""A study that several machines share: two processes on a real PostgreSQL server, one killed, and the server stopped."""

import collections
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import study_worker
from study_worker import read_until, start

from digit_recognizer.errors import UserError
from digit_recognizer.experiment import load
from digit_recognizer.tuning import trials
from digit_recognizer.tuning.study import StudyRequest, tune

STARTED = "TrialStarted("
PASSWORD = "marked-secret-7261"


def program(name: str) -> str | None:
    """Find one of the server's programs, which Debian doesn't install on the PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return shutil.which(name) or (str(versions[0]) if versions else None)


class Server:
    """PostgreSQL on loopback with its data in a temporary folder, run as a user other than root."""

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
    """The URL of a new database."""
    import psycopg

    name = request.node.name.lower()[:60]
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return server.url(database=name)


def study_of(url):
    import optuna

    return optuna.load_study(study_name="quick", storage=url.replace("postgresql://", "postgresql+psycopg://"))


@pytest.mark.slow
def test_two_machines_share_a_study_and_a_kill_loses_and_repeats_no_fold(workspace, database):
    first, second = (start(workspace, 0.3, trials=6, storage=database) for _ in range(2))
    read_until(first, STARTED, 2)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    output, _ = second.communicate(timeout=120)

    assert second.returncode == 0, output
    known = study_of(database).get_trials()
    numbers = [trials.number_of(trial) for trial in known if trials.counts(trial)]
    assert len(numbers) == len(set(numbers)) == 6
    assert all(trial.state.is_finished() for trial in known)
    (resumed,) = (trial for trial in known if trials.number_of(trial) != trial.number)
    assert resumed.params == known[trials.number_of(resumed)].params
    trained = collections.Counter((workspace.root / "trained.txt").read_text().splitlines())
    assert set(trained.values()) == {1}, "a finished fold was trained twice"
    assert PASSWORD not in output
    assert not any(PASSWORD in path.read_text(errors="ignore") for path in workspace.root.rglob("*") if path.is_file())


@pytest.mark.slow
def test_study_continues_when_the_server_is_back(workspace, database, server):
    worker = start(workspace, 0.6, trials=2, storage=database)
    read_until(worker, STARTED, 2)
    server.stop()
    time.sleep(3)
    server.start()
    output, _ = worker.communicate(timeout=120)

    assert worker.returncode == 0, output
    assert output.count("does not answer") == 1
    assert output.count("answers again") == 1
    assert json.loads(output.splitlines()[-1])["trials"] == 2
    assert PASSWORD not in output


@pytest.mark.slow
def test_ctrl_c_while_the_server_is_down_prints_one_line(workspace, database, server):
    worker = start(workspace, 0.6, trials=2, storage=database)
    read_until(worker, STARTED)
    server.stop()
    try:
        assert any("does not answer" in line for line in worker.stdout)
        worker.send_signal(signal.SIGINT)
        output, _ = worker.communicate(timeout=120)
    finally:
        server.start()

    assert worker.returncode == 1
    assert "repeat the command when the server is back" in output.splitlines()[-1]
    assert "Traceback" not in output
    assert PASSWORD not in output


@pytest.mark.slow
def test_interrupted_trial_is_resumed_by_the_other_machine_at_once(workspace, database):
    """The other machine does not wait until heartbeats are missing."""
    first = start(workspace, 0.4, trials=3, storage=database)
    read_until(first, STARTED, 2)
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=120)
    assert [trial.state.name for trial in study_of(database).get_trials()] == ["COMPLETE", "WAITING"]
    second = start(workspace, 0, trials=3, storage=database)
    output, _ = second.communicate(timeout=120)

    assert second.returncode == 0, output
    assert [trials.number_of(trial) for trial in study_of(database).get_trials()] == [0, 1, 2]
    assert set(collections.Counter((workspace.root / "trained.txt").read_text().splitlines()).values()) == {1}


@pytest.mark.slow
def test_machine_whose_time_is_over_confirms_without_waiting_for_others(workspace, database):
    start(workspace, 0, trials=1, storage=database).communicate(timeout=150)
    study = study_of(database)
    load("quick", workspace).suggest(study.ask())  # another machine trains this one
    worker = start(workspace, 0.1, hours=30 / 3600, storage=database)
    output, _ = worker.communicate(timeout=150)

    assert worker.returncode == 0, output
    assert len(re.findall(r"repeat=\d, state='complete'", output)) >= 2
    assert study.get_trials()[1].state.name == "RUNNING"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda server: server.url(password="wrong-secret-1"), "password authentication failed"),
        (lambda server: server.url(database="nowhere"), 'database "nowhere" does not exist'),
        (lambda server: server.url().replace(str(server.port), "1"), "refused"),
        (lambda server: server.url().replace("127.0.0.1", "no-such-host.invalid"), "no-such-host.invalid"),
    ],
)
def test_a_refused_connection_is_an_error_without_the_password(workspace, server, monkeypatch, change, message):
    monkeypatch.setattr("digit_recognizer.tuning.study.load_dataset", study_worker.dataset)
    url = change(server)
    request = StudyRequest(load("quick", workspace), "quick", trials=1, storage=url)
    with pytest.raises(UserError) as caught:
        tune(request, workspace)
    text = str(caught.value)
    assert message in text
    assert "\n" not in text
    assert "***" in text
    assert PASSWORD not in text and "wrong-secret-1" not in text
