"""The one exception that is meant for the person at the terminal."""


class UserError(Exception):
    """Something the person can mend. The message is one line: what is wrong, where, and what to do.

    The command line prints it without a traceback (`--debug` shows one) and exits with status 1.
    """


class DamagedError(UserError):
    """A file of this project's is damaged, missing or inconsistent with others; `problem` names it and the reason."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}: {remedy}")
        self.problem = problem


class DiskFullError(UserError):
    """The disk is full: whatever is tried next would fail as well."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text that is not blank, or the error's type where there is none."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
