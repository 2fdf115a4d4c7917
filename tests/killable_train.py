"""Runs `digit-recognizer` commands in turn, each in a forked process, without importing Keras again for each.

    python tests/killable_train.py

Each line of standard input has the arguments of one command, separated by tabs. The program prints the process id when the
command starts, and its exit status, negative for a signal, when it ends. The command and its workers are normal processes
that can be killed; only the imports, which take most of the start, are done before.
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
