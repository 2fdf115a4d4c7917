"""The name of a place -> the workers there."""

from collections.abc import Sequence

from digit_recognizer.training.cross_validation import Request
from digit_recognizer.training.workers import Workers


def workers_on(place: str, requests: Sequence[Request]) -> Workers:
    """Return what trains the requests of one command on `kaggle`, on `ray` or on the cluster at `ray://HOST:PORT`."""
    if place == "kaggle":
        from digit_recognizer.remote.kaggle import KaggleWorkers

        return KaggleWorkers(requests)
    from digit_recognizer.remote.ray_cluster import RayWorkers

    return RayWorkers(None if place == "ray" else place)
