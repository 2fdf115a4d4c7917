"""The workers of a place, by the place's name."""

from collections.abc import Sequence

from digit_recognizer.errors import UserError
from digit_recognizer.training.cross_validation import Request
from digit_recognizer.training.workers import Workers


def workers_on(place: str, requests: Sequence[Request]) -> Workers:
    """Return the workers for the requests of one command: on `kaggle`, on `ray` or on the cluster at `ray://HOST:PORT`."""
    if place == "kaggle":
        from digit_recognizer.remote.kaggle import KaggleWorkers

        return KaggleWorkers(requests)
    from digit_recognizer.remote.ray_cluster import RayWorkers

    return RayWorkers(_address(place), requests[0].jobs)


def trial_workers_on(place: str) -> Workers:
    """Return the workers for the members of a study's trials, one member at a time.

    Raises:
        UserError: the place is `kaggle`, where each trial would need a notebook.
    """
    if place == "kaggle":
        raise UserError("ON=kaggle can't run a study: run it in a notebook (docs/kaggle.md), or use ON=ray")
    from digit_recognizer.remote.ray_cluster import RayWorkers

    return RayWorkers(_address(place), jobs=1)


def _address(place: str) -> str | None:
    return None if place == "ray" else place
