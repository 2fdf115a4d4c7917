"""The only module with code for each Keras backend: TensorFlow by default, JAX or PyTorch with KERAS_BACKEND."""

import collections
import contextlib
import functools
import importlib.metadata
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digit_recognizer.errors import UserError, first_line

if TYPE_CHECKING:  # NumPy's libraries read the variables of `prepare_environment` when they are loaded
    import numpy as np

BACKENDS = ("tensorflow", "jax", "torch")
PARALLEL_OPERATIONS = 2  # of a model on a CPU: a layer's gradients of its weights and of its inputs don't depend on each other
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}  # instruction sets that multiply bfloat16


def name() -> str:
    """Return the backend that Keras will use.

    Raises:
        UserError: KERAS_BACKEND is not one of the three.
    """
    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if backend not in BACKENDS:
        raise UserError(f"KERAS_BACKEND={backend}: choose one of {', '.join(BACKENDS)}")
    return backend


@dataclass(frozen=True)
class Gpu:
    """An NVIDIA GPU, or a MIG slice of one."""

    uuid: str
    name: str
    memory: int  # bytes; 0 if the driver doesn't report it
    used: int  # bytes, by all processes
    capability: float  # CUDA compute capability

    @property
    def free(self) -> float:
        """Free memory in bytes; infinite if the driver doesn't report it."""
        return self.memory - self.used if self.memory else float("inf")


def query_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that `nvidia-smi` lists and CUDA_VISIBLE_DEVICES leaves visible, without importing a framework."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return ()
    fields = "uuid,name,memory.total,memory.used,compute_cap"
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return ()
    return _visible([_parse_gpu(line) for line in answer.stdout.splitlines() if line.count(",") == fields.count(",")])


@contextlib.contextmanager
def without_messages() -> Iterator[None]:
    """Discard what the backend's native code writes to standard error during the block."""
    try:
        stderr = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


@functools.cache
def gpus() -> tuple[Gpu, ...]:
    """Return `query_gpus()`, cached at the first call in this process."""
    return query_gpus()


def _parse_gpu(line: str) -> Gpu:
    uuid, name, memory, used, capability = (field.strip() for field in line.split(","))
    return Gpu(uuid, name, int(2**20 * _number(memory)), int(2**20 * _number(used)), _number(capability))


def _number(text: str) -> float:
    """Return the number, or 0 if the driver writes [N/A]."""
    with contextlib.suppress(ValueError):
        return float(text)
    return 0.0


def _visible(found: list[Gpu]) -> tuple[Gpu, ...]:
    """Return what CUDA_VISIBLE_DEVICES names, by number or UUID; as in CUDA, an unknown entry ends the list."""
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return tuple(found)
    chosen: list[Gpu] = []
    for word in map(str.strip, wanted.split(",")):
        matching = [gpu for index, gpu in enumerate(found) if word == str(index) or gpu.uuid.startswith(word or " ")]
        if word.startswith("MIG-") and found:  # nvidia-smi's query doesn't list MIG slices
            matching = [replace(found[0], uuid=word, name=f"{found[0].name} MIG", memory=0)]
        if len(matching) != 1 or matching[0] in chosen:
            break
        chosen += matching
    return tuple(chosen)


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


# Variables of the user that shorten or break trainings, or the import of Keras: they are removed. Others are recorded.
REMOVED = (
    "KERAS_MAX_EPOCHS",
    "KERAS_MAX_STEPS_PER_EPOCH",
    "TF_USE_LEGACY_KERAS",
    "TF_XLA_FLAGS",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "MPLBACKEND",  # Keras imports matplotlib, which fails if it is invalid
)
READ_BY_LIBRARIES = re.compile(
    "(CUBLAS|CUDA|CUDNN|DNNL|JAX|KERAS|KMP|MKL|NCCL|NPY|NVIDIA|OMP|ONEDNN|OPENBLAS|OPENCV|PYTORCH|TF|TORCH|XLA)_"
)


def prepare_environment(threads: int) -> None:
    """Set and remove what the libraries read from the environment when they are imported; call it before Keras is imported.

    `threads` is the number of CPU threads of this process and of those that it starts.
    """
    for variable in REMOVED:
        os.environ.pop(variable, None)
    os.environ.update(environment_variables(threads))


def ambient_variables() -> dict[str, str]:
    """Return the user's environment variables that the libraries read and that are neither set nor removed here."""
    ours = {*environment_variables(1), *REMOVED, "CUDA_VISIBLE_DEVICES", "KERAS_HOME"}
    return {key: value for key, value in sorted(os.environ.items()) if READ_BY_LIBRARIES.match(key) and key not in ours}


def environment_variables(threads: int) -> dict[str, str]:
    """Return the environment variables of a process with this number of CPU threads."""
    return {
        "KERAS_BACKEND": name(),
        "KERAS_NNX_ENABLED": "false",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "1",  # a third faster on CPUs for which TensorFlow disables it by default
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "NPROC": str(threads),  # the size of JAX's thread pool on a CPU
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # because several members share a GPU
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "KMP_DUPLICATE_LIB_OK": "True",  # as scikit-learn sets these two when it is imported
        "KMP_INIT_AT_FORK": "FALSE",
    }


def configure(threads: int, deterministic: bool) -> None:
    """Set threads and determinism of the backend in this process, before its first computation.

    Raises:
        UserError: the backend is not installed, or keras.json is invalid.
    """
    import logging

    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.ERROR)
    backend = name()
    try:
        import keras
    except ImportError as error:
        raise UserError(f"KERAS_BACKEND={backend} can't be used: {first_line(error)}") from error
    except Exception as error:
        if not _keras_settings().exists():
            raise
        raise UserError(f"Keras can't be imported ({first_line(error)}): correct or delete {_keras_settings()}") from error
    keras.config.set_floatx("float32")  # keras.json may have other values
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")

    if backend == "tensorflow":
        import tensorflow

        try:
            tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
            tensorflow.config.threading.set_inter_op_parallelism_threads(min(PARALLEL_OPERATIONS, cpu_cores()))
        except RuntimeError:
            pass  # a notebook that has used TensorFlow before keeps its number of threads
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


def _keras_settings() -> Path:
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "keras.json"


def device() -> str:
    """Return the devices that models are trained on, such as `2 x Tesla T4` or `CPU, 8 cores`."""
    counts = collections.Counter(gpu.name for gpu in gpus())
    names = [name if count == 1 else f"{count} x {name}" for name, count in counts.items()]
    return ", ".join(names) or f"CPU, {cpu_cores()} cores"


def precision(wanted: str) -> str:
    """Return the Keras dtype policy for an experiment's `precision`; "auto" is mixed precision where that is faster.

    On NVIDIA GPUs that is float16 (with loss scaling) from compute capability 7, and bfloat16 from 8; where GPUs differ, the
    oldest one decides, so that all members of a run are trained alike. On a CPU it is bfloat16 where TensorFlow has
    instructions for it.
    """
    if wanted != "auto":
        return wanted
    if not gpus():
        return "mixed_bfloat16" if name() == "tensorflow" and BFLOAT16_FLAGS & cpu_flags() else "float32"
    oldest = min(gpu.capability for gpu in gpus())
    return "mixed_bfloat16" if oldest >= 8 else "mixed_float16" if oldest >= 7 else "float32"


def cpu_cores() -> int:
    """Return the CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def cpu_flags() -> frozenset[str]:
    """Return the instruction sets of the CPU by the Linux kernel's names for them; empty on other systems than Linux on x86."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.split() for line in lines if line.startswith("flags")), ()))


def steps_per_execution() -> int:
    """Return how many steps to run between two callbacks: more than one if a step is shorter than a callback's overhead."""
    return 16 if gpus() and name() != "torch" else 1


def training_data(batches: "Iterator[tuple[np.ndarray, np.ndarray]]", images: "np.ndarray", targets: "np.ndarray") -> Any:
    """Return `batches` of `images` (n, h, w, c) and `targets` (n, classes) as what the backend's `Model.fit` takes.

    For TensorFlow this is a dataset without autotuning. Keras would turn an iterator into one with autotuning; if the cores
    are busy at the end of a training, deleting that takes up to half a minute, because it waits for a sleeping thread.
    """
    if name() != "tensorflow":
        return batches
    tf = tensorflow()
    signature = tuple(tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in (images, targets))
    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.from_generator(lambda: batches, output_signature=signature).prefetch(2).with_options(options)


def synchronize(model: Any) -> None:
    """Write JAX's training state back to the model's variables; the other backends train them in place."""
    if name() == "jax":
        model.jax_state_sync()


def tensorflow() -> Any:
    """Return the TensorFlow module; call it only if TensorFlow is the backend."""
    import tensorflow

    return tensorflow
