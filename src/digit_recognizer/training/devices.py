"""The devices that members are trained on, CPU cores or GPUs, and how many members share one.

How many members share a GPU is measured while they train: each GPU starts with one and gets another one while the
last one increased the steps per second of all its members together and there is memory for another.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from digit_recognizer import backend
from digit_recognizer.backend import Gpu
from digit_recognizer.errors import UserError
from digit_recognizer.training.events import Event, MemberFinished, StepEnded

ENOUGH_MEMORY = 2e9  # bytes that must be free on a GPU for a member
GAIN = 0.1  # steps per second that another member on a GPU must add, as a fraction of those of a single member
PROBE_SECONDS = 3.0  # of training steps from each member, for one measurement

_turns = itertools.count()


@dataclass(eq=False)
class Slot:
    """A slot for one worker process, which uses only `gpu` if that is not None."""

    gpu: Gpu | None = None


def make_slots(jobs: int | None, cpu_jobs: int) -> "Slots":
    """Return the slots of this machine.

    Args:
        jobs: members to train in parallel, spread over the GPUs; None: as many as is fastest.
        cpu_jobs: the fastest number of jobs without a GPU.

    Raises:
        UserError: there are GPUs, but none has enough free memory.
    """
    gpus = usable_gpus()
    if gpus and jobs is None:
        return MeasuredSlots(gpus, backend.cpu_cores())
    if gpus and jobs < len(gpus):  # parallel callers, such as the trials of a study, get different GPUs
        turn = next(_turns) * jobs % len(gpus)
        gpus = [*gpus[turn:], *gpus[:turn]]
    return FixedSlots(jobs or cpu_jobs, gpus)


def usable_gpus() -> list[Gpu]:
    """Return the GPUs with enough free memory for a member, those with the most free memory first.

    Raises:
        UserError: there are GPUs, but none has enough free memory.
    """
    gpus = sorted(backend.gpus(), key=lambda gpu: -gpu.free)
    free = [gpu for gpu in gpus if gpu.free >= ENOUGH_MEMORY]
    if gpus and not free:
        used = ", ".join(f"{gpu.name} {gpu.used / 1e9:.1f} of {gpu.memory / 1e9:.1f} GB" for gpu in gpus)
        raise UserError(
            f"other programs use the memory of all GPUs ({used}): end them, or use the CPU: CUDA_VISIBLE_DEVICES=-1"
        )
    return free


class FixedSlots:
    """A fixed number of slots, assigned to the GPUs in turn."""

    def __init__(self, jobs: int, gpus: Sequence[Gpu] = ()) -> None:
        self.jobs = jobs  # members trained in parallel
        self._free = [Slot(gpus[index % len(gpus)] if gpus else None) for index in range(jobs)]

    def take(self) -> Slot | None:
        """Return a free slot, or None if there is none at present."""
        return self._free.pop(0) if self._free else None

    def on_event(self, slot: Slot, event: Event) -> None:
        """Handle an event of the worker in `slot`."""

    def keep(self, slot: Slot) -> bool:
        """Return whether the worker in `slot` should train another member; if not, the slot is freed."""
        return True


class MeasuredSlots:
    """As `FixedSlots`, with the number of slots on each GPU that trains fastest, in all at most one per CPU core (`cores`)."""

    def __init__(
        self,
        gpus: Sequence[Gpu],
        cores: int,
        query: Callable[[], Sequence[Gpu]] = backend.query_gpus,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gpus = [_SharedGpu(gpu, query, clock) for gpu in gpus]
        self._limit = max(cores, len(gpus))

    @property
    def jobs(self) -> int:
        """The number of members trained in parallel, as far as it is known."""
        return sum(max(1, gpu.best) for gpu in self._gpus)

    @property
    def settled(self) -> bool:
        """Whether all numbers of workers that could be faster have been measured."""
        return all(gpu.full for gpu in self._gpus) or len(self._taken) >= self._limit

    @property
    def _taken(self) -> list[Slot]:
        return [slot for gpu in self._gpus for slot in gpu.slots]

    def take(self) -> Slot | None:
        if len(self._taken) >= self._limit:
            return None
        emptiest_first = sorted(self._gpus, key=lambda gpu: len(gpu.slots))
        return next((gpu.add() for gpu in emptiest_first if gpu.takes_another()), None)

    def on_event(self, slot: Slot, event: Event) -> None:
        self._gpu_of(slot).observe(slot, event)

    def keep(self, slot: Slot) -> bool:
        gpu = self._gpu_of(slot)
        if not gpu.full or len(gpu.slots) <= gpu.best:
            return True
        gpu.slots.remove(slot)
        return False

    def _gpu_of(self, slot: Slot) -> "_SharedGpu":
        return next(gpu for gpu in self._gpus if slot in gpu.slots)


class _SharedGpu:
    """The workers on one GPU, and the steps per second measured for each number of workers."""

    def __init__(self, gpu: Gpu, query: Callable[[], Sequence[Gpu]], clock: Callable[[], float]) -> None:
        self.gpu, self.query, self.clock = gpu, query, clock
        self.slots: list[Slot] = []
        self.speeds: dict[Slot, _Speed] = {}  # of the workers that train, since their number last changed
        self.measured: dict[int, float] = {}  # workers -> steps per second of all of them
        self.full = False  # whether one more worker would not be faster, or not have enough memory

    @property
    def best(self) -> int:
        return max(self.measured, key=self.measured.__getitem__, default=0)

    def add(self) -> Slot:
        self.slots.append(Slot(self.gpu))
        return self.slots[-1]

    def takes_another(self) -> bool:
        number = len(self.slots)
        if number == 0:
            return True
        if self.full or number not in self.measured:
            return False
        gain = self.measured[number] - self.measured.get(number - 1, 0.0)
        self.full = gain < GAIN * self.measured[1] or not self._holds_another()
        return not self.full

    def _holds_another(self) -> bool:
        now = next((gpu for gpu in self.query() if gpu.uuid == self.gpu.uuid), self.gpu)
        return now.free > 1.2 * (now.used - self.gpu.used) / len(self.slots)

    def observe(self, slot: Slot, event: Event) -> None:
        if isinstance(event, MemberFinished):
            self.speeds.pop(slot, None)
        elif isinstance(event, StepEnded):
            if slot not in self.speeds:
                self.speeds = {other: _Speed() for other in (*self.speeds, slot)}
            self.speeds[slot].observe(event, self.clock())
            if len(self.speeds) == len(self.slots) and min(speed.seconds for speed in self.speeds.values()) >= PROBE_SECONDS:
                self.measured.setdefault(len(self.slots), sum(speed.steps / speed.seconds for speed in self.speeds.values()))


@dataclass
class _Speed:
    """The number of training steps of one member and their duration in seconds, without the time between epochs."""

    steps: int = 0
    seconds: float = 0.0
    last: tuple[int, int, float] = field(default=(-1, 0, 0.0))  # epoch, step and time of the last event

    def observe(self, event: StepEnded, now: float) -> None:
        epoch, step, time = self.last
        if event.epoch == epoch:
            self.steps += event.step - step
            self.seconds += now - time
        self.last = event.epoch, event.step, now


Slots = FixedSlots | MeasuredSlots
