"""Ctrl-C is never reported as an error in a file, and a workspace's path is UTF-8."""

import os
import signal
import subprocess
import sys

import pytest

from digit_recognizer.cli import main
from digit_recognizer.data import sources
from digit_recognizer.errors import UserError


@pytest.mark.parametrize("wrapped", [UserError("train.csv can't be read"), ValueError("Error tokenizing data")])
def test_interrupt_that_a_library_wraps_is_not_reported_as_a_damaged_file(tmp_path, monkeypatch, capsys, wrapped):
    def fetch(*arguments, **options):
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            raise wrapped from None

    monkeypatch.setattr(sources, "fetch", fetch)
    assert main(["--workspace", str(tmp_path), "data"]) == 130
    error = capsys.readouterr().err
    assert "stopped" in error and "can't be read" not in error and "tokenizing" not in error


INTERRUPTED_IMPORT = """
import os, signal, sys
class Interrupt:
    def find_spec(self, name, *arguments):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
from digit_recognizer.cli import main
sys.exit(main(["status"]))
"""


@pytest.mark.parametrize("module", ["digit_recognizer.cli.entry_point", "rich.console", "digit_recognizer.runs.status"])
def test_interrupt_during_the_imports_is_one_line(module):
    done = subprocess.run([sys.executable, "-c", INTERRUPTED_IMPORT, module], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr.startswith("digit-recognizer: stopped") and done.stderr.count("\n") == 1


def test_error_without_an_interrupt_stays_an_error(tmp_path, capsys):
    assert main(["--workspace", str(tmp_path), "data", "--source=nowhere"]) == 1
    assert "there is no such file" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("name", ["w\u00f6rk 'space' [bold]", "\u6570\u5b57"])
def test_workspace_may_have_any_utf8_path(tmp_path, name):
    assert main(["--workspace", str(tmp_path / name), "status"]) == 0


def test_workspace_whose_path_is_not_utf8_is_refused_in_one_line(tmp_path, capsys):
    assert main(["--workspace", str(tmp_path / os.fsdecode(b"w\xe4")), "status"]) == 1
    complaint = capsys.readouterr().err
    assert complaint == (
        f"digit-recognizer: {tmp_path}/w\\xe4: the path of a workspace must be UTF-8: rename the folder, or choose another "
        "with --workspace\n"
    )
