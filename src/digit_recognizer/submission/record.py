"""submissions/<name>.json: the runs, blending method, data and scores of a submission."""

from dataclasses import dataclass
from pathlib import Path

from digit_recognizer import files

ENSEMBLE_AGAIN = "run `make ensemble` again"


@dataclass(frozen=True)
class MethodScore:
    """The scores of a blending method on out-of-fold rows, each predicted with weights fitted on the other folds."""

    method: str
    accuracy: float
    log_loss: float  # nats
    images: int  # more right than with the simplest method; negative if fewer
    p_value: float  # of that difference
    chosen: bool


@dataclass(frozen=True)
class BestRun:
    """The best run of a blend, and how many more images the blend has right; negative where the run has more."""

    run: str
    images: int
    p_value: float


@dataclass(frozen=True, kw_only=True)
class BlendRecord:
    """The runs of a submission, how they were blended, and its out-of-fold figures."""

    runs: list[str]
    members: dict[str, int]  # finished models by run
    partial: list[str]  # runs with unfinished members
    method: str
    methods: list[MethodScore]
    weights: dict[str, float] | None  # by run; None for stacking
    temperatures: dict[str, float]  # by run
    oof_accuracy: float
    oof_accuracy_low: float
    oof_accuracy_high: float
    oof_log_loss: float  # nats
    run_oof_accuracy: dict[str, float | None]
    best_run: BestRun | None  # None for a single run


@dataclass(frozen=True)
class DataOrigin:
    """The data that a submission predicts; `source` has no folders, since the file may be published."""

    source: str
    sha256: str
    competition: bool
    contains_competition_test: bool


@dataclass(frozen=True, kw_only=True)
class SubmissionRecord(BlendRecord):
    """The content of the file."""

    file: str
    sha256: str  # of the CSV
    rows: int
    data: DataOrigin
    git_commit: str
    time: str  # ISO 8601, UTC


def read_submission_record(csv: Path) -> SubmissionRecord:
    """Return the record of a submission, given its CSV.

    Raises:
        UserError: the record is missing or damaged.
    """
    return files.read_record(csv.with_suffix(".json"), SubmissionRecord, ENSEMBLE_AGAIN)
