"""The workspace: a folder with input/, runs/, studies/, submissions/ and perhaps pipelines/."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
PROJECT_ROOT = _PACKAGE.parents[1]
INSTALLED = (_PACKAGE / "pipelines").is_dir()  # a wheel holds pipelines/ inside the package (setup.py); the repository does not
PIPELINES = (_PACKAGE if INSTALLED else PROJECT_ROOT) / "pipelines"


@dataclass(frozen=True)
class Workspace:
    """The folders of the data and all results. A folder is created when the first file is written to it."""

    root: Path

    @classmethod
    def default(cls) -> "Workspace":
        """Return the repository's root, or the current folder if the package is installed without its repository."""
        return cls(Path.cwd() if INSTALLED else PROJECT_ROOT)

    @property
    def input(self) -> Path:
        return self.root / "input"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def studies(self) -> Path:
        return self.root / "studies"

    @property
    def submissions(self) -> Path:
        return self.root / "submissions"

    @property
    def pipeline_folders(self) -> list[Path]:
        """Folders that are searched for pipelines, in this order: the workspace's, then the project's."""
        return list(dict.fromkeys([self.root / "pipelines", PIPELINES]))

    def run(self, name: str) -> Path:
        return self.runs / name


def user_path(text: str | Path) -> Path:
    """Return a path that the user typed with `~` expanded; as in a shell, the `~name` of an unknown user is kept."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser raises an error for an unknown user


def git_commit() -> str:
    """Return this project's commit, with "-dirty" if files were changed since; "unknown" without git or the repository."""
    if INSTALLED:
        return "unknown"  # the package may be installed inside another repository
    command = ["git", "-C", str(PROJECT_ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return answer.stdout.strip() or "unknown"
