"""Exceptions whose messages are shown to the user without a traceback."""


class UserError(Exception):
    """An error that the user can fix. The message is one line: what is wrong, where, and what to do.

    The command line prints it without a traceback (`--debug` shows one) and exits with status 1.
    """


class DamagedError(UserError):
    """A file of a run or study is damaged, missing or inconsistent; `problem` names the file and the reason."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}: {remedy}")
        self.problem = problem


class DiskFullError(UserError):
    """The disk is full, so that the following steps would fail as well."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text that is not blank, or the error's type if there is none."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def out_of_memory(error: BaseException) -> bool:
    """Return whether Python, a backend or the loader of shared libraries could not allocate memory."""
    if isinstance(error, MemoryError) or type(error).__name__ in ("ResourceExhaustedError", "OutOfMemoryError"):
        return True
    return "failed to map segment" in str(error) or "Cannot allocate memory" in str(error)
