"""Every pipeline loads, builds the network that was published, and fits a batch."""

from pathlib import Path

import numpy as np
import pytest

from digit_recognizer import experiment
from digit_recognizer.data.dataset import DIGITS, Dataset
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Experiment
from digit_recognizer.models import networks
from digit_recognizer.models.build_model import build_model
from digit_recognizer.training.members import Member
from digit_recognizer.workspace import PROJECT_ROOT, Workspace

PIPELINES = sorted(path.stem for path in (PROJECT_ROOT / "pipelines").glob("*.py"))
PUBLISHED_PARAMETERS = {
    "tutorial_cnn": 542_230,
    "tutorial_cnn_deep": 159_254,
    "mlp": 203_530,
    "baseline": 742_858,
    "deotte": 327_242,
}


@pytest.fixture(scope="module")
def digits():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (20, 28, 28, 1)).astype(np.uint8)
    return Dataset(images, np.arange(20) % 10, images[:4], DIGITS, sha256="", source="drawn", competition=False)


def compiled(loaded, digits):
    from digit_recognizer.training.compiled_model import build_compiled_model
    from digit_recognizer.training.members import split_rows

    return build_compiled_model(loaded, digits, split_rows(np.arange(20) // 10, 0), Member(0, 0), steps_per_epoch=1)


@pytest.mark.parametrize("name", PIPELINES)
def test_pipeline_builds_its_network_and_fits_a_batch(name, digits):
    pipeline = experiment.load(name, Workspace(PROJECT_ROOT))
    assert pipeline.summary
    if pipeline.experiment.members:
        for member in pipeline.experiment.members:
            assert experiment.load(member, Workspace(PROJECT_ROOT)).experiment.network
        return
    model = compiled(pipeline.experiment, digits)
    if name in PUBLISHED_PARAMETERS:
        assert model.count_params() == PUBLISHED_PARAMETERS[name]
    model.run_eagerly = True  # one batch is not worth a compilation
    logs = model.train_on_batch(digits.images[:8], np.eye(10, dtype=np.float32)[digits.labels[:8]], return_dict=True)
    assert np.isfinite(logs["loss"])
    probabilities = np.asarray(model(digits.images[:3].astype("float32")))
    assert probabilities.shape == (3, 10)
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("network", "options", "factor"),
    [
        (networks.pooled_cnn, {"width": 0.5}, 0.25),
        (networks.strided_cnn, {"width": 1.5}, 2.25),
        (networks.strided_cnn, {"extra_layers": 1}, 1.67),
    ],
)
def test_networks_grow_and_shrink_as_a_study_asks(network, options, factor, digits):
    own, changed = (compiled(Experiment(network=network, network_options=some), digits) for some in ({}, options))
    assert changed.count_params() / own.count_params() == pytest.approx(factor, rel=0.05)


def test_pixels_of_the_border_are_left_out(digits):
    model = compiled(Experiment(network=networks.strided_cnn, network_options={"border": 2}), digits)
    whole, framed = digits.images[:1].astype("float32"), digits.images[:1].astype("float32")
    framed[:, 2:-2, 2:-2] = 255 - framed[:, 2:-2, 2:-2]
    inner = np.pad(whole[:, 2:-2, 2:-2], ((0, 0), (2, 2), (2, 2), (0, 0)))
    assert np.array_equal(model(whole), model(inner))
    assert not np.array_equal(model(whole), model(framed))


@pytest.mark.parametrize("name", PUBLISHED_PARAMETERS)
def test_published_pipelines_are_there(name):
    assert name in PIPELINES


def test_the_first_layer_of_mlp_has_the_published_parameters(digits):
    model = compiled(experiment.load("mlp", Workspace(PROJECT_ROOT)).experiment, digits)
    assert next(layer for layer in model.layers if layer.weights).count_params() == 200_960


def test_the_loss_that_studies_compare_is_the_calibrated_one():
    from digit_recognizer import metrics
    from digit_recognizer.training.compiled_model import CalibratedLogLoss

    random = np.random.default_rng(0)
    probabilities = metrics.apply_temperature(random.dirichlet(np.full(10, 0.2), 1000), 1.7).astype(np.float32)
    labels = probabilities.argmax(axis=1)
    labels[::10] = random.integers(0, 10, 100)
    metric = CalibratedLogLoss()
    for part in np.split(np.arange(1000), 4):
        metric.update_state(np.eye(10)[labels[part]], probabilities[part])
    expected = metrics.calibrated_log_loss(labels, probabilities)
    assert float(metric.result()) == pytest.approx(expected, rel=0.02)
    assert expected < 0.9 * metrics.log_loss(labels, probabilities)


def test_initial_weights_are_a_function_of_seed_and_fold(digits):
    from digit_recognizer.training.compiled_model import build_compiled_model
    from digit_recognizer.training.members import split_rows

    def weights(seed, fold):
        split = split_rows(np.arange(20) // 10, fold)
        experiment = Experiment(network=networks.browser_cnn)
        return build_compiled_model(experiment, digits, split, Member(seed, fold), 1).get_weights()[0]

    assert np.array_equal(weights(0, 0), weights(0, 0))
    assert not np.array_equal(weights(0, 0), weights(1, 0))
    assert not np.array_equal(weights(0, 0), weights(0, 1))


@pytest.mark.parametrize("network", [lambda x, classes: networks.mlp(x, classes + 1), lambda x, classes: x])
def test_wrong_output_width_is_refused(network, digits):
    with pytest.raises(UserError, match=r"its output has the shape .* but the data need \(None, 10\)"):
        compiled(Experiment(network=network), digits)


@pytest.mark.parametrize(
    ("scaling", "mean", "deviation"), [("unit", 100 / 255, 50 / 255), ("centred", 0, 50 / 255), ("standardised", 0, 1)]
)
def test_scaling_is_a_layer_of_the_model(scaling, mean, deviation):
    import keras

    keras.config.set_dtype_policy("float32")

    def network(x, classes):
        from keras import layers

        return layers.Flatten()(x)[:, :classes]

    model = build_model(Experiment(network=network, scaling=scaling), (2, 5, 1), 10, pixel_mean=100, pixel_sd=50)
    pixels = np.array([50, 150] * 5, dtype=np.uint8).reshape(1, 2, 5, 1)
    assert np.asarray(model(pixels)).mean() == pytest.approx(mean, abs=1e-6)
    assert np.asarray(model(pixels)).std() == pytest.approx(deviation, abs=1e-6)


def test_probabilities_are_float32_under_mixed_precision_whatever_the_network(digits):
    def network(x, classes):
        from keras import layers

        return layers.Dense(classes, activation="softmax")(layers.Flatten()(x))

    model = compiled(Experiment(network=network, precision="mixed_bfloat16"), digits)
    probabilities = np.asarray(model(digits.images.astype("float32")))
    assert probabilities.dtype == np.float32
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", ["fast", "baseline", "vgg_rmsprop"])
def test_other_sizes_channels_and_numbers_of_classes_fit_too(name):
    loaded = experiment.load(name, Workspace(PROJECT_ROOT)).experiment
    model = build_model(loaded, (32, 32, 3), 5, pixel_mean=100, pixel_sd=50)
    assert model.output_shape == (None, 5)


def test_a_pipeline_anywhere_brings_its_own_network(tmp_path, digits):
    file = Path(tmp_path / "mine.py")
    file.write_text(
        '"""Mine."""\n'
        "from digit_recognizer.experiment import Experiment\n"
        "from digit_recognizer.models import networks\n\n"
        "def network(x, classes):\n    return networks.mlp(x, classes, hidden=(8,))\n\n"
        "EXPERIMENT = Experiment(network=network)\n"
    )
    assert compiled(experiment.load(str(file)).experiment, digits).count_params() == 784 * 8 + 8 + 80 + 10


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_model_of_standardised_kernels_predicts_the_same_as_plain_convolutions(precision, digits):
    import keras

    from digit_recognizer.models import layers

    network = {"network": networks.strided_cnn, "network_options": {"normalize": "weights"}}
    model = compiled(Experiment(**network, precision=precision, label_smoothing=0.05), digits)
    random = np.random.default_rng(0)
    model.set_weights([weights + random.normal(0, 0.1, weights.shape) for weights in model.get_weights()])
    plain = layers.plain(model)
    assert {type(layer).__module__.partition(".")[0] for layer in plain.layers} == {"keras"}
    assert {weights.dtype for weights in plain.get_weights()} == {np.dtype("float32")}
    pixels = digits.images.astype("float32")
    expected = keras.ops.convert_to_numpy(model(pixels))
    assert keras.ops.convert_to_numpy(plain(pixels)) == pytest.approx(expected, abs=1e-6)


def test_standardised_kernels_keep_the_deviation_of_what_passes_through(digits):
    import keras

    from digit_recognizer.models.layers import StandardizedConv2D

    keras.utils.set_random_seed(0)
    maps = np.maximum(np.random.default_rng(0).normal(size=(4, 32, 32, 64)), 0).astype("float32")
    layer = StandardizedConv2D(64, 3, kernel_initializer=keras.initializers.RandomNormal(3.0, 0.7))
    assert np.std(np.asarray(layer(maps), np.float32)) == pytest.approx(1, rel=0.05)


def test_an_unknown_normalisation_is_refused(digits):
    with pytest.raises(UserError, match=r"network_options\.normalize='batch': choose 'maps' or 'weights'"):
        compiled(Experiment(network=networks.strided_cnn, network_options={"normalize": "batch"}), digits)
