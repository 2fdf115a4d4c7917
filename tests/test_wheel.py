"""The wheel works in any folder, without the repository."""

import subprocess
import zipfile
from pathlib import Path

import pytest
from installed_environment import ROOT, build_wheel, create_environment, environment_variables, pip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A function that runs the installed `digit-recognizer` in a folder."""
    python = create_environment(tmp_path_factory.mktemp("environment") / "venv")
    pip("--python", str(python), "install", "--no-deps", "--no-index", str(wheel))

    def run(folder: Path, *words: str) -> str:
        command = [str(python.parent / "digit-recognizer"), *words]
        done = subprocess.run(command, cwd=folder, env=environment_variables(python), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_wheel_has_all_sources_pages_pipelines_and_the_licence(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = [path for path in (ROOT / "src").rglob("*") if path.suffix in (".py", ".html", ".css", ".js")]
    expected = {str(path.relative_to(ROOT / "src")) for path in sources}
    expected |= {f"digit_recognizer/pipelines/{path.name}" for path in (ROOT / "pipelines").glob("*.py")}
    assert expected <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_installed_command_works_in_an_empty_folder(installed, tmp_path):
    assert "fast" in installed(tmp_path, "pipelines")
    installed(tmp_path, "data", "--source=bundled")
    installed(tmp_path, "train", "--pipeline=smoke")
    assert {path.name for path in tmp_path.iterdir()} == {"input", "runs"}
    installed(tmp_path, "report", "--pipeline=smoke")
    assert (tmp_path / "runs" / "smoke" / "report.html").exists()


def test_pipelines_of_the_current_folder_come_first(installed, tmp_path):
    (tmp_path / "pipelines").mkdir()
    text = (ROOT / "pipelines" / "smoke.py").read_text()
    (tmp_path / "pipelines" / "smoke.py").write_text(text.replace('"""', '"""My own smoke test.\n\n', 1))
    assert "My own smoke test." in installed(tmp_path, "pipelines")
