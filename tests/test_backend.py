"""The same pipelines on Keras's other backends, with the same files."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_run import environment, make_workspace

from digit_recognizer import backend, files
from digit_recognizer.data.dataset import load_dataset
from digit_recognizer.errors import UserError
from digit_recognizer.models import prediction
from digit_recognizer.runs.evaluation import load_models
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.workspace import PROJECT_ROOT


def without(backend_name):
    return not importlib.util.find_spec(backend_name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.skipif(without(name), reason=f"{name} is not installed"))
        for name in ("jax", "torch")
    ],
)
def test_smoke_leaves_the_same_files_on_another_backend(name, tmp_path):
    workspace = make_workspace(tmp_path)
    command = [sys.executable, "-m", "digit_recognizer", "--workspace", str(tmp_path), "train"]
    command += [f"--pipeline={PROJECT_ROOT / 'pipelines/smoke.py'}", "--run=smoke", "--jobs=2"]
    command += ["--set=hard_examples=0.5 epochs=3 batch_size=16"]  # ranks the rows in the midst of a training
    done = subprocess.run(command, env=environment(KERAS_BACKEND=name), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    run = workspace.run("smoke")
    assert json.loads((run / "experiment.json").read_text("utf-8"))["backend"] == name
    assert np.isfinite(files.read_npz(run / "oof.npz")["probabilities"]).all()
    data = load_dataset(workspace)  # its models work on this process's backend, too
    for number, model in enumerate(load_models(RunFolder(run))):
        stored = files.read_npz(run / f"seed_0/fold_{number}/predictions.npz")
        assert prediction.predict(model, data.test_images) == pytest.approx(stored["test"], abs=1e-4)


def test_an_unknown_backend_is_refused(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "theano")
    with pytest.raises(UserError, match="KERAS_BACKEND=theano: choose one of tensorflow, jax, torch"):
        backend.name()


@pytest.mark.skipif(not without("torch"), reason="torch is installed")
def test_a_backend_that_is_not_installed_is_named(tmp_path):
    make_workspace(tmp_path)
    command = [sys.executable, "-m", "digit_recognizer", "--workspace", str(tmp_path), "train", "--pipeline=tiny"]
    done = subprocess.run(command, env=environment(KERAS_BACKEND="torch"), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "KERAS_BACKEND=torch can't be used: " in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_libraries_are_quiet_and_share_a_gpu(monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    backend.prepare_environment(2)
    assert (os.environ["TF_CPP_MIN_LOG_LEVEL"], os.environ["OMP_NUM_THREADS"], os.environ["NPROC"]) == ("3", "2", "2")
    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"


@pytest.mark.parametrize(
    ("flags", "keras_backend", "policy"),
    [
        ({"avx2", "avx512_bf16"}, "tensorflow", "mixed_bfloat16"),
        ({"avx2", "amx_bf16"}, "tensorflow", "mixed_bfloat16"),
        ({"avx2"}, "tensorflow", "float32"),
        ({"avx2", "avx512_bf16"}, "jax", "float32"),
    ],
)
def test_a_cpu_trains_in_bfloat16_only_where_it_has_instructions_for_it(monkeypatch, flags, keras_backend, policy):
    monkeypatch.setattr(backend, "gpus", lambda: ())
    monkeypatch.setattr(backend, "cpu_flags", lambda: flags)
    monkeypatch.setenv("KERAS_BACKEND", keras_backend)
    assert backend.precision("auto") == policy
    assert backend.precision("float32") == "float32"


CONFIGURED = """
from digit_recognizer import backend
backend.prepare_environment(1)
backend.configure(1, deterministic=False)
import keras, os
print(keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format(), keras.config.max_epochs())
"""


def configured(home, code=CONFIGURED, **variables):
    """Configure the backend in a process with this home folder."""
    environment_ = environment(HOME=str(home), **variables)
    return subprocess.run([sys.executable, "-c", code], env=environment_, capture_output=True, text=True, check=False)


def test_keras_settings_of_the_person_do_not_reach_a_training(tmp_path):
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras/keras.json").write_text('{"floatx": "float16", "epsilon": 0.1, "image_data_format": "channels_first"}')
    done = configured(tmp_path, KERAS_MAX_EPOCHS="1")
    assert done.stdout == "float32 1e-07 channels_last None\n"


def test_tensorflow_computes_two_operations_in_parallel_each_with_the_threads_of_the_pipeline(tmp_path):
    threads = "found.get_inter_op_parallelism_threads(), found.get_intra_op_parallelism_threads()"
    done = configured(tmp_path, f"{CONFIGURED}from tensorflow.config import threading as found\nprint({threads})")
    assert done.stdout.splitlines()[1] == f"{min(2, backend.cpu_cores())} 1"


def test_impossible_keras_settings_are_named(tmp_path):
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras/keras.json").write_text('{"floatx": "float8"}')
    done = configured(tmp_path)
    assert "Keras can't be imported (Invalid `floatx` configuration" in done.stderr
    assert done.stderr.endswith(f"correct or delete {tmp_path}/.keras/keras.json\n")


def test_keras_settings_of_another_type_are_named(tmp_path):
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras/keras.json").write_text("[1]")
    assert configured(tmp_path).stderr.endswith(f"correct or delete {tmp_path}/.keras/keras.json\n")


def test_flags_that_end_tensorflow_without_a_message_are_removed(monkeypatch):
    monkeypatch.setattr(os, "environ", {"TF_XLA_FLAGS": "--nonsense"})
    assert backend.ambient_variables() == {}
    backend.prepare_environment(1)
    assert "TF_XLA_FLAGS" not in os.environ


def test_variables_that_libraries_read_are_recorded(monkeypatch):
    monkeypatch.setattr(os, "environ", {"XLA_FLAGS": "--x", "TF_DETERMINISTIC_OPS": "1", "HOME": "/", "OMP_NUM_THREADS": "9"})
    assert backend.ambient_variables() == {"TF_DETERMINISTIC_OPS": "1", "XLA_FLAGS": "--x"}


def test_variables_that_scikit_learn_sets_are_not_recorded_as_the_persons():
    variables = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    check = "import sklearn; from digit_recognizer import backend; print(backend.ambient_variables())"
    done = subprocess.run([sys.executable, "-c", check], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout == "{}\n"


def test_training_data_has_the_batches_in_order_and_no_autotuning(noise):
    """Autotuning would make the end of a training wait for a sleeping thread."""
    targets = np.eye(10, dtype=np.float32)[noise.labels]
    batches = [(noise.images[:8], targets[:8]), (noise.images[8:], targets[8:])]
    data = backend.training_data(iter(batches), noise.images, targets)
    assert data.options().autotune.enabled is False
    for (images, labels), (expected, expected_labels) in zip(data.as_numpy_iterator(), batches, strict=True):
        assert np.array_equal(images, expected) and images.dtype == np.uint8
        assert np.array_equal(labels, expected_labels)


def test_training_data_of_other_backends_are_the_batches(monkeypatch, noise):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    batches = iter([(noise.images, noise.labels)])
    assert backend.training_data(batches, noise.images, noise.labels) is batches


def test_cores_are_counted_without_linux_calls(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert backend.cpu_cores() == os.cpu_count()


def test_no_cpu_flags_without_proc(monkeypatch):
    def missing(self, *arguments, **options):
        raise FileNotFoundError(self)

    monkeypatch.setattr(Path, "read_text", missing)
    assert backend.cpu_flags.__wrapped__() == frozenset()
