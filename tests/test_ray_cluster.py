"""Training on a Ray cluster: two nodes on this machine, one of which is lost during training."""

import dataclasses
import socket

import pytest
import tiny_run

from digit_recognizer.errors import UserError
from digit_recognizer.experiment import load
from digit_recognizer.remote.ray_cluster import RayWorkers
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.records import read_run_record
from digit_recognizer.training import cross_validation
from digit_recognizer.training.events import EpochEnded, MemberFinished, StepEnded, TrainingPlanned, Warned
from digit_recognizer.tuning import study

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A workspace whose run `here` was trained on this machine."""
    workspace = tiny_run.make_workspace(tmp_path_factory.mktemp("ray"))
    cross_validation.train(tiny_run.request(workspace, "here", only=[0, 1]), workspace)
    return workspace


@pytest.fixture
def cluster():
    """A cluster of two nodes with a core each."""
    from ray.cluster_utils import Cluster

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    head = {"num_cpus": 1, "include_dashboard": False, "ray_client_server_port": port}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.client_port = port
    cluster.other = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def train(workspace, cluster, run, on_event=lambda event: None, **changes):
    request = tiny_run.request(workspace, run, only=[0, 1], **changes)
    return cross_validation.train(dataclasses.replace(request, elsewhere=RayWorkers(cluster.address)), workspace, on_event)


def test_run_trained_on_a_cluster_has_the_bytes_of_one_trained_here(workspace, cluster):
    events = []
    train(workspace, cluster, "there", events.append)
    assert tiny_run.probabilities(workspace.run("there")) == tiny_run.probabilities(workspace.run("here"))
    here, there = (RunFolder.of(workspace, run) for run in ("here", "there"))
    for member in here.finished():
        names = [{path.name for path in run.member(member).path.iterdir()} for run in (here, there)]
        assert names[0] == names[1]
        assert tiny_run.history(here.member(member).path).equals(tiny_run.history(there.member(member).path))
    assert dataclasses.replace(read_run_record(here), started="") == dataclasses.replace(read_run_record(there), started="")
    (plan,) = [event for event in events if isinstance(event, TrainingPlanned)]
    assert (plan.jobs, plan.where) == (2, "a Ray cluster of 2 nodes, 2 cores")
    assert {type(event) for event in events} >= {StepEnded, EpochEnded, MemberFinished}


def test_lost_node_loses_at_most_one_epoch(workspace, cluster):
    epochs, warnings = [], []

    def on_event(event):
        if isinstance(event, EpochEnded):
            epochs.append((event.member.fold, event.epoch))
            if len(epochs) == 3:
                cluster.remove_node(cluster.other, allow_graceful=False)
        elif isinstance(event, Warned):
            warnings.append(event.message)

    train(workspace, cluster, "lost", on_event)
    assert any("its node was lost" in warning for warning in warnings)
    assert tiny_run.probabilities(workspace.run("lost")) == tiny_run.probabilities(workspace.run("here"))
    for fold in (0, 1):
        assert sorted(epoch for of, epoch in epochs if of == fold) == [1, 2, 3, 4]


def test_training_interrupted_on_a_cluster_resumes_here_from_its_last_epoch(workspace, cluster):
    def stop(event):
        if isinstance(event, EpochEnded) and event.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(workspace, cluster, "stopped", stop)
    epochs = []
    cross_validation.train(
        tiny_run.request(workspace, "stopped", only=[0, 1]),
        workspace,
        lambda event: epochs.append(event.epoch) if isinstance(event, EpochEnded) else None,
    )
    assert len(epochs) <= 6
    assert tiny_run.probabilities(workspace.run("stopped")) == tiny_run.probabilities(workspace.run("here"))


def test_training_through_rays_client_has_the_same_bytes(workspace, cluster):
    request = tiny_run.request(workspace, "from outside", only=[0, 1])
    workers = RayWorkers(f"ray://127.0.0.1:{cluster.client_port}")
    cross_validation.train(dataclasses.replace(request, elsewhere=workers), workspace)
    assert tiny_run.probabilities(workspace.run("from outside")) == tiny_run.probabilities(workspace.run("here"))


def test_trials_of_a_study_are_trained_on_the_cluster(workspace, cluster):
    pipeline = load("tiny", workspace, {"epochs": 1, "folds": 2, "early_stopping": None, "reduce_lr_on_plateau": None})
    request = study.StudyRequest(pipeline, "there", trials=2, workers=2, training=RayWorkers(cluster.address, jobs=1))
    summary = study.tune(request, workspace)
    assert len(summary.complete) == 2


def test_failed_training_is_a_one_line_error(workspace, cluster):
    with pytest.raises(UserError, match=r"seed 0 fold [01]: the loss became (nan|inf) in epoch"):
        train(workspace, cluster, "nan", learning_rate=100, optimizer="sgd")


def test_unreachable_cluster_is_a_one_line_error(workspace):
    with pytest.raises(UserError, match="can't be reached"):
        RayWorkers("127.0.0.1:1").plan(tiny_run.request(workspace).pipeline.experiment, 1)
