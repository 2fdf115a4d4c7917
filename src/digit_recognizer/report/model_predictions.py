"""Predictions of several models for the same images, and the reported prediction."""

from dataclasses import dataclass

import numpy as np

from digit_recognizer.runs.run import Run


@dataclass(frozen=True)
class ModelPredictions:
    """Probabilities for n images; NaN if an image is not predicted."""

    kind: str  # what the models are called: seed, member, run
    names: list[str]  # of the models
    probabilities: np.ndarray  # as reported, float (n, classes)
    each: np.ndarray  # of each model, float (models, n, classes)
    combination: str = "mean"  # what the reported probabilities are of the models'


def predictions_by_seed(run: Run) -> ModelPredictions:
    """Return the out-of-fold probabilities of a run for the training images, and those of each of its seeds."""
    seeds = sorted({result.member.seed for result in run.members if result.member.fold is not None})
    each = np.full((len(seeds), *run.probabilities.shape), np.nan, np.float32)
    for result in run.members:
        if result.member.fold is not None:
            each[seeds.index(result.member.seed), result.predictions.rows] = result.predictions.valid
    return ModelPredictions("seed", [f"seed {seed}" for seed in seeds], run.probabilities, each)


def predictions_by_member(run: Run) -> ModelPredictions:
    """Return the probabilities of a run for the test images, and those of each of its members."""
    return ModelPredictions(
        "member",
        [result.member.name for result in run.members],
        run.test,
        np.stack([result.predictions.test for result in run.members]),
    )
