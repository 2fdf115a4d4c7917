"""Programs timed against each other on a machine that is never quiet: they take turns, all others stopped meanwhile.

Each runs in a process group of its own, which a signal halts (SIGSTOP) and lets go on (SIGCONT): its threads, its workers and
whatever they prepare ahead too. So a slow minute of the machine slows all of them.
"""

import contextlib
import os
import signal
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection, get_context
from typing import Any

from digit_recognizer import backend
from digit_recognizer.errors import UserError
from digit_recognizer.training.processes import die_with_parent

Tick = Callable[..., None]  # tick(count, part=...): how much is done so far, of one of the parts that run side by side
Work = Callable[..., None]  # work(tick, *arguments): goes on, calling `tick` again and again, until it is killed
Rates = dict[str, list[float]]  # name -> what it did a second in each repeat

PATIENCE = 300  # seconds without any tick
NEVER = float("inf")
ENDED = -NEVER  # the last tick of work that came to its end


@dataclass(frozen=True)
class Contender:
    """A program to time: `copies` processes of `work(tick, *arguments)`.

    `threads` is how many CPU threads each may use; None leaves that to its libraries, as in a script of one's own. `parts` is
    how many parts tick, all copies together.
    """

    name: str
    work: Work
    arguments: tuple[Any, ...] = ()
    threads: int | None = None
    copies: int = 1
    parts: int = 1


def race(contenders: Sequence[Contender], repeats: int, seconds: float) -> Rates:
    """Let each run for `seconds` in turn, `repeats` times round, and return what each did a second.

    Raises:
        UserError: one of them failed.
    """
    rates: Rates = defaultdict(list)
    with contextlib.ExitStack() as stack:
        runners = [stack.enter_context(started(contender)) for contender in contenders]
        for _ in range(repeats):
            for runner in runners:
                rates[runner.name].append(runner.turn(seconds))
    return dict(rates)


def time_to(targets: Sequence[float], contenders: Sequence[Contender]) -> dict[str, list[float]]:
    """Let each tick its score, a tick a turn, and return the seconds of its own turns until it reached each target.

    That is infinity for one that ended before, or took five times as long as another to the last target.

    Raises:
        UserError: one of them failed.
    """
    times = {contender.name: [NEVER] * len(targets) for contender in contenders}
    spent = dict.fromkeys(times, 0.0)
    with contextlib.ExitStack() as stack:
        racing = [stack.enter_context(started(contender)) for contender in contenders]
        while racing:
            for runner in list(racing):
                name = runner.name
                seconds, score = runner.next_tick()
                spent[name] += seconds
                pairs = zip(times[name], targets, strict=True)
                times[name] = [min(time, spent[name]) if score >= target else time for time, target in pairs]
                if score == ENDED or NEVER not in times[name]:
                    racing.remove(runner)
            longest = 5 * min(of_one[-1] for of_one in times.values())
            racing = [runner for runner in racing if spent[runner.name] < longest]
    return times


@dataclass
class Runner:
    """A contender's processes, stopped but for its turns."""

    name: str
    parts: int
    processes: list[Any]
    pipes: list[connection.Connection]
    ticks: dict[Any, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    def turn(self, seconds: float) -> float:
        """Run for `seconds`, or until there are two ticks of each part, and return what was done a second."""
        self._drain()
        self.ticks.clear()
        with self.running():
            end = time.monotonic() + seconds
            while time.monotonic() < end or not self.all_ticked(2):
                self.receive()
        return sum((after - before) / (end - began) for (began, before), *_, (end, after) in self.ticks.values())

    def next_tick(self) -> tuple[float, float]:
        """Run until the next tick; return the seconds until then and its count."""
        self.ticks.clear()
        with self.running():
            began = time.monotonic()
            while not self.ticks:
                self.receive()
        ((when, count), *_) = next(iter(self.ticks.values()))
        return max(0.0, when - began), count  # it may have ticked once more before it was stopped

    def all_ticked(self, times: int) -> bool:
        """Whether all parts have ticked so often."""
        return sum(len(ticks) >= times for ticks in self.ticks.values()) >= self.parts

    def receive(self) -> None:
        """Wait for some ticks and note them.

        Raises:
            UserError: the program failed, or hangs.
        """
        ready = connection.wait(self.pipes, timeout=PATIENCE)
        if not ready:
            raise UserError(f"the benchmark of {self.name} hangs: nothing came from it in {PATIENCE} s")
        for pipe in ready:
            try:
                message = pipe.recv()
            except (EOFError, ConnectionResetError):
                raise UserError(f"the benchmark of {self.name} was killed, perhaps for want of memory") from None
            if isinstance(message, str):
                raise UserError(f"the benchmark of {self.name} failed: {message}")
            part, when, count = message
            self.ticks[self.pipes.index(pipe), part].append((when, count))

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Let it go on within the block."""
        self.signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.signal(signal.SIGSTOP)

    def signal(self, number: int) -> None:
        """Send a signal to the processes and those that they started."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    def _drain(self) -> None:
        while any(pipe.poll() for pipe in self.pipes):
            self.receive()


@contextlib.contextmanager
def started(contender: Contender) -> Iterator[Runner]:
    """Start a contender, wait until all its parts have ticked, and yield it stopped; at the end it is killed."""
    runner = Runner(contender.name, contender.parts, [], [])
    context = get_context("spawn")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary, contextlib.ExitStack() as stack:
        stack.callback(_kill, runner)
        with _environment(contender.threads, temporary):
            for _ in range(contender.copies):
                mine, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(theirs, contender, os.getpid()))
                process.start()
                theirs.close()
                runner.processes.append(process)
                runner.pipes.append(mine)
        while not runner.all_ticked(1):
            runner.receive()
        runner.signal(signal.SIGSTOP)
        yield runner


def _kill(runner: Runner) -> None:
    runner.signal(signal.SIGKILL)
    for process in runner.processes:
        process.kill()
        process.join()


@contextlib.contextmanager
def _environment(threads: int | None, temporary: str) -> Iterator[None]:
    """What the processes started in this block inherit."""
    before = dict(os.environ)
    os.environ["TMPDIR"] = temporary  # they are killed, so they can't clean up
    if threads is not None:
        backend.prepare_environment(threads)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _work(pipe: connection.Connection, contender: Contender, parent: int) -> None:
    os.setpgrp()
    die_with_parent(parent)
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - libraries talk a lot, some of them past Python
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)

    def tick(count: float, part: Any = None) -> None:
        pipe.send((part, time.monotonic(), count))

    try:
        contender.work(tick, *contender.arguments)
        tick(ENDED)
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}".partition("\n")[0])
