"""The name of a place -> the workers there."""

from collections.abc import Sequence

from digit_recognizer.training.cross_validation import Request
from digit_recognizer.training.workers import Workers
from digit_recognizer.workspace import Workspace


def workers_on(place: str, requests: Sequence[Request], workspace: Workspace) -> Workers:
    """Return what trains the requests of one command on `kaggle`, on `ray` or on the cluster at `ray://HOST:PORT`."""
    if place == "kaggle":
        from digit_recognizer.remote.kaggle import KaggleWorkers

        return KaggleWorkers(requests, workspace)
    from digit_recognizer.remote.ray_cluster import RayWorkers

    return RayWorkers(None if place == "ray" else place)
