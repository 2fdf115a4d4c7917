"""All steps as commands in separate processes, with the bundled digits in a temporary workspace."""

import csv
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bad_disk import on_a_read_only_disk

from digit_recognizer import files
from digit_recognizer.cli import main
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.records import read_run_record

ROOT = Path(__file__).resolve().parents[1]


def command(workspace: Path, *words: str) -> str:
    """Run a command that must succeed; return what it printed."""
    call = [sys.executable, "-m", "digit_recognizer", "--workspace", str(workspace), *words]
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def refused(capsys, workspace: Path, *words: str) -> str:
    """Call a command in this process that must fail with one line; return that line."""
    assert main(["--workspace", str(workspace), *words]) == 1
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    return complaint


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workspace with a trained run of `smoke`, and the output of its training."""
    workspace = tmp_path_factory.mktemp("a workspace")
    assert "1,437 training and 360 test images" in command(workspace, "data", "--source=bundled")
    return workspace, command(workspace, "train", "--pipeline=smoke")


def test_training_prints_the_remaining_time_each_epoch_and_a_summary(trained):
    _, printed = trained
    assert "smoke: training 2 models, 2 epochs each" in printed
    assert " ms per step" in printed
    for fold in (0, 1):
        for epoch in (1, 2):
            assert f"smoke fold {fold}: epoch {epoch}/2, loss " in printed
    assert re.search(r"^out of fold +0\.", printed, re.M)


def test_run_has_the_files_of_the_contract(trained):
    run = trained[0] / "runs" / "smoke"
    names = {"experiment.json", "folds.csv", "oof.npz", "test.npz", "errors.csv", "metrics.json"}
    assert names <= {path.name for path in run.iterdir()}
    fold = {"model.keras", "history.csv", "predictions.npz", "metrics.json", "confusion.csv", "confusion.png"}
    for number in (0, 1):
        assert fold <= {path.name for path in (run / "seed_0" / f"fold_{number}").iterdir()}
    header = (run / "seed_0" / "fold_0" / "history.csv").read_text().splitlines()[0]
    assert header.startswith("epoch,loss,accuracy,val_loss,val_accuracy")


def test_each_row_is_predicted_by_the_model_of_its_own_fold(trained):
    run = trained[0] / "runs" / "smoke"
    oof = np.load(run / "oof.npz")
    assert oof["probabilities"].shape == (1437, 10)
    assert np.isfinite(oof["probabilities"]).all()
    for fold in (0, 1):
        predictions = np.load(run / "seed_0" / f"fold_{fold}" / "predictions.npz")
        assert (oof["fold"][predictions["rows"]] == fold).all()
        np.testing.assert_array_equal(oof["probabilities"][predictions["rows"]], predictions["valid"])


def test_second_training_of_a_finished_run_changes_nothing_and_does_not_import_tensorflow(trained):
    workspace, _ = trained
    files = [path for path in (workspace / "runs" / "smoke" / "seed_0").rglob("*") if path.is_file()]
    before = [path.stat().st_mtime_ns for path in files]
    program = [sys.executable, "-X", "importtime", "-m", "digit_recognizer", "--workspace", str(workspace)]
    done = subprocess.run([*program, "train", "--pipeline=smoke"], capture_output=True, text=True, check=True)
    assert "already trained" in done.stdout
    assert "digit_recognizer.training" in done.stderr
    assert "tensorflow" not in done.stderr
    assert [path.stat().st_mtime_ns for path in files] == before


@pytest.fixture(scope="module")
def submitted(trained):
    """The output of report, ensemble and submit."""
    workspace, _ = trained
    return {verb: command(workspace, verb, "--pipeline=smoke") for verb in ("report", "ensemble", "submit")}


def test_report_ensemble_submit_and_verify(trained, submitted):
    workspace, _ = trained
    assert "report.html" in submitted["report"]
    rows = list(csv.reader((workspace / "submissions" / "smoke.csv").open()))
    assert rows[0] == ["ImageId", "Label"]
    assert [row[0] for row in rows[1:]] == [str(number) for number in range(1, 361)]
    assert json.loads((workspace / "submissions" / "smoke.json").read_text())["runs"] == ["smoke"]
    assert "on the test labels" in submitted["submit"]
    assert "not uploaded" in submitted["submit"]
    assert "not rehearsed" in submitted["ensemble"]
    assert "rehearsed" not in submitted["submit"]
    assert "all 360 labels agree" in command(workspace, "verify", str(workspace / "submissions" / "smoke.csv"))


def test_each_command_prints_the_next_commands_with_the_same_names(trained, submitted):
    workspace, printed = trained
    program = f"digit-recognizer --workspace={shlex.quote(str(workspace))}"
    for output, following in (
        (printed, ("report --pipeline=smoke", "ensemble --pipeline=smoke")),
        (submitted["ensemble"], ("submit --pipeline=smoke", "rehearse --pipeline=smoke")),
    ):
        next_steps = output.partition("next: ")[2]
        assert all(f"{program} {command}  " in next_steps for command in following)


def test_saved_models_agree_with_the_submission_and_are_evaluated_on_a_read_only_disk(trained, submitted):
    workspace, _ = trained
    score = submitted["submit"].split(" on the test labels")[0].split()[-1]
    call = [sys.executable, "-m", "digit_recognizer", "--workspace", str(workspace), "evaluate", "--pipeline=smoke"]
    done = on_a_read_only_disk(workspace, call)
    assert done.stderr == ""
    assert f"their mean  {score} (" in done.stdout


def test_prediction_of_image_files(trained, tmp_path):
    from PIL import Image

    workspace, _ = trained
    Image.fromarray(np.full((50, 40), 255, np.uint8)).save(tmp_path / "blank page.png")
    printed = command(workspace, "predict", f"--images={tmp_path / 'blank page.png'}", "--run=smoke")
    assert "blank page.png" in printed
    assert "blank: no digit found" in printed
    assert "image files were cut out, scaled and centred as in MNIST" in printed


@pytest.fixture(scope="module")
def clothes(trained):
    """The workspace with a copy of the run that looks as if it was trained on Fashion-MNIST."""
    workspace, _ = trained
    run = shutil.copytree(workspace / "runs" / "smoke", workspace / "runs" / "clothes")
    record = read_run_record(RunFolder(run))
    fashion = replace(record.dataset, source="fashion_mnist", classes=("T-shirt", "Trouser", *map(str, range(8))))
    files.write_record(RunFolder(run).record, replace(record, dataset=fashion))
    return workspace


@pytest.mark.slow
def test_images_for_a_run_on_other_classes_than_digits_are_only_scaled(clothes, tmp_path):
    from PIL import Image

    ramp = np.arange(28 * 28, dtype=np.uint32).reshape(28, 28) // 4
    Image.fromarray(ramp.astype(np.uint8)).save(tmp_path / "shirt.png")
    answers = []
    for run, *words in (["clothes"], ["smoke", "--as-is"]):
        printed = command(clothes, "predict", f"--images={tmp_path / 'shirt.png'}", f"--run={run}", *words)
        assert "image files were only scaled" in printed
        table = (clothes / "runs" / run / "predictions.csv").read_text().splitlines()
        answers.append(table[1].split(",")[-10:])
    assert answers[0] == answers[1]


def test_the_drawing_page_is_refused_for_a_run_on_other_classes_than_digits(clothes, capsys):
    assert "trained on fashion_mnist (10 classes, 28x28x1)" in refused(capsys, clothes, "draw", "--run=clothes")


@pytest.mark.slow
def test_more_runs_are_compared_and_blended(trained):
    workspace, _ = trained
    command(workspace, "train", "--pipeline=smoke", "--run=other", "--set=learning_rate=0.01 augmentation.rotation=0")
    compared = command(workspace, "compare", "smoke", "other")
    assert "images right (p " in compared
    assert "  augmentation.rotation: " in compared
    assert "  learning_rate: " in compared
    printed = command(workspace, "ensemble", "--run=smoke other")
    assert "smoke+other" in printed
    assert "weights:" in printed
    assert (workspace / "submissions" / "smoke+other.html").exists()
    assert "smoke+other.html" in command(workspace, "report", "--run=smoke other")
    assert "other (smoke)" in command(workspace, "status")
    printed = command(workspace, "status", "--pipeline=other")
    assert "no pipeline has this name; using the run other" in printed
    assert not re.search(r"^smoke ", printed, re.M)


@pytest.mark.parametrize(
    "words",
    [
        "data --source=bundled --force",
        "train --pipeline=smoke --run=another",
        "train --pipeline=smoke --set=seeds=0,1",
        "ensemble --pipeline=smoke --run=smoke",
        pytest.param("report --pipeline=smoke", marks=pytest.mark.slow),
        "tune --pipeline=fast --trials=1",
        "demo",
    ],
)
def test_a_read_only_disk_is_a_one_line_error(trained, words):
    workspace, _ = trained
    call = [sys.executable, "-m", "digit_recognizer", "--workspace", str(workspace), *words.split()]
    done = on_a_read_only_disk(workspace, call)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Read-only file system" in done.stderr
    assert "unexpected" not in done.stderr


def test_commands_that_only_read_work_on_a_read_only_disk(trained):
    workspace, _ = trained
    for words in (["status"], ["data", "--source=bundled"]):
        done = on_a_read_only_disk(workspace, [sys.executable, "-m", "digit_recognizer", "--workspace", str(workspace), *words])
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_the_same_commands_in_two_clones_give_the_same_submission(tmp_path):
    submissions = []
    for name in ("one", "another place"):
        clone = tmp_path / name
        for folder in ("src", "pipelines"):
            shutil.copytree(ROOT / folder, clone / folder, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        for words in ("data --source=bundled", "train --pipeline=smoke", "ensemble --pipeline=smoke"):
            call = [sys.executable, "-m", "digit_recognizer", *words.split()]
            done = subprocess.run(call, cwd=clone, env={**os.environ, "PYTHONPATH": "src"}, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        record = json.loads((clone / "runs" / "smoke" / "experiment.json").read_text())
        assert Path(record["pipeline_file"]).is_relative_to(clone)
        submissions.append((clone / "submissions" / "smoke.csv").read_bytes())
    assert submissions[0] == submissions[1]


def test_tensorboard_serves_until_ctrl_c_and_prints_only_its_address(trained):
    call = [sys.executable, "-m", "digit_recognizer", "--workspace", str(trained[0]), "board", "--run=smoke"]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        address = server.stdout.readline().split()[0]
        with urllib.request.urlopen(f"{address}data/runs") as answer:
            assert "seed_0/fold_0" in answer.read().decode()
        port = urllib.parse.urlsplit(address).port
        second = subprocess.run([*call, f"--port={port}"], capture_output=True, text=True)
        server.send_signal(signal.SIGINT)
        rest, complaint = server.communicate(timeout=120)
    assert (server.returncode, rest, complaint) == (0, "", "")
    assert second.returncode == 1
    assert f"port {port}" in second.stderr
    assert second.stderr.count("\n") == 1


def test_pipeline_that_imports_keras_prints_no_messages_of_tensorflow(tmp_path):
    page = (ROOT / "docs" / "pipelines.md").read_text()
    (tmp_path / "own.py").write_text(re.search(r"```python\n([^`]*import keras[^`]*)```", page)[1])
    command(tmp_path, "settings", str(tmp_path / "own.py"))


def test_run_of_another_pipeline_is_refused(trained, capsys):
    complaint = refused(capsys, trained[0], "report", "--pipeline=fast", "--run=smoke")
    assert "RUN=smoke was trained with PIPELINE=smoke, not fast" in complaint


def test_changed_settings_are_an_error_with_a_remedy(trained, capsys):
    complaint = refused(capsys, trained[0], "train", "--pipeline=smoke", "--set=epochs=3")
    assert all(words in complaint for words in ("epochs: 2 -> 3", "RUN=", "FORCE=1"))


@pytest.mark.slow
def test_demo_runs_all_steps(tmp_path):
    printed = command(tmp_path, "demo")
    scores = [float(line.split(": ")[1].split()[0]) for line in printed.splitlines() if " right)" in line]
    assert scores[0] > 0.95
    assert "out-of-fold accuracy: 0.9" in printed
    assert printed.count("not rehearsed") == 1
    assert (tmp_path / "demo" / "runs" / "demo" / "report.html").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"demo"}
