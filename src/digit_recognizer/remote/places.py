"""The name of a place -> the workers there."""

from collections.abc import Sequence

from digit_recognizer.errors import UserError
from digit_recognizer.training.cross_validation import Request
from digit_recognizer.training.workers import Workers


def workers_on(place: str, requests: Sequence[Request]) -> Workers:
    """Return what trains the requests of one command on `kaggle`, on `ray` or on the cluster at `ray://HOST:PORT`."""
    if place == "kaggle":
        from digit_recognizer.remote.kaggle import KaggleWorkers

        return KaggleWorkers(requests)
    from digit_recognizer.remote.ray_cluster import RayWorkers

    return RayWorkers(_address(place), requests[0].jobs)


def trial_workers_on(place: str) -> Workers:
    """Return what trains the members of a study's trials, one at a time.

    Raises:
        UserError: the place is `kaggle`, where a study would be a notebook for each trial.
    """
    if place == "kaggle":
        raise UserError("a study can't run on Kaggle from here: docs/kaggle.md has a study in a notebook; ON=ray is possible")
    from digit_recognizer.remote.ray_cluster import RayWorkers

    return RayWorkers(_address(place), jobs=1)


def _address(place: str) -> str | None:
    return None if place == "ray" else place
