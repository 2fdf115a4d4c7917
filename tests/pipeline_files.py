"""Small pipeline files in a workspace."""

from digit_recognizer.workspace import Workspace

PIPELINE = '''"""{summary}"""
from digit_recognizer.models import networks
from digit_recognizer.experiment import Experiment
EXPERIMENT = Experiment({settings})
'''


def write_pipeline(workspace: Workspace, name: str, settings: str = "network=networks.mlp") -> None:
    """Write `pipelines/<name>.py`."""
    path = workspace.root / "pipelines" / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PIPELINE.format(summary=f"pipeline {name}", settings=settings))
