"""GPUs as a stand-in for `nvidia-smi` lists them."""

import os
import sys
from pathlib import Path

import pytest

from digit_recognizer import backend

T4 = "Tesla T4, 15360, {used}, 7.5"
A100 = "NVIDIA A100-SXM4-40GB, 40960, {used}, 8.0"

SCRIPT = """#!{python}
import sys
query = next(word for word in sys.argv if word.startswith("--query-gpu="))
assert query == "--query-gpu=uuid,name,memory.total,memory.used,compute_cap" and "--format=csv,noheader,nounits" in sys.argv
print({answer!r}, end="")
sys.exit({status})
"""


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """A function that puts an `nvidia-smi` with these lines on the path; GPU i has the UUID `GPU-<i>`."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def install(*gpus: str, status: int = 0) -> None:
        answer = "".join(f"GPU-{index}, {gpu.format(used=3)}\n" for index, gpu in enumerate(gpus))
        path = Path(tmp_path) / "nvidia-smi"
        path.write_text(SCRIPT.format(python=sys.executable, answer=answer, status=status))
        path.chmod(0o755)
        backend.gpus.cache_clear()

    yield install
    backend.gpus.cache_clear()


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_all_gpus_are_listed_by_name_and_number(nvidia_smi, count):
    nvidia_smi(*[T4] * count)
    assert [gpu.uuid for gpu in backend.gpus()] == [f"GPU-{index}" for index in range(count)]
    assert backend.gpus()[0] == backend.Gpu("GPU-0", "Tesla T4", 15360 * 2**20, 3 * 2**20, 7.5)
    assert backend.device() == ("Tesla T4" if count == 1 else f"{count} x Tesla T4")


def test_unlike_gpus_are_all_named(nvidia_smi):
    nvidia_smi(T4, A100, T4)
    assert backend.device() == "2 x Tesla T4, NVIDIA A100-SXM4-40GB"


@pytest.mark.parametrize(
    ("visible", "uuids"),
    [
        ("", []),
        ("-1", []),
        ("1", ["GPU-1"]),
        ("2,0", ["GPU-2", "GPU-0"]),
        ("GPU-1", ["GPU-1"]),
        ("0,7,1", ["GPU-0"]),  # CUDA stops at an entry that doesn't exist
        ("0,0", ["GPU-0"]),
        ("0,", ["GPU-0"]),
        ("MIG-5", ["MIG-5"]),
    ],
)
def test_cuda_visible_devices_is_respected(nvidia_smi, monkeypatch, visible, uuids):
    nvidia_smi(T4, T4, T4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.uuid for gpu in backend.gpus()] == uuids
    assert backend.device().startswith("CPU, ") == (not uuids)


@pytest.mark.parametrize(
    ("gpus", "policy"),
    [
        ([T4], "mixed_float16"),
        ([T4, A100], "mixed_float16"),  # one policy for all members of a run
        ([A100], "mixed_bfloat16"),
        (["NVIDIA H100, 81559, 3, 9.0"], "mixed_bfloat16"),
        (["Tesla P100-PCIE-16GB, 16384, 3, 6.0"], "float32"),
    ],
)
def test_precision_follows_the_compute_capability(nvidia_smi, gpus, policy):
    nvidia_smi(*gpus)
    assert backend.precision("auto") == policy
    assert backend.precision("float32") == "float32"


def test_unknown_memory_counts_as_free(nvidia_smi):
    nvidia_smi("NVIDIA GB10, [N/A], [N/A], 12.1")
    assert backend.gpus()[0].free == float("inf")


def test_failing_nvidia_smi_means_no_gpu(nvidia_smi):
    nvidia_smi(T4, status=9)
    assert backend.gpus() == ()
