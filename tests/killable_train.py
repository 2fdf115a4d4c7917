"""Runs `digit-recognizer` commands one after another, each in a process of its own, without importing Keras anew for each.

    python tests/killable_train.py

Each line of standard input is the arguments of one command, tabs between them. The answer is a line with the process id when
it begins, and one with its exit status, negative for a signal, when it has ended. It is the command itself that runs, in a
process that can be killed like any other, and so are its workers; only the imports, most of a start, are done before.
"""

import os
import sys
from multiprocessing import get_context

from digit_recognizer import backend
from digit_recognizer.cli import main
from digit_recognizer.training import workers


def serve() -> None:
    workers.get_context = lambda method: get_context("fork")
    for line in sys.stdin:
        process = os.fork()
        if not process:
            run(line.rstrip("\n").split("\t"))
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


def run(arguments: list[str]) -> None:
    with open(os.environ["OUTPUT"], "a") as output:  # noqa: PTH123
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os._exit(main(arguments))


if __name__ == "__main__":
    backend.prepare_environment(1)
    import digit_recognizer.training.member  # noqa: F401

    print("ready", flush=True)
    serve()
