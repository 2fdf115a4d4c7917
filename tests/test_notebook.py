"""The notebook runs in an environment like Kaggle's, where installing the package doesn't change TensorFlow."""

import importlib.util
import json
import re
import shutil
import stat
import subprocess
import sys
import tomllib

import nbformat
import pytest
from installed_environment import ROOT, build_wheel, create_environment, environment_variables

NOTEBOOK = ROOT / "docs" / "kaggle-notebook.ipynb"
MISSING_ON_KAGGLE = ("cleanlab", "kaggle", "onnx", "tf2onnx")  # pip and import find none of these in the test

# Every Python process of the test's environment refuses connections to other machines.
NO_NETWORK = """
import socket

_connect = socket.socket.connect


def _connect_here(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "localhost", "::1"):
        raise OSError(f"no network: {address}")
    return _connect(self, address)


socket.socket.connect = _connect_here
"""


def _names(lines):
    return {re.split(r"[\[<>=!; ]", line.strip())[0].lower() for line in lines if line.strip() and line.strip()[0] not in "#-"}


def test_package_requires_neither_tensorflow_nor_pinned_versions():
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert "tensorflow" not in _names(dependencies)
    assert [line for line in dependencies if re.search("[=<~]=?", line.replace(">=", ""))] == []


def test_make_pins_all_requirements_of_the_package():
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    pinned = (ROOT / "requirements.txt").read_text().splitlines()
    through_others = {"pillow", "scipy"}  # of matplotlib and scikit-learn
    assert _names(dependencies) - through_others <= _names(pinned)
    assert all("==" in line for line in pinned if line and line[0] not in "#-")


def test_notebook_is_up_to_date_with_its_script():
    spec = importlib.util.spec_from_file_location("make_notebook", ROOT / "docs" / "make_notebook.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert nbformat.read(NOTEBOOK, as_version=4) == script.make_notebook(), "run docs/make_notebook.py"


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory):
    """A folder like Kaggle's /kaggle: input/ with the competition's files and the wheel as a dataset, and working/."""
    folder = tmp_path_factory.mktemp("root") / "kaggle"
    workspace = tmp_path_factory.mktemp("workspace")
    command = [sys.executable, "-m", "digit_recognizer", "--workspace", str(workspace), "data", "--source=bundled"]
    subprocess.run(command, check=True, capture_output=True)
    competition = folder / "input" / "competitions" / "digit-recognizer"
    competition.mkdir(parents=True)
    for name in ("train.csv", "test.csv", "sample_submission.csv"):
        shutil.copy(workspace / "input" / name, competition)
    dataset = folder / "input" / "datasets" / "me" / "digit-recognizer-wheel"
    dataset.mkdir(parents=True)
    shutil.copy(build_wheel(tmp_path_factory.mktemp("wheel")), dataset)
    (folder / "working").mkdir()
    for path in [*(folder / "input").rglob("*"), folder / "input"]:
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)
    return folder


@pytest.fixture(scope="module")
def executed(kaggle, tmp_path_factory):
    """The notebook with its outputs after execution in an environment like Kaggle's."""
    from nbconvert.preprocessors import ExecutePreprocessor

    environment = tmp_path_factory.mktemp("environment")
    python = create_environment(environment / "venv", without=MISSING_ON_KAGGLE)
    (environment / "venv" / "libraries" / "sitecustomize.py").write_text(NO_NETWORK)
    kernel = environment / "jupyter" / "kernels" / "kaggle"
    kernel.mkdir(parents=True)
    command = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    variables = {**environment_variables(python), "HOME": str(environment), "PIP_NO_INDEX": "1"}
    (kernel / "kernel.json").write_text(
        json.dumps({"argv": command, "display_name": "kaggle", "language": "python", "env": variables})
    )
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("/kaggle/", f"{kaggle}/")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(environment / "jupyter"))
        run = ExecutePreprocessor(timeout=600, kernel_name="kaggle")
        run.preprocess(notebook, {"metadata": {"path": str(kaggle / "working")}})
    return notebook


def _outputs(notebook, source):
    """The text and the HTML that the cell with `source` shows."""
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code" and source in cell.source)
    return "".join(
        output.get("text", "") + "".join(output.get("data", {}).get(kind, "") for kind in ("text/plain", "text/html"))
        for output in cell.outputs
    )


@pytest.mark.slow
def test_notebook_runs_on_kaggle(executed, kaggle):
    assert "1,437 training and 360 test images" in _outputs(executed, "digit-recognizer data")
    assert re.search(r"out of fold +0\.", _outputs(executed, "digit-recognizer train"))
    assert "<iframe srcdoc=" in _outputs(executed, "IPython.display")
    assert "ImageId" in _outputs(executed, 'pd.read_csv("submission.csv")')
    submission = (kaggle / "working" / "submission.csv").read_text().splitlines()
    assert submission[0] == "ImageId,Label"
    assert len(submission) == 1 + 360
    assert submission == (kaggle / "working" / "submissions" / "fast.csv").read_text().splitlines()


@pytest.mark.slow
def test_notebook_shows_no_errors_and_no_control_sequences(executed):
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text
            assert "\x1b" not in output.get("text", "")
