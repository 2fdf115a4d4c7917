"""Programs timed in turns while the others are stopped, so that other load on the machine affects all of them equally.

Each program runs in a separate process group, so that SIGSTOP and SIGCONT reach all its processes.
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
from digit_recognizer.errors import UserError, first_line
from digit_recognizer.training.processes import die_with_parent, without_interrupts

Report = Callable[..., None]  # report(count, part=...): the work done so far by one of the parallel parts
Workload = Callable[..., None]  # workload(report, *arguments): calls `report` again and again until it is killed
Rates = dict[str, list[float]]  # name -> count per second in each repeat

TIMEOUT = 300  # seconds without a report
NEVER = float("inf")
ENDED = -NEVER  # the last count of a workload that ended


@dataclass(frozen=True)
class Program:
    """A program to time: `copies` processes of `workload(report, *arguments)`."""

    name: str
    workload: Workload
    arguments: tuple[Any, ...] = ()
    threads: int | None = None  # CPU threads per process; None: as many as its libraries choose
    copies: int = 1
    parts: int = 1  # parts that report, in all copies together


def measure_rates(programs: Sequence[Program], repeats: int, seconds: float) -> Rates:
    """Run each program for `seconds` in turn, `repeats` times, and return their counts per second.

    Raises:
        UserError: a program failed or didn't report.
    """
    rates: Rates = defaultdict(list)
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(started(program)) for program in programs]
        for _ in range(repeats):
            for program in running:
                rates[program.name].append(program.rate(seconds))
    return dict(rates)


def measure_times(targets: Sequence[float], programs: Sequence[Program]) -> dict[str, list[float]]:
    """Run the programs in turn, each until its next report; return the seconds until each program reported each target.

    A time is infinite if the program ended before, or took five times as long as another one to the last target.

    Raises:
        UserError: a program failed or didn't report.
    """
    times = {program.name: [NEVER] * len(targets) for program in programs}
    spent = dict.fromkeys(times, 0.0)
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(started(program)) for program in programs]
        while running:
            for program in list(running):
                name = program.name
                seconds, score = program.next_report()
                spent[name] += seconds
                pairs = zip(times[name], targets, strict=True)
                times[name] = [min(time, spent[name]) if score >= target else time for time, target in pairs]
                if score == ENDED or NEVER not in times[name]:
                    running.remove(program)
            longest = 5 * min(of_one[-1] for of_one in times.values())
            running = [program for program in running if spent[program.name] < longest]
    return times


@dataclass
class RunningProgram:
    """A program's processes, stopped except in its turns."""

    name: str
    parts: int
    processes: list[Any]
    pipes: list[connection.Connection]
    reports: dict[Any, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))  # part -> time, count

    def rate(self, seconds: float) -> float:
        """Run for `seconds`, or until each part has reported twice, and return the count per second."""
        self._drain()
        self.reports.clear()
        with self.running():
            end = time.monotonic() + seconds
            while time.monotonic() < end or not self.all_reported(2):
                self.receive()
        return sum((after - before) / (end - began) for (began, before), *_, (end, after) in self.reports.values())

    def next_report(self) -> tuple[float, float]:
        """Run until the next report; return the seconds until then and its count."""
        self.reports.clear()
        with self.running():
            began = time.monotonic()
            while not self.reports:
                self.receive()
        ((when, count), *_) = next(iter(self.reports.values()))
        return max(0.0, when - began), count  # not negative: it may have reported again before it was stopped

    def all_reported(self, times: int) -> bool:
        """Return whether each part has reported at least that many times."""
        return sum(len(reports) >= times for reports in self.reports.values()) >= self.parts

    def receive(self) -> None:
        """Wait for reports and store them.

        Raises:
            UserError: the program failed or didn't report within TIMEOUT.
        """
        ready = connection.wait(self.pipes, timeout=TIMEOUT)
        if not ready:
            raise UserError(f"the benchmark of {self.name} doesn't respond: no report in {TIMEOUT} s")
        for pipe in ready:
            try:
                message = pipe.recv()
            except (EOFError, ConnectionResetError):
                raise UserError(f"the benchmark of {self.name} was killed, perhaps out of memory") from None
            if isinstance(message, str):
                raise UserError(f"the benchmark of {self.name} failed: {message}")
            part, when, count = message
            self.reports[self.pipes.index(pipe), part].append((when, count))

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Let the program run in the block."""
        self.signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.signal(signal.SIGSTOP)

    def signal(self, number: int) -> None:
        """Send a signal to the processes and to those that they started."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    def _drain(self) -> None:
        while any(pipe.poll() for pipe in self.pipes):
            self.receive()


@contextlib.contextmanager
def started(program: Program) -> Iterator[RunningProgram]:
    """Start a program, wait until all its parts have reported, and yield it stopped; kill it at the end."""
    running = RunningProgram(program.name, program.parts, [], [])
    context = get_context("spawn")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary, contextlib.ExitStack() as stack:
        stack.callback(_kill, running)
        with _environment(program.threads, temporary):
            for _ in range(program.copies):
                mine, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_run, args=(theirs, program, os.getpid()))
                with without_interrupts():
                    process.start()
                theirs.close()
                running.processes.append(process)
                running.pipes.append(mine)
        while not running.all_reported(1):
            running.receive()
        running.signal(signal.SIGSTOP)
        yield running


def _kill(program: RunningProgram) -> None:
    program.signal(signal.SIGKILL)
    for process in program.processes:
        process.kill()
        process.join()


@contextlib.contextmanager
def _environment(threads: int | None, temporary: str) -> Iterator[None]:
    """Set the environment that processes started in the block inherit."""
    before = dict(os.environ)
    os.environ["TMPDIR"] = temporary  # killed processes don't clean up
    if threads is not None:
        backend.prepare_environment(threads)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _run(pipe: connection.Connection, program: Program, parent: int) -> None:
    os.setpgrp()
    die_with_parent(parent)
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - libraries print a lot, some of them from native code
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)

    def report(count: float, part: Any = None) -> None:
        pipe.send((part, time.monotonic(), count))

    try:
        program.workload(report, *program.arguments)
        report(ENDED)
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {first_line(error)}")
