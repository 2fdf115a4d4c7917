"""Every pipeline loads, builds the published network and fits a batch."""

from pathlib import Path

import numpy as np
import pytest
from tiny_run import compiled

from digit_recognizer import experiment
from digit_recognizer.models.build_model import build_model
from digit_recognizer.workspace import PROJECT_ROOT, Workspace

PIPELINES = sorted(path.stem for path in (PROJECT_ROOT / "pipelines").glob("*.py"))
PUBLISHED_PARAMETERS = {
    "tutorial_cnn": 542_230,
    "tutorial_cnn_deep": 159_254,
    "mlp": 203_530,
    "baseline": 742_858,
    "deotte": 327_242,
}


@pytest.mark.parametrize("name", PIPELINES)
def test_pipeline_builds_its_network_and_fits_a_batch(name, noise):
    pipeline = experiment.load(name, Workspace(PROJECT_ROOT))
    assert pipeline.summary
    if pipeline.experiment.members:
        for member in pipeline.experiment.members:
            assert experiment.load(member, Workspace(PROJECT_ROOT)).experiment.network
        return
    model = compiled(pipeline.experiment, noise)
    if name in PUBLISHED_PARAMETERS:
        assert model.count_params() == PUBLISHED_PARAMETERS[name]
    model.run_eagerly = True  # compilation would take longer than one batch
    logs = model.train_on_batch(noise.images[:8], np.eye(10, dtype=np.float32)[noise.labels[:8]], return_dict=True)
    assert np.isfinite(logs["loss"])
    probabilities = np.asarray(model(noise.images[:3].astype("float32")))
    assert probabilities.shape == (3, 10)
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", PUBLISHED_PARAMETERS)
def test_published_pipelines_exist(name):
    assert name in PIPELINES


def test_first_layer_of_mlp_has_the_published_parameters(noise):
    model = compiled(experiment.load("mlp", Workspace(PROJECT_ROOT)).experiment, noise)
    assert next(layer for layer in model.layers if layer.weights).count_params() == 200_960


@pytest.mark.parametrize("name", ["fast", "baseline", "vgg_rmsprop"])
def test_networks_fit_other_sizes_channels_and_numbers_of_classes(name):
    loaded = experiment.load(name, Workspace(PROJECT_ROOT)).experiment
    model = build_model(loaded, (32, 32, 3), 5, pixel_mean=100, pixel_sd=50)
    assert model.output_shape == (None, 5)


def test_pipeline_may_define_its_own_network(tmp_path, noise):
    file = Path(tmp_path / "mine.py")
    file.write_text(
        '"""Mine."""\n'
        "from digit_recognizer.experiment import Experiment\n"
        "from digit_recognizer.models import networks\n\n"
        "def network(x, classes):\n    return networks.mlp(x, classes, hidden=(8,))\n\n"
        "EXPERIMENT = Experiment(network=network)\n"
    )
    assert compiled(experiment.load(str(file)).experiment, noise).count_params() == 784 * 8 + 8 + 80 + 10
