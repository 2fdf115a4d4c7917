"""Where things lie: a workspace is a folder with input/, runs/, studies/, submissions/ and perhaps pipelines/."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Workspace:
    """The folders that one person's work is kept in. Nothing is created before it is written to."""

    root: Path

    @classmethod
    def default(cls) -> "Workspace":
        """The project's own root, or the current folder where the package is installed without its repository."""
        return cls(PROJECT_ROOT if (PROJECT_ROOT / "pipelines").is_dir() else Path.cwd())

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
        """Where pipelines are looked for, first match wins: the workspace's own, then the project's."""
        return list(dict.fromkeys([self.root / "pipelines", PROJECT_ROOT / "pipelines"]))

    def run(self, name: str) -> Path:
        return self.runs / name


def git_commit() -> str:
    """Return the commit of this project, "-dirty" behind it where files were changed since; "unknown" without git."""
    command = ["git", "-C", str(PROJECT_ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return answer.stdout.strip() or "unknown"
