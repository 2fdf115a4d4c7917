"""Learning from another run: its probabilities for the unlabelled test images become soft labels.

Pseudo-labelling (Lee, 2013) and distillation (Hinton et al., 2015) in one. A member of fold f learns from the teacher's
members of the same fold alone, none of which has seen fold f, so that out-of-fold figures stay honest.
"""

import numpy as np

from digit_recognizer import files
from digit_recognizer.data.dataset import Dataset
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Experiment
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.member import Member
from digit_recognizer.runs.records import read_run_record
from digit_recognizer.runs.results import Predictions


def identity(run: RunFolder, experiment: Experiment, dataset: Dataset) -> str:
    """Return the hash of what the run teaches.

    Raises:
        UserError: there is no such run, a model of a fold is missing, or it has other data or folds.
    """
    if not run.metrics.exists():
        raise UserError(f"teacher: there is no trained run '{run.name}': make train PIPELINE={run.name}")
    record = read_run_record(run)
    if record.dataset.sha256 != dataset.sha256:
        raise UserError(f"teacher: run '{run.name}' was trained on other data")
    if any(record.settings[name] != getattr(experiment, name) for name in ("folds", "fold_seed")):
        raise UserError(f"teacher: run '{run.name}' has other folds: set folds and fold_seed as there")
    if len(_members_of_folds(run)) < len(record.seeds) * experiment.folds:
        raise UserError(f"teacher: run '{run.name}' is not finished: train it to its end first")
    return files.sha256_of_arrays(soft_labels(run, None))


def soft_labels(run: RunFolder, fold: int | None) -> np.ndarray:
    """Return float32 (test images, classes): the mean of the run's members of `fold`, for None of those of all folds."""
    members = [member for member in _members_of_folds(run) if fold in (None, member.fold)]
    predictions = [Predictions.read(run.member(member).predictions).test for member in members]
    return np.mean(predictions, axis=0, dtype=np.float64).astype(np.float32)


def _members_of_folds(run: RunFolder) -> list[Member]:
    return [member for member in run.finished() if member.fold is not None]
