"""The one module that knows Keras's backends apart: TensorFlow by default, JAX and PyTorch by KERAS_BACKEND."""

import functools
import importlib.metadata
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from digit_recognizer.errors import UserError

BACKENDS = ("tensorflow", "jax", "torch")
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}  # instruction sets that multiply bfloat16


def name() -> str:
    """Return the backend that Keras will use.

    Raises:
        UserError: KERAS_BACKEND names none of the three.
    """
    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if backend not in BACKENDS:
        raise UserError(f"KERAS_BACKEND={backend}: choose one of {', '.join(BACKENDS)}")
    return backend


@functools.cache
def gpu_present() -> bool:
    """Whether `nvidia-smi` answers and the GPU is not hidden; asks no framework, so it is quick."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1") or not shutil.which("nvidia-smi"):
        return False
    return subprocess.run(["nvidia-smi", "-L"], capture_output=True, check=False).returncode == 0


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that a result depends on, without importing them."""
    libraries = ("keras", name(), "numpy", "opencv-python-headless", "albumentations", "scikit-learn")
    found = {}
    for library in libraries:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            found[library] = "unknown"
    return found


def prepare_environment(threads: int) -> None:
    """Set what the libraries read from the environment when they are imported; call it before Keras is.

    `threads` is how many CPU threads this process, or those that it starts, compute with.
    """
    os.environ["KERAS_BACKEND"] = name()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"  # a third faster on a CPU where TensorFlow leaves it off
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
    os.environ["NPROC"] = str(threads)  # the size of JAX's thread pool on a CPU
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # several members share a GPU
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"


def configure(threads: int, deterministic: bool) -> None:
    """Set threads and determinism of the backend in this process, before its first computation.

    Raises:
        UserError: the backend is not installed.
    """
    import logging

    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.ERROR)
    backend = name()
    try:
        import keras
    except ImportError as error:
        raise UserError(f"KERAS_BACKEND={backend} can't be used: {error}") from error

    if backend == "tensorflow":
        import tensorflow

        try:
            tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
            tensorflow.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:
            pass  # a notebook that has computed already keeps its threads
        if deterministic:
            tensorflow.config.experimental.enable_op_determinism()
    elif backend == "torch":
        import torch

        torch.set_num_threads(threads)
        if deterministic:
            torch.use_deterministic_algorithms(True)
    elif deterministic:
        os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_gpu_deterministic_ops=true"
    keras.config.disable_traceback_filtering()


def device() -> str:
    """Return the device that models are trained on, as a person would call it."""
    if not gpu_present():
        return f"CPU, {os.cpu_count()} cores"
    return _nvidia_smi("name") or "GPU"


def precision(wanted: str) -> str:
    """Return the Keras dtype policy for an experiment's `precision`; "auto" is mixed only where half precision is fast.

    That is on a GPU since NVIDIA's Volta, and for TensorFlow on a CPU that multiplies bfloat16 in hardware.
    """
    if wanted != "auto":
        return wanted
    if not gpu_present():
        return "mixed_bfloat16" if name() == "tensorflow" and BFLOAT16_FLAGS & cpu_flags() else "float32"
    answer = _nvidia_smi("compute_cap")
    generation = float(answer) if re.fullmatch(r"\d+\.\d+", answer) else 0
    return "mixed_bfloat16" if generation >= 8 else "mixed_float16" if generation >= 7 else "float32"


@functools.cache
def cpu_flags() -> frozenset[str]:
    """Return the instruction sets of the CPU by the kernel's names for them; none where there is no Linux on x86."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.split() for line in lines if line.startswith("flags")), ()))


def _nvidia_smi(field: str) -> str:
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if answer.returncode else answer.stdout.strip().partition("\n")[0]


def steps_per_execution() -> int:
    """Return how many steps to run between two callbacks: more where a step is shorter than a callback's overhead."""
    return 16 if gpu_present() and name() != "torch" else 1


def synchronize(model: Any) -> None:
    """Write JAX's training state back to the model's variables; the other backends train them in place."""
    if name() == "jax":
        model.jax_state_sync()


def reseed(model: Any, seed: list[int]) -> None:
    """Set every random layer's (dropout's) generator from `seed`, so that an epoch's draws don't depend on earlier ones."""
    import numpy as np

    generators = [layer.seed_generator for layer in model._flatten_layers() if hasattr(layer, "seed_generator")]
    for index, generator in enumerate(generators):
        state = np.random.SeedSequence([*seed, index]).generate_state(2)
        generator.state.assign(state.astype(generator.state.dtype))


def decoded_png(picture: bytes) -> Any:
    """Return a PNG as TensorFlow's summaries take it: uint8 (1, height, width, channels)."""
    import tensorflow

    return tensorflow.io.decode_png(picture)[None]
