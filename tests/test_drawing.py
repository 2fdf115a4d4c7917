"""The drawing page: it is exported from Keras models and used in headless Chromium; its probabilities equal Python's."""

import base64
import shutil
import threading
from functools import partial

import numpy as np
import pytest
from chromium import DESKTOP, PHONE, launched, unavailable
from digit_strokes import STROKES
from PIL import Image

from digit_recognizer import drawing
from digit_recognizer.data.digit_images import read_images
from digit_recognizer.drawing import network, runtime
from digit_recognizer.errors import UserError
from digit_recognizer.metrics import proportion
from digit_recognizer.models import prediction
from digit_recognizer.models.width_normalization import normalize_width
from digit_recognizer.runs.records import TrainingData

TOLERANCE = 1e-4


def tiny_model(seed):
    """Return an untrained network, since the tests only compare its probabilities."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    pixels = keras.Input((28, 28, 1), name="pixels")
    x = layers.Rescaling(1 / 127, -0.2, name="scaling")(normalize_width(pixels, 12))
    x = layers.Conv2D(8, 5, strides=2, activation="relu")(x)
    x = layers.BatchNormalization()(x)
    block = keras.Sequential([layers.Conv2D(8, 3, padding="same", activation="silu"), layers.Dropout(0.5)], name="block")
    x = layers.GlobalMaxPooling2D()(layers.Add()([x, block(x)]))
    return keras.Model(pixels, layers.Dense(10, activation="softmax", dtype="float32")(x))


def mean_probabilities(models, images):
    return np.mean([prediction.predict(model, images) for model in models], axis=0)


@pytest.fixture(scope="module")
def models():
    """Return three models, one of them in mixed precision, as trained on a GPU."""
    import keras

    members = [tiny_model(0), tiny_model(1)]
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        members.append(tiny_model(2))
    finally:
        keras.config.set_dtype_policy(policy)
    return members


def test_the_graph_averages_the_models(models, tmp_path):
    import onnx
    from onnx.reference import ReferenceEvaluator

    network.write_onnx(models, tmp_path / "model.onnx")
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28, 1), dtype=np.uint8)
    graph = ReferenceEvaluator(onnx.load(tmp_path / "model.onnx"))
    (probabilities,) = graph.run(None, {graph.input_names[0]: images.astype(np.float32)})
    assert probabilities.dtype == np.float32
    assert np.abs(probabilities - mean_probabilities(models, images)).max() < 5e-3  # one member rounds to bfloat16 in Python
    network.write_onnx(models[:1], tmp_path / "single.onnx")
    graph = ReferenceEvaluator(onnx.load(tmp_path / "single.onnx"))
    (probabilities,) = graph.run(None, {graph.input_names[0]: images.astype(np.float32)})
    assert np.abs(probabilities - mean_probabilities(models[:1], images)).max() < 1e-5


DIGITS = (*"0123456789",)


def record(source, classes, shape):
    return TrainingData("0" * 64, source, False, 1000, 100, classes, shape)


def test_runs_on_digits_are_accepted():
    drawing.check_data(record("mnist", DIGITS, (28, 28, 1)))


@pytest.mark.parametrize(
    ("classes", "shape", "message"),
    [
        (("Sandal", "Shirt", "Bag"), (28, 28, 1), "3 classes, 28x28x1"),
        (DIGITS, (32, 32, 1), "10 classes, 32x32x1"),
        (DIGITS, (28, 28, 3), "10 classes, 28x28x3"),
    ],
    ids=["clothes", "larger", "colour"],
)
def test_runs_on_other_data_are_refused_in_one_line(classes, shape, message):
    with pytest.raises(UserError, match=rf"trained on fashion \({message}\).*for runs on grey digits") as error:
        drawing.check_data(record("fashion", classes, shape))
    assert "\n" not in str(error.value)


def test_a_network_with_operations_that_onnx_lacks_is_refused(tmp_path):
    import keras

    model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10, activation="gelu")])
    with pytest.raises(UserError, match="ONNX has no operation Erfc"):
        network.write_onnx([model], tmp_path / "model.onnx")


def test_missing_npm_is_a_one_line_error_with_a_remedy(models, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"needs npm.*install Node\.js") as error:
        drawing.export(models, tmp_path / "page", "fast", None)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "page" / "index.html").exists()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'npm error code ENOTFOUND' >&2; exit 1", r"can't download onnxruntime-web@[0-9.]+ \(ENOTFOUND\)"),
        ("exit 3", r"can't download onnxruntime-web@[0-9.]+ \(exit status 3\)"),
    ],
)
def test_a_failing_npm_is_one_line(script, message, tmp_path, monkeypatch):
    npm = tmp_path / "npm"
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(UserError, match=message):
        runtime.download(tmp_path / "page")
    assert not list(tmp_path.glob("page/*"))


@pytest.fixture(scope="module")
def browser():
    with launched() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def folder(models, tmp_path_factory):
    """Export the page with the two models that compute in float32 in Python too."""
    folder = tmp_path_factory.mktemp("site") / "some path" / "draw"
    try:
        runtime.download(folder)
    except UserError as error:
        unavailable(str(error))
    assert drawing.export(models[:2], folder, "a&b", proportion(996, 1000)) == folder / "index.html"
    return folder


@pytest.fixture(scope="module")
def address(folder):
    """Serve the page below a path, as a static web host does."""
    server = drawing.make_server(folder.parents[1])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/some%20path/draw/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def open_page(browser, address):
    """Open the page and wait for the network; check afterwards that no other host was requested and the console is empty."""
    contexts, requests, complaints = [], [], []

    def opened(**options):
        contexts.append(browser.new_context(**{"viewport": DESKTOP, **options}))
        page = contexts[-1].new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        page.wait_for_selector("#message", state="hidden")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not complaints
    assert all(url.startswith((address, "data:", "blob:")) for url in requests)


def on_page(page, stroke, left=0.15, top=0.1, side=0.7):
    """Return the stroke's points in pixels of the page, for a digit in that square of the paper."""
    box = page.locator("#paper").bounding_box()
    return [(box["x"] + box["width"] * (left + side * x), box["y"] + box["height"] * (top + side * y)) for x, y in stroke]


def draw_with_mouse(page, digit, **place):
    for stroke in STROKES[digit]:
        (x, y), *rest = on_page(page, stroke, **place)
        page.mouse.move(x, y)
        page.mouse.down()
        for x, y in [*rest[1:-1:2], rest[-1]]:
            page.mouse.move(x, y)
        page.mouse.up()


def draw_with_finger(page, digit):
    send = partial(page.context.new_cdp_session(page).send, "Input.dispatchTouchEvent")
    for stroke in STROKES[digit]:
        for number, (x, y) in enumerate(on_page(page, stroke)):
            send({"type": "touchMove" if number else "touchStart", "touchPoints": [{"x": x, "y": y}]})
        send({"type": "touchEnd", "touchPoints": []})


def shown_probabilities(page):
    page.wait_for_selector("#paper[aria-busy=false]")
    return np.array(
        [float(row) for row in page.eval_on_selector_all("#bars li", "rows => rows.map(r => r.dataset.probability)")]
    )


def saved_canvas(page, name, path):
    url = page.evaluate(f"document.getElementById('{name}').toDataURL('image/png')")
    path.write_bytes(base64.b64decode(url.partition(",")[2]))
    return path


def seen_by_network(page, path):
    """Return the page's preview, uint8 (28, 28)."""
    return np.asarray(Image.open(saved_canvas(page, "seen", path)))[..., 3]


@pytest.mark.parametrize(
    ("scheme", "digits", "place"),
    [("light", range(10), {}), ("dark", (2, 4), {"left": 0.55, "top": 0.5, "side": 0.4}), ("dark", (6, 0), {"left": -0.1})],
    ids=["usual", "small, in a corner", "over the border"],
)
def test_a_drawn_digit_gets_the_probabilities_that_predict_gives_its_picture(
    scheme, digits, place, open_page, models, tmp_path
):
    page = open_page(color_scheme=scheme)
    for digit in digits:
        draw_with_mouse(page, digit, **place)
        shown = shown_probabilities(page)
        _, images, _, _ = read_images([saved_canvas(page, "paper", tmp_path / "drawing.png")], (28, 28, 1), prepare=True)
        assert np.array_equal(seen_by_network(page, tmp_path / "seen.png"), images[0, ..., 0])
        expected = mean_probabilities(models[:2], images)[0]
        assert np.abs(shown - expected).max() < TOLERANCE
        assert page.inner_text("#best") == str(expected.argmax())
        page.keyboard.press("Escape")


def test_drawing_with_a_finger_on_a_phone(open_page, models, tmp_path):
    page = open_page(viewport=PHONE, has_touch=True, is_mobile=True, device_scale_factor=3)
    draw_with_finger(page, 4)
    shown = shown_probabilities(page)
    _, images, _, _ = read_images([saved_canvas(page, "paper", tmp_path / "drawing.png")], (28, 28, 1), prepare=True)
    assert images.sum() > 20 * 255
    assert np.abs(shown - mean_probabilities(models[:2], images)[0]).max() < TOLERANCE
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_probabilities_change_while_the_pen_is_down_and_go_when_cleared(open_page):
    page = open_page()
    assert page.inner_text("#best") == ""
    points = on_page(page, STROKES[5][0])
    page.mouse.move(*points[0])
    page.mouse.down()
    answers = []
    for share in (4, 15, 28):
        for x, y in points[:share]:
            page.mouse.move(x, y)
        answers.append(shown_probabilities(page))
        assert answers[-1].sum() == pytest.approx(1, abs=1e-5)
    assert not np.allclose(answers[0], answers[1]) and not np.allclose(answers[1], answers[2])
    page.mouse.up()
    page.click("#clear")
    assert not shown_probabilities(page).any()
    assert page.inner_text("#best") == ""


def test_page_names_run_models_and_accuracy(open_page):
    caption = open_page().inner_text(".caption")
    assert caption == "Run a&b: mean of 2 models; out-of-fold accuracy 0.99600 (0.98976 to 0.99844)"


def test_page_opened_from_disk_explains_that_it_needs_a_server(browser, folder):
    page = browser.new_page()
    page.goto((folder / "index.html").as_uri())
    assert "python -m http.server" in page.inner_text("#message")
    page.close()


def test_second_export_downloads_nothing_and_replaces_the_network(folder, models, tmp_path, monkeypatch):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "model.onnx").write_bytes(b"")
    monkeypatch.setenv("PATH", str(tmp_path))
    drawing.export(models[:1], copy, "fast", None)
    assert (copy / "model.onnx").stat().st_size > 1000
    assert {path.name for path in copy.iterdir()} == {path.name for path in folder.iterdir()}
