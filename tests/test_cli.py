"""Commands start fast, report errors in one line, and return the right exit status."""

import os
import re
import shlex
import subprocess
import sys

import pytest
from pipeline_files import write_pipeline

from digit_recognizer.cli import main

VERBS = (
    "data train report ensemble submit tune dashboard predict evaluate compare status ledger pipelines verify draw board demo"
)


@pytest.fixture
def run(two_pipelines, capsys):
    """Call a command; return its status, standard output and standard error."""

    def call(*words):
        capsys.readouterr()
        try:
            status = main(["--workspace", str(two_pipelines.root), *words])
        except SystemExit as stop:
            status = stop.code
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


def test_status_of_a_run_that_does_not_exist_is_an_error(run):
    status, printed, complaint = run("status", "--run=nothing")
    assert (status, printed) == (1, "")
    assert "there is no run 'nothing'" in complaint


def test_network_that_is_not_a_function_is_refused(run):
    status, _, complaint = run("train", "--pipeline=a", "--set=network=cnn")
    assert status == 1
    assert "network='cnn': must be a function, set in a pipeline file (docs/pipelines.md), or None" in complaint


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_tensorboard_on_an_address_of_another_machine_is_one_line(run, two_pipelines, host):
    two_pipelines.runs.mkdir()
    status, printed, complaint = run("board", f"--host={host}", "--port=6333")
    assert (status, printed) == (1, "")
    assert complaint.splitlines()[-1].endswith(f"TensorBoard can't listen on {host}: set HOST to an address of this machine")


@pytest.mark.parametrize("verb", VERBS.split())
def test_every_command_has_a_help_text(run, verb):
    status, printed, _ = run(verb, "--help")
    assert status == 0
    assert verb in printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "COMMAND"),
        (["trian"], "there is no command 'trian'; did you mean train?"),
        (["xyz"], "there is no command 'xyz'; see digit-recognizer --help"),
        (["train", "--pipelne=fast"], "--pipelne=fast"),
        (["train", "--pipe=fast"], "--pipe=fast"),
        (["train", "--folds=x"], "'x' is not a list of different whole numbers"),
        (["train", "--folds=0,0"], "'0,0'"),
        (["train", "--folds=-1"], "'-1'"),
        (["train", "--seeds="], "''"),
        (["train", "--jobs=0"], "'0' is not a whole number from 1"),
        (["train", "--jobs=two"], "'two'"),
        (["train", "--minutes=soon"], "'soon' is not a number of minutes"),
        (["tune", "--hours=0"], "'0' is not a number of hours"),
        (["tune", "--hours=nan"], "'nan'"),
        (["tune", "--trials=1.5"], "'1.5'"),
        (["verify"], "submission"),
        (["settings", "a", "--pipeline=b"], "PIPELINE is given twice, as a and as b"),
        (["train", "--pipeline=a b", "--run=x"], "names one run, but this trains 2 pipelines"),
        (["train", "--pipeline=a", "--full", "--folds=0"], "FULL=1 trains on all rows, so FOLDS has no effect"),
        (["train", "--seeds=1", "--set=seeds=2"], "SEEDS and SET=seeds=... both set the seeds"),
        (["submit", "--pipeline=a", "--file=x.csv"], "PIPELINE and RUN have no effect"),
        (["compare", "a"], "compares two runs, not 1"),
        (["compare", "a", "b", "--run=c"], "PIPELINE and RUN, which have no effect"),
        (["compare", "--rehearsed", "a", "b", "--pipeline=c"], "PIPELINE and RUN, which have no effect"),
        (["dashboard", "--run=a", "--pipeline=b"], "PIPELINE has no effect"),
        (["dashboard", "--run=a", "--storage=postgresql://a/b"], "PIPELINE and RUN have no effect"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(run, words, said):
    status, printed, complaint = run(*words)
    assert status == 2
    assert printed == ""
    assert said in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "--pipeline=a"], "has no data yet: run `make data`"),
        (["train", "--pipeline=nowhere/x.py"], "there is no such file"),
        (["train", "--pipeline=a", "--set=epoch=2"], "did you mean epochs?"),
        (["train", "--pipeline=a", "--set=epochs"], "not of the form setting=value"),
        (["train", "--pipeline=a", "--set=folds=1"], "folds=1: must be from 2"),
        (["train", "--pipeline=a", "--run=../x"], "no '/'"),
        (["train", "--pipeline=a", "--run=my run"], "a run's name has no spaces: choose another, such as RUN=my_run"),
        (["report", "--pipeline=a"], "run `make data`"),
        (["ensemble", "--pipeline=a"], "run `make data`"),
        (["submit", "--pipeline=a"], "ensemble --pipeline=a` writes it"),
        (["submit", "--file=nowhere.csv"], "there is no nowhere.csv"),
        (["predict", "--pipeline=a"], "IMAGES=path"),
        (["predict", "--pipeline=a", "--images=x.png"], "there is no run 'a'"),
        (["predict", "--pipeline=a b", "--images=x.png"], "this takes one run, not 2"),
        (["evaluate", "--pipeline=a"], "run `make data`"),
        (["compare", "a", "b"], "run `make data`"),
        (["verify", "x.csv"], "there is no x.csv: name a submission's file"),
        (["tune", "--pipeline=a b", "--trials=1"], "a study tunes one pipeline, not 2"),
        (["draw", "--run=x"], "there is no run 'x'"),
        (["draw", "--demo"], "`make demo` makes it"),
        (["board"], "train` makes a run"),
        (["data", "--source=nowhere.zip"], "there is no such file or folder"),
    ],
)
def test_error_is_one_line_and_status_1(run, words, said):
    status, _, complaint = run(*words)
    assert status == 1
    assert said in complaint
    assert complaint.startswith("digit-recognizer: ")
    assert complaint.count("\n") == 1


def test_unknown_pipeline_lists_all_pipelines(run):
    status, _, complaint = run("train", "--pipeline=bath")
    assert status == 1
    assert "did you mean both? The pipelines are a, b, " in complaint


def test_debug_shows_the_traceback(run):
    for words in (["--debug", "train", "--pipeline=a"], ["train", "--pipeline=a", "--debug"]):
        _, _, complaint = run(*words)
        assert "Traceback" in complaint
        assert complaint.splitlines()[-1].startswith("digit-recognizer: ")


@pytest.fixture
def failing_train(run, monkeypatch):
    """A function that runs `train`, in which an error is raised, and returns its status and complaint."""

    def train(error):
        def fail(*_):
            raise error

        monkeypatch.setattr("digit_recognizer.cli.selection.load_pipelines", fail)
        status, _, complaint = run("train")
        return status, complaint

    return train


def test_ctrl_c_gives_status_130_and_a_line_about_resuming(failing_train):
    status, complaint = failing_train(KeyboardInterrupt())
    assert status == 130
    assert "the same command resumes" in complaint


def test_unexpected_error_is_one_line(failing_train):
    status, complaint = failing_train(RuntimeError("two\nlines"))
    assert status == 1
    assert complaint.count("\n") == 1
    assert "RuntimeError" in complaint


@pytest.mark.parametrize("error", [MemoryError(), ImportError("libhdf5.so: failed to map segment from shared object")])
def test_too_little_memory_is_named(failing_train, error):
    status, complaint = failing_train(error)
    assert status == 1
    assert "memory ran out: close other programs" in complaint


def test_empty_workspace_is_not_an_error(run):
    assert run("status")[0] == 0
    assert run("ledger")[:2] == (0, "nothing submitted yet\n")


def test_pipelines_lists_the_workspaces_own_and_the_projects(run):
    printed = run("pipelines")[1]
    assert re.search(r"^both +pipeline both", printed, re.M)
    assert re.search(r"^smoke +\w", printed, re.M)
    assert re.search(r"^next: digit-recognizer .*train --pipeline=small_cnn  ", printed, re.M)


def test_help_and_usage_errors_import_no_heavy_library():
    heavy = {"tensorflow", "keras", "optuna", "albumentations", "kaggle", "matplotlib", "sklearn", "pandas", "numpy"}
    code = (
        "import sys; from digit_recognizer.cli import main\n"
        "for words in (['--help'], ['train', '--help'], ['train', '--jobs=0'], ['train', '--pipeline=nothing']):\n"
        "    try: main(words)\n"
        "    except SystemExit: pass\n"
        f"print('imported:', *sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "imported:"


def test_help_takes_less_than_half_a_second_of_cpu_time():
    def seconds() -> float:
        before = os.times()
        subprocess.run([sys.executable, "-m", "digit_recognizer", "--help"], capture_output=True, check=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(seconds() for _ in range(3)) < 0.5


def shell(command, **environment):
    """Run a line of the shell in which `digit-recognizer` is this program."""
    line = command.replace("digit-recognizer", f"{shlex.quote(sys.executable)} -m digit_recognizer")
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, env={**os.environ, **environment})


@pytest.mark.parametrize("command", ["digit-recognizer settings | head -1", "digit-recognizer pipelines | true"])
def test_closed_pipe_prints_no_error(command):
    assert shell(command).stderr == ""


def test_closed_standard_output_is_not_an_error(tmp_path):
    done = shell(f"digit-recognizer --workspace={tmp_path} ledger >&-")
    assert (done.returncode, done.stderr) == (0, "")


def test_full_disk_behind_standard_output_is_one_line():
    done = shell("digit-recognizer pipelines > /dev/full")
    assert (done.returncode, done.stderr) == (1, "digit-recognizer: writing failed: No space left on device\n")


def test_characters_that_the_terminal_lacks_are_not_an_error(tmp_path):
    done = shell(f"digit-recognizer --workspace={tmp_path}/ä status", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert r"\xe4/runs" in done.stdout


def test_version_names_program_python_and_libraries():
    done = shell("digit-recognizer --version")
    assert re.match(r"digit-recognizer \d\S* \(commit \S+\), Python 3\.\d+\.\d+\nkeras 3\.", done.stdout)


def test_demo_option_means_the_workspace_of_the_demo(run, two_pipelines):
    for words in (["--demo", "report"], ["report", "--demo"]):
        assert f"{two_pipelines.root / 'demo' / 'input'} has no data yet" in run(*words)[2]


def test_settings_lists_every_field_with_type_default_value_and_meaning(run):
    status, printed, _ = run("settings", "a")
    assert status == 0
    lines = [re.split(" {2,}", line) for line in printed.splitlines()]
    assert lines[0][:5] == ["setting", "type", "default", "a", "meaning"]
    assert ["augmentation.rotation", "float", "0.0", "0.0", "degrees, within +-rotation"] in [line[:5] for line in lines]
    assert printed == run("settings", "--pipeline=a")[1]


def test_pipelines_of_other_folds_are_named_before_they_are_trained(two_pipelines, run):
    write_pipeline(two_pipelines, "b", "network=networks.mlp, folds=10")
    _, printed, _ = run("train", "--pipeline=a b")
    assert printed.startswith("warning: b can't be blended with a: the folds differ")
    _, printed, _ = run("train", "--pipeline=a b", "--set=folds=3")
    assert "warning" not in printed
