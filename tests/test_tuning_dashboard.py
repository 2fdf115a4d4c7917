"""The command `dashboard`."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request

import optuna
import pytest

from digit_recognizer.errors import UserError
from digit_recognizer.tuning import journal
from digit_recognizer.tuning.dashboard import dashboard_server
from digit_recognizer.workspace import Workspace


@pytest.fixture
def workspace(tmp_path):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    workspace = Workspace(tmp_path)
    optuna.create_study(study_name="fast", storage=journal.open_journal(journal.path_of("fast", workspace)))
    return workspace


def test_study_that_does_not_exist_is_named_before_any_address(workspace):
    with pytest.raises(UserError, match=r"there is no study slow .*make tune"):
        dashboard_server("slow", workspace, None)


def test_command_shows_the_study_beside_another_server_until_ctrl_c(workspace):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        start = "import sys; from digit_recognizer.cli import main; sys.exit(main(sys.argv[1:]))"
        command = [sys.executable, "-u", "-c", start, f"--workspace={workspace.root}", "dashboard", "--run=fast"]
        taken = subprocess.run([*command, f"--port={other.getsockname()[1]}"], capture_output=True, text=True)
        assert taken.returncode == 1
        assert "in use by other programs" in taken.stderr and not taken.stdout
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    address = process.stdout.readline().split()[0]
    with urllib.request.urlopen(f"{address}/api/studies") as answer:
        assert [one["study_name"] for one in json.load(answer)["study_summaries"]] == ["fast"]
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
