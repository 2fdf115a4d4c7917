"""The program `digit-recognizer`: parse the command line, call the command, turn an error into one line.

digit-recognizer [--workspace DIR | --demo] COMMAND [options]
"""

import contextlib
import errno
import os
import shutil
import signal
import sys
import threading
import traceback
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from digit_recognizer.cli.commands import COMMANDS
from digit_recognizer.cli.console import wrapped
from digit_recognizer.cli.parser import Command, UsageError, make_parser
from digit_recognizer.cli.selection import DEMO
from digit_recognizer.errors import UserError, out_of_memory
from digit_recognizer.workspace import Workspace, user_path

# Errors that the user can fix: the disk is full, over quota, read-only or broken; no permission; a path that can't be one.
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM}
PATH_ERRORS = {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}

STOPPED = "stopped: finished work is kept, and the same command resumes"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 for an error, 2 for wrong usage, 130 for Ctrl-C."""
    _print_any_text()
    options = vars(make_parser(COMMANDS).parse_args(argv))
    command, debug = options.pop("command"), options.pop("debug")
    folder, demo = options.pop("workspace"), options.pop("demo")
    workspace = Workspace(user_path(folder).resolve()) if folder else Workspace.default()
    if demo:
        workspace = Workspace(workspace.root / DEMO)
    with _remembered_interrupts() as interrupted:
        return _run(lambda: _call(command, workspace, options), debug, interrupted)


def _call(command: Command, workspace: Workspace, options: dict[str, Any]) -> None:
    """Call a command.

    Raises:
        UserError: the command failed, or the workspace's path is not UTF-8, so that TensorFlow and HTML pages can't use it.
    """
    path = os.fsencode(workspace.root).decode("utf-8", "backslashreplace")
    if path.encode() != os.fsencode(workspace.root):
        raise UserError(f"{path}: the path of a workspace must be UTF-8: rename the folder, or choose another with --workspace")
    command.function(workspace, **options)


def _run(command: Callable[[], None], debug: bool, interrupted: threading.Event) -> int:
    """Run a command, report its error in one line, and return the exit status."""
    try:
        command()
        if sys.stdout:  # None if it was closed before the start
            sys.stdout.flush()
    except BrokenPipeError:  # as in `digit-recognizer pipelines | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return _report(STOPPED, 130)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if interrupted.is_set():  # a library has converted KeyboardInterrupt to another error
            return _report(STOPPED, 130)
        return _report(_in_one_line(error), 2 if isinstance(error, UsageError) else 1)
    return 0


@contextlib.contextmanager
def _remembered_interrupts() -> Iterator[threading.Event]:
    """Yield an event that is set at Ctrl-C, which still raises KeyboardInterrupt."""
    interrupted, before = threading.Event(), signal.getsignal(signal.SIGINT)

    def handle(number: int, frame: types.FrameType | None) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield interrupted
        return
    signal.signal(signal.SIGINT, handle)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _print_any_text() -> None:
    """Print characters that the terminal's encoding lacks as escape sequences instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's stream has no such method and accepts any character
            stream.reconfigure(errors="backslashreplace")


def _in_one_line(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno in DISK_ERRORS | PATH_ERRORS:
        return f"{error.filename or 'writing failed'}: {error.strerror}"
    if out_of_memory(error):
        return "memory ran out: close other programs, or use a machine with more memory"
    return f"unexpected {type(error).__name__}: {' '.join(str(error).split())} (--debug shows where)"


def _report(message: str, status: int) -> int:
    line = f"digit-recognizer: {message}"
    print(wrapped(line, shutil.get_terminal_size().columns) if sys.stderr.isatty() else line, file=sys.stderr)
    return status
