"""The JSON files of a run as dataclasses: experiment.json, and metrics.json of the run and of each member."""

import hashlib
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from digit_recognizer import backend, experiment, files
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.data.image_files import printable
from digit_recognizer.errors import DamagedError, UserError
from digit_recognizer.experiment import Pipeline
from digit_recognizer.formatting import utc_now
from digit_recognizer.metrics import Estimate
from digit_recognizer.runs.folder import MemberFolder, RunFolder
from digit_recognizer.workspace import git_commit

TRAIN_AGAIN = "`make train` trains this model again"
TRAIN_RESULTS = "`make train` writes it again"
TRAIN_OTHERWISE = "train under another name (RUN=...), or start again (FORCE=1, which renames this run)"

# The settings that are read from the record of a run, which may come from somebody else.
USED_SETTINGS: dict[str, Callable[[Any], bool]] = {
    "seeds": lambda value: isinstance(value, list) and all(isinstance(seed, int) for seed in value),
    "folds": lambda value: isinstance(value, int),
    "fold_seed": lambda value: isinstance(value, int),
}


@dataclass(frozen=True)
class TrainingData:
    """The data that a run was trained on."""

    sha256: str
    source: str
    competition: bool
    rows: int
    test_rows: int
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]


@dataclass(frozen=True)
class RunRecord:
    """experiment.json: settings, data, environment and pipeline of a run."""

    pipeline: str
    pipeline_file: str
    pipeline_sha256: str
    changes: dict[str, Any]  # of settings, with which the pipeline was loaded
    description: str
    settings: dict[str, Any]  # as `experiment.settings_json` returns them
    dataset: TrainingData
    folds_sha256: str  # of the array in folds.csv
    git_commit: str
    versions: dict[str, str]
    python: str
    backend: str
    device: str
    precision: str
    variables: dict[str, str]  # environment variables that the libraries read
    started: str  # ISO 8601, UTC

    @property
    def seeds(self) -> list[int]:
        return self.settings["seeds"]

    @property
    def folds(self) -> int:
        return self.settings["folds"]

    def train_command(self, name: str) -> str:
        """Return the command that resumes the run of this name, without the settings that SET changed."""
        return f"make train PIPELINE={self.pipeline}" + (f" RUN={name}" if name != self.pipeline else "")

    @property
    def settings_sha256(self) -> str:
        """The SHA-256 of all settings but the seeds, to which others may be added."""
        fixed = {**self.settings, "seeds": []}
        return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class RunMetrics:
    """metrics.json of a run; the out-of-fold figures are None until a fold is predicted."""

    oof_accuracy: float | None = None
    oof_accuracy_low: float | None = None
    oof_accuracy_high: float | None = None
    oof_log_loss: float | None = None  # nats
    oof_rows: int | None = None
    fold_accuracy: list[float]  # in the order of folds_done
    folds_done: list[int]
    folds: int
    members: int  # finished ones
    members_planned: int
    copies_across_folds: int  # training images with an exact copy in another fold
    epoch_selected_on_fold: bool
    seconds: float  # of training, summed over all members
    images_per_second: int
    peak_memory: int  # bytes, of one process
    published: str
    sha256: dict[str, str] = field(default_factory=dict)  # of oof.npz, test.npz and each member's metrics.json
    settings_sha256: str | None = None  # as `RunRecord.settings_sha256`

    @property
    def accuracy(self) -> Estimate | None:
        """Out of fold."""
        if self.oof_accuracy is None:
            return None
        return Estimate(self.oof_accuracy, self.oof_accuracy_low, self.oof_accuracy_high)

    @property
    def partial(self) -> bool:
        """Whether some members are not trained yet."""
        return self.members < self.members_planned


@dataclass(frozen=True, kw_only=True)
class MemberMetrics:
    """metrics.json of a member; accuracy and loss are those of its fold, None for a member trained on all rows."""

    seed: int
    fold: int | None
    digit_width: int = 0  # pixels: the width of the digits as the network gets them; 0: as they are
    accuracy: float | None = None
    loss: float | None = None  # log loss, nats
    epochs: int
    steps_per_epoch: int
    kept_epoch: int  # the epoch (from 1) whose weights are used for predictions
    seconds: float
    images: int  # trained on, over all epochs
    threads: int
    peak_memory: int  # bytes, of its process, which may have trained other members before
    process: int
    sha256: dict[str, str] = field(default_factory=dict)  # file name -> SHA-256


def describe(pipeline: Pipeline, dataset: Dataset, folds_sha256: str) -> RunRecord:
    """Return the record of a new run."""
    return RunRecord(
        pipeline=pipeline.name,
        pipeline_file=printable(str(pipeline.file)),
        pipeline_sha256=pipeline.sha256,
        changes=dict(pipeline.changes),
        description=pipeline.summary,
        settings=experiment.settings_json(pipeline.experiment),
        dataset=TrainingData(
            sha256=dataset.sha256,
            source=dataset.source,
            competition=dataset.competition,
            rows=len(dataset.images),
            test_rows=len(dataset.test_images),
            classes=dataset.classes,
            image_shape=dataset.image_shape,
        ),
        folds_sha256=folds_sha256,
        git_commit=git_commit(),
        versions=backend.library_versions(),
        python=platform.python_version(),
        backend=backend.name(),
        device=backend.device(),
        precision=backend.precision(pipeline.experiment.precision),
        variables=backend.ambient_variables(),
        started=utc_now(),
    )


def read_run_record(run: RunFolder) -> RunRecord:
    """Return the run's experiment.json.

    Raises:
        UserError: there is no such run, or the file is missing or damaged.
    """
    if not run.path.is_dir():
        there = sorted(path.parent.name for path in run.path.parent.glob(f"*/{run.record.name}"))
        listing = f"; there are: {', '.join(there)}" if there else ""
        made_by = "demo" if run.path.parents[1].name == "demo" else f"train PIPELINE={run.name}"
        raise UserError(f"there is no run '{run.name}' in {run.path.parent}{listing}. `make {made_by}` makes it")
    if not run.record.exists():
        raise UserError(
            f"{run} is incomplete: {run.record.name} is missing: move the folder away, or start again (FORCE=1 does that)"
        )
    record = files.read_record(run.record, RunRecord, TRAIN_OTHERWISE)
    for name, valid in USED_SETTINGS.items():
        if not valid(record.settings.get(name)):
            raise DamagedError(f"{run.record} is damaged (its settings have no valid {name})", TRAIN_OTHERWISE)
    return record


def read_run_metrics(run: RunFolder) -> RunMetrics:
    """Return the run's metrics.json.

    Raises:
        UserError: the file is missing or damaged.
    """
    return files.read_record(run.metrics, RunMetrics, TRAIN_RESULTS)


def read_member_metrics(folder: MemberFolder) -> MemberMetrics:
    """Return the member's metrics.json.

    Raises:
        UserError: the file is missing or damaged.
    """
    return files.read_record(folder.metrics, MemberMetrics, TRAIN_AGAIN)
