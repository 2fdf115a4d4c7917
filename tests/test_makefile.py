"""Each make target calls one command with unchanged arguments; .venv is made once. Programs are replaced by stubs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from digit_recognizer.cli.commands import COMMANDS
from digit_recognizer.cli.parser import make_parser

ROOT = Path(__file__).resolve().parents[1]
COPIED = (
    "Makefile",
    "requirements.txt",
    "requirements-gpu.txt",
    "requirements-ray.txt",
    "requirements-test.txt",
    "pyproject.toml",
    "setup.py",
)

RECORDER = """#!/bin/sh
printf '%s\\n' "$(basename "$0")" "$@" >> "$RECORD"
env > "$RECORD.environment"
"""
FAKE_PYTHON = """#!/bin/sh
printf '%s\\n' "python $*" >> "$RECORD"
test "$1" = -c && exit 0
test "$2" = venv && mkdir -p .venv/bin && cp "$0" .venv/bin/python
exit 0
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


class Checkout:
    """A copy of the Makefile in a folder with a space, with stub programs that record their calls."""

    def __init__(self, folder: Path):
        self.folder, self.record, self.path = folder, folder / "record", folder / "programs"
        self.path.mkdir(parents=True)
        for name in COPIED:
            shutil.copy(ROOT / name, folder)

    def program(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def make_ready(self) -> None:
        for name in ("digit-recognizer", "pytest", "ruff"):
            self.program(self.folder / ".venv" / "bin" / name, RECORDER)
        (self.folder / ".venv" / "ready").touch()
        (self.folder / ".venv" / "ready-to-test").touch()

    def make(self, *words: str, **environment: str) -> subprocess.CompletedProcess:
        path = f"{self.path}:{os.environ['PATH']}"
        return subprocess.run(
            ["make", *words],
            cwd=self.folder,
            env={**os.environ, "PATH": path, "RECORD": str(self.record), **environment},
            capture_output=True,
            text=True,
        )

    @property
    def calls(self) -> list[str]:
        return self.record.read_text().splitlines() if self.record.exists() else []


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path / "a folder")


@pytest.fixture
def ready(checkout):
    checkout.make_ready()
    return checkout


@pytest.mark.parametrize(
    ("words", "called"),
    [
        (["data"], ["data"]),
        (["data", "SOURCE=my data.zip", "FORCE=1"], ["data", "--source=my data.zip", "--force"]),
        (["train"], ["train"]),
        (["train", "PIPELINE=a b", "RUN=try 1"], ["train", "--pipeline=a b", "--run=try 1"]),
        (["train", "FOLDS=0", "SEEDS=0,1", "JOBS=2"], ["train", "--folds=0", "--seeds=0,1", "--jobs=2"]),
        (["train", "FULL=1", "FORCE=0"], ["train", "--full"]),
        (["train", "SET=epochs=2 scaling='unit'"], ["train", "--set=epochs=2 scaling='unit'"]),
        (["report", "PIPELINE=a b"], ["report", "--pipeline=a b"]),
        (["ensemble", "PIPELINE=a b"], ["ensemble", "--pipeline=a b"]),
        (["submit", "FILE=a  b.csv"], ["submit", "--file=a  b.csv"]),
        (["submit", 'MESSAGE=it\'s "$HOME" `id` $(shell id) #1'], ["submit", '--message=it\'s "$HOME" `id` $(shell id) #1']),
        (["train", "MINUTES=30", "PIPELINE=flagship"], ["train", "--pipeline=flagship", "--minutes=30"]),
        (["tune", "HOURS=0.5", "TRIALS=9", "WORKERS=2"], ["tune", "--hours=0.5", "--trials=9", "--workers=2"]),
        (["tune", "STORAGE=postgresql://u:p$w@h/d"], ["tune", "--storage=postgresql://u:p$w@h/d"]),
        (["predict", "IMAGES=ä/1.png"], ["predict", "--images=ä/1.png"]),
        (["evaluate", "RUN=x"], ["evaluate", "--run=x"]),
        (["status"], ["status"]),
        (["demo"], ["demo"]),
        (["demo", "FORCE=1"], ["demo", "--force"]),
        (["compare", "RUN=a b"], ["compare", "--run=a b"]),
        (["status", "RUN=a b"], ["status", "--run=a b"]),
        (["pipelines"], ["pipelines"]),
        (["settings", "PIPELINE=a"], ["settings", "--pipeline=a"]),
        (["bench", "FULL=1"], ["bench", "--full"]),
        (["dashboard", "PIPELINE=a", "PORT=1234"], ["dashboard", "--pipeline=a", "--port=1234"]),
        (["draw", "DEMO=1", "HOST=0.0.0.0"], ["draw", "--host=0.0.0.0", "--demo"]),
        (["board"], ["board"]),
        (["draw", "RUN=x"], ["draw", "--run=x"]),
    ],
)
def test_target_calls_the_command_of_its_name_with_unchanged_arguments(ready, words, called):
    done = ready.make(*words)
    assert done.returncode == 0, done.stderr
    assert ready.calls == ["digit-recognizer", *called]
    assert done.stdout == ""


def test_tests_and_lint_call_their_tools(ready):
    ready.make("test", "test-all", "lint")
    pytest = ["pytest", "--numprocesses=auto", "--maxprocesses=4", "--dist=loadfile"]
    assert ready.calls == [*pytest, "-m", "not slow", *pytest, "ruff", "check", "ruff", "format", "--check"]


def test_several_targets_run_one_after_another_also_with_j(ready):
    ready.make("-j4", "data", "train", "ensemble", "submit", "PIPELINE=a", "SOURCE=z.zip")
    commands = ["data", "--source=z.zip", "train", "--pipeline=a", "ensemble", "--pipeline=a", "submit", "--pipeline=a"]
    assert [call for call in ready.calls if call != "digit-recognizer"] == commands


def test_variables_do_not_reach_the_program_as_environment(ready):
    ready.make("-k", "tune", "STORAGE=postgresql://u:secret@h/d", "SET=epochs=1")
    environment = (ready.folder / "record.environment").read_text()
    assert "secret" not in environment
    assert "epochs=1" not in environment


def test_backend_and_credentials_in_the_environment_reach_the_program(ready):
    ready.make("train", KERAS_BACKEND="jax", KAGGLE_API_TOKEN="token")
    environment = (ready.folder / "record.environment").read_text()
    assert "KERAS_BACKEND=jax" in environment
    assert "KAGGLE_API_TOKEN=token" in environment


def test_failing_command_stops_make_with_status_2(ready):
    ready.program(ready.folder / ".venv" / "bin" / "digit-recognizer", "#!/bin/sh\nexit 1\n")
    done = ready.make("data", "train")
    assert done.returncode == 2
    assert "[Makefile" in done.stderr


def test_misspelt_variable_is_refused_by_name(ready):
    done = ready.make("train", "PIPLINE=fast")
    assert done.returncode == 2
    assert "unknown variable PIPLINE" in done.stderr
    assert ready.calls == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ensemble", "FOLDS=0", "SEEDS=3"], "no effect: FOLDS SEEDS; `make ensemble` takes PIPELINE RUN DEMO"),
        (["status", "MINUTES=3"], "no effect: MINUTES; `make status` takes PIPELINE RUN DEMO"),
        (["pipelines", "PIPELINE=a"], "no effect: PIPELINE; `make pipelines` takes no variables"),
        (["data", "ensemble", "SOURCE=bundled", "MINUTES=3"], "no effect: MINUTES; `make data ensemble` takes SOURCE FORCE"),
        (["test", "RUN=a"], "no effect: RUN; `make test` takes no variables"),
    ],
)
def test_variable_that_no_target_takes_is_refused(ready, words, said):
    done = ready.make(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert ready.calls == []


def test_environment_sets_no_option_and_gives_a_warning(ready):
    done = ready.make("submit", FILE="other.csv")
    assert ready.calls == ["digit-recognizer", "submit"]
    assert "ignored, as set in the environment: FILE; type variables after `make submit`" in done.stderr


def test_help_explains_each_variable(checkout):
    makefile = (ROOT / "Makefile").read_text()
    taken = {name for names in re.findall(r"^takes\.[a-z]+ :=(.*)", makefile, re.M) for name in names.split()}
    explained = checkout.make("help").stdout.partition("with, after the target:")[2]
    assert set(re.findall(r"\b([A-Z]+)=", explained)) == taken


def test_every_command_but_two_has_a_target_that_takes_its_options():
    takes = dict(re.findall(r"^takes\.([a-z]+) :=(.*)", (ROOT / "Makefile").read_text(), re.M))
    parser = make_parser(COMMANDS)
    assert {command.name for command in COMMANDS} - set(takes) == {"ledger", "verify"}  # their arguments are not variables
    for target, variables in takes.items():
        for variable in set(variables.split()) - {"HOST", "PORT"}:
            value = [] if variable in ("ALL", "DEMO", "FORCE", "FULL", "GPU") else [{"ON": "kaggle"}.get(variable, "2")]
            parser.parse_args([target, "=".join([f"--{variable.lower()}", *value])])


def test_make_without_target_lists_all_targets(checkout):
    done = checkout.make()
    targets = (
        "help setup data train rehearse report ensemble submit tune predict evaluate compare status pipelines settings demo "
        "draw board dashboard bench test test-all lint clean"
    )
    listed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("  make ")]
    assert listed == targets.split()
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert not (checkout.folder / ".venv").exists()


def test_set_up_is_made_once_and_again_when_requirements_change(checkout):
    checkout.program(checkout.path / "python3.13", FAKE_PYTHON)
    assert checkout.make("setup").returncode == 0
    installed = [call for call in checkout.calls if " install " in call]
    assert "-r requirements.txt" in installed[0]
    assert "--no-deps --editable ." in installed[1]
    checkout.make("setup")
    assert len([call for call in checkout.calls if " install " in call]) == 2
    later = (checkout.folder / ".venv" / "ready").stat().st_mtime + 1  # file times have a coarse resolution
    os.utime(checkout.folder / "requirements.txt", (later, later))
    checkout.make("setup")
    assert len([call for call in checkout.calls if " install " in call]) == 4


def test_set_up_installs_the_gpu_requirements_if_nvidia_smi_works(checkout):
    checkout.program(checkout.path / "python3.13", FAKE_PYTHON)
    checkout.program(checkout.path / "nvidia-smi", "#!/bin/sh\necho 'GPU 0: H100'\n")
    checkout.make("setup")
    assert any("-r requirements-gpu.txt" in call for call in checkout.calls)


def test_failed_set_up_is_tried_again(checkout):
    checkout.program(checkout.path / "python3.13", FAKE_PYTHON.removesuffix("exit 0\n") + 'test "$2" = venv\n')
    assert checkout.make("setup").returncode == 2
    checkout.program(checkout.path / "python3.13", FAKE_PYTHON)
    assert checkout.make("setup").returncode == 0


def test_unsupported_python_versions_are_a_one_line_error(checkout):
    for name in ("python3.13", "python3.12", "python3.11"):
        checkout.program(checkout.path / name, "#!/bin/sh\nexit 1\n")
    checkout.program(checkout.path / "python3", '#!/bin/sh\ntest "$1" = --version && echo Python 3.14.0\n')
    done = checkout.make("setup")
    assert done.returncode == 2
    assert "no Python 3.11 to 3.13 with venv found (python3 is Python 3.14.0)" in done.stderr.splitlines()[0]


def test_clean_keeps_data_runs_studies_and_submissions(ready):
    for name in ("input", "runs", "studies", "submissions", "demo", "src", "tests", "pipelines"):
        (ready.folder / name).mkdir()
    assert ready.make("clean").returncode == 0
    left = {path.name for path in ready.folder.iterdir()}
    assert {"input", "runs", "studies", "submissions"} <= left
    assert not {".venv", "demo"} & left
