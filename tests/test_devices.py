"""GPUs listed by a fake `nvidia-smi`, and how members are assigned to them."""

import dataclasses
import functools
import os
import sys
from pathlib import Path

import pytest
import tiny_run

from digit_recognizer import backend
from digit_recognizer.errors import UserError
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.member import Member
from digit_recognizer.training import checkpoint
from digit_recognizer.training.devices import MeasuredSlots, make_slots, usable_gpus
from digit_recognizer.training.events import EpochEnded, MemberFinished, StepEnded

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
    """A function that puts a fake `nvidia-smi` with these lines on the path; GPU i has the UUID `GPU-<i>`."""
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


def test_different_gpus_are_all_named(nvidia_smi):
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


BUSY = f"Tesla T4, 15360, {15360 - 500}, 7.5"


def take_all(slots):
    """Take all free slots and return the UUIDs of their GPUs."""
    taken = list(iter(slots.take, None))
    return [slot.gpu.uuid if slot.gpu else None for slot in taken], taken


@pytest.mark.parametrize(
    ("gpus", "jobs", "uuids"),
    [
        ([T4, T4], 2, ["GPU-0", "GPU-1"]),
        ([T4, T4], 5, ["GPU-0", "GPU-1", "GPU-0", "GPU-1", "GPU-0"]),
        ([BUSY, T4, T4], 3, ["GPU-1", "GPU-2", "GPU-1"]),
        ([T4] * 8, 9, [*(f"GPU-{index}" for index in range(8)), "GPU-0"]),
        ([], 3, [None] * 3),
    ],
)
def test_jobs_are_spread_over_the_gpus_that_are_free(nvidia_smi, gpus, jobs, uuids):
    nvidia_smi(*gpus)
    assert take_all(make_slots(jobs, cpu_jobs=1))[0] == uuids


def test_trainings_of_one_job_each_take_turns_on_the_gpus(nvidia_smi):
    nvidia_smi(T4, T4, BUSY)
    uuids = [take_all(make_slots(1, cpu_jobs=1))[0] for _ in range(4)]
    assert sorted(uuids) == [["GPU-0"], ["GPU-0"], ["GPU-1"], ["GPU-1"]]


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_each_gpu_begins_with_one_member(nvidia_smi, count):
    nvidia_smi(*[T4] * count, BUSY)
    slots = make_slots(None, cpu_jobs=1)
    assert sorted(take_all(slots)[0]) == [f"GPU-{index}" for index in range(count)]
    assert slots.jobs == count


def test_gpu_with_most_free_memory_comes_first(nvidia_smi):
    nvidia_smi(T4, "Tesla T4, 15360, 5000, 7.5", A100)
    assert [gpu.uuid for gpu in usable_gpus()] == ["GPU-2", "GPU-0", "GPU-1"]


def test_gpus_without_free_memory_are_a_one_line_error(nvidia_smi):
    nvidia_smi(BUSY)
    with pytest.raises(UserError, match=r"use the memory of all GPUs \(Tesla T4 15\.6 of 16\.1 GB\).*CUDA_VISIBLE_DEVICES=-1"):
        make_slots(None, cpu_jobs=1)


class Machine:
    """GPUs on which members train with a given total of steps per second, and use the given memory each."""

    def __init__(self, total_speed, memory=1e9, cores=99, gpus=1):
        self.now, self.speed, self.memory = 0.0, total_speed, memory
        self.gpus = [backend.Gpu(f"GPU-{index}", "Tesla T4", 16 * 10**9, 0, 7.5) for index in range(gpus)]
        self.taken, self.steps = [], {}
        self.slots = MeasuredSlots(self.gpus, cores, query=self.query, clock=lambda: self.now)

    def on(self, gpu):
        return [slot for slot in self.taken if slot.gpu.uuid == gpu.uuid]

    def query(self):
        return [dataclasses.replace(gpu, used=int(self.memory * len(self.on(gpu)))) for gpu in self.gpus]

    def train(self, seconds):
        """Train all members, with reports twice a second and epochs of 10 seconds, and start new ones if wanted."""
        for _ in range(2 * seconds):
            self.taken += iter(self.slots.take, None)
            self.now += 0.5
            epoch = int(self.now // 10)
            for slot in list(self.taken):
                share = self.on(slot.gpu)
                at = self.steps.get((slot, epoch), 0.0) + 0.5 * self.speed(len(share)) / len(share)
                self.steps[slot, epoch] = at
                event = StepEnded(Member(0, 0), epoch, round(at), 10**6, images_per_second=1.0, loss=1.0, accuracy=0.0)
                self.slots.on_event(slot, event)


@pytest.mark.parametrize(
    ("total_speed", "members"),
    [
        (lambda number: 1000, 2),  # a full GPU: the second member shows that it gains nothing
        (lambda number: 1000 * min(number, 3), 4),
        (lambda number: 1000 * number, 15),  # until the memory is full
    ],
)
def test_a_gpu_gets_members_while_they_increase_its_throughput(total_speed, members):
    machine = Machine(total_speed)
    machine.train(200)
    assert len(machine.taken) == members
    assert machine.slots.settled


def test_each_gpu_is_measured_by_itself():
    machine = Machine(lambda number: 1000 * min(number, 2), gpus=2)
    machine.train(200)
    assert [len(machine.on(gpu)) for gpu in machine.gpus] == [3, 3]


def test_members_that_share_gpus_are_at_most_as_many_as_cores():
    machine = Machine(lambda number: 1000 * number, cores=4, gpus=2)
    machine.train(200)
    assert [len(machine.on(gpu)) for gpu in machine.gpus] == [2, 2]


def test_memory_is_never_overcommitted():
    machine = Machine(lambda number: 1000 * number, memory=6e9)
    machine.train(200)
    assert len(machine.taken) == 2


def test_slot_that_made_training_slower_is_freed_when_a_member_ends():
    machine = Machine(lambda number: {1: 1000, 2: 1800, 3: 900}[number])
    machine.train(100)
    assert len(machine.taken) == 3 and machine.slots.jobs == 2
    for slot in machine.taken:
        machine.slots.on_event(slot, MemberFinished(Member(0, 0)))
    assert [machine.slots.keep(slot) for slot in machine.taken] == [False, True, True]
    assert machine.slots.take() is None


def test_checkpoint_carries_the_loss_scale(tmp_path, monkeypatch):
    """Float16 with a loss scale that grows every three steps instead of 2,000; resumed, it gives the same bytes."""
    import keras

    grows_quickly = functools.partialmethod(keras.optimizers.LossScaleOptimizer.__init__, dynamic_growth_steps=3)
    monkeypatch.setattr(keras.optimizers.LossScaleOptimizer, "__init__", grows_quickly)
    workspace = tiny_run.make_workspace(tmp_path)
    request = functools.partial(tiny_run.request, workspace, only=[0], precision="mixed_float16")
    tiny_run.train_here(request("straight"), workspace)

    def stop(event):
        if isinstance(event, EpochEnded) and event.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny_run.train_here(request("resumed"), workspace, stop)
    state = checkpoint.load(RunFolder.of(workspace, "resumed").member(Member(0, 0)).checkpoint)
    steps, scale = state.optimizer[2:4]  # after the wrapping optimizer's iterations and learning rate
    assert steps < 3 and scale > 2**15
    tiny_run.train_here(request("resumed"), workspace)
    assert tiny_run.probabilities(workspace.run("resumed")) == tiny_run.probabilities(workspace.run("straight"))
