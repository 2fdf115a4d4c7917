"""The wheel that travels: what pip would make, with nothing else of the person's in it."""

import base64
import hashlib
import io
import zipfile

import pytest
from installed_environment import ROOT, build_wheel

from digit_recognizer.remote import wheel


def opened() -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(wheel.build_wheel()[1]))


def test_same_sources_make_the_same_wheel():
    assert wheel.build_wheel() == wheel.build_wheel()


def test_wheel_holds_the_package_and_its_pipelines_alone():
    names = {name for name in opened().namelist() if ".dist-info/" not in name}
    package = {path for path in (ROOT / "src").rglob("*") if path.suffix in (".py", ".html", ".css", ".js")}
    pipelines = {f"digit_recognizer/pipelines/{path.name}" for path in (ROOT / "pipelines").glob("*.py")}
    assert names == {path.relative_to(ROOT / "src").as_posix() for path in package} | pipelines


def test_other_files_of_the_package_do_not_travel(tmp_path, monkeypatch):
    for name in ("module.py", "access_token", "notes.txt", ".env", "kaggle.json"):
        (tmp_path / name).write_text("secret")
    monkeypatch.setattr(wheel, "PACKAGE", tmp_path)
    assert [name for name in opened().namelist() if "secret" in opened().read(name).decode("utf-8", "replace")] == [
        "digit_recognizer/module.py"
    ]


def test_record_has_the_hash_of_each_file():
    with opened() as archive:
        (record,) = [name for name in archive.namelist() if name.endswith("RECORD")]
        lines = dict(line.rsplit(",", 2)[:2] for line in archive.read(record).decode().splitlines())
        assert lines.keys() == set(archive.namelist())
        for name in lines.keys() - {record}:
            digest = base64.urlsafe_b64encode(hashlib.sha256(archive.read(name)).digest()).rstrip(b"=").decode()
            assert lines[name] == f"sha256={digest}"


@pytest.mark.slow
def test_wheel_has_the_files_of_the_one_that_pip_makes(tmp_path):
    by_pip = set(zipfile.ZipFile(build_wheel(tmp_path)).namelist())
    left_out = {name for name in by_pip if name.endswith(("top_level.txt", "LICENSE"))}
    assert set(opened().namelist()) == by_pip - left_out
