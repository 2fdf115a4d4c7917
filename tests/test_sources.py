"""Each source gives complete and checked files in input/, or input/ is unchanged."""

import gzip
import json
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from digit_recognizer.data import dataset, sources
from digit_recognizer.data.sources import fetching
from digit_recognizer.errors import UserError
from digit_recognizer.workspace import Workspace

RNG = np.random.default_rng(0)
IMAGES, TEST_IMAGES = (RNG.integers(0, 256, (rows, 28, 28), dtype=np.uint8) for rows in (30, 10))
LABELS, TEST_LABELS = np.arange(30) % 10, np.arange(10)[::-1].copy()


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "work space ü")


def files_of(workspace):
    return {path.name: path.read_bytes() for path in workspace.input.iterdir()}


def idx(array):
    return struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def as_npz(folder):
    np.savez(folder / "mnist.npz", x_train=IMAGES, y_train=LABELS, x_test=TEST_IMAGES, y_test=TEST_LABELS)
    return folder / "mnist.npz"


def as_idx(folder, opener=open, suffix=""):
    for name, array in {
        "train-images-idx3-ubyte": IMAGES,
        "train-labels-idx1-ubyte": LABELS,
        "t10k-images-idx3-ubyte": TEST_IMAGES,
        "t10k-labels-idx1-ubyte": TEST_LABELS,
    }.items():
        with opener(folder / f"{name}{suffix}", "wb") as file:
            file.write(idx(array))
    return folder


def as_tree(folder, images=IMAGES, labels=LABELS, names="0123456789", test=True):
    for part, pictures, classes in (("train", images, labels), ("test", TEST_IMAGES, TEST_LABELS))[: 1 + test]:
        for number, (image, label) in enumerate(zip(pictures, classes, strict=True)):
            path = folder / part / names[label] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return folder


ARRAYS = {
    "npz": as_npz,
    "idx": as_idx,
    "idx.gz": lambda folder: as_idx(folder, gzip.open, ".gz"),
    "one of the idx files": lambda folder: as_idx(folder) / "train-images-idx3-ubyte",
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_stored_unchanged(name, workspace, tmp_path):
    report = sources.fetch(str(ARRAYS[name](tmp_path)), workspace)
    data = dataset.load_dataset(workspace)
    assert report.fetched
    assert np.array_equal(data.images[..., 0], IMAGES)
    assert np.array_equal(data.labels, LABELS)
    assert np.array_equal(data.test_images[..., 0], TEST_IMAGES)
    assert np.array_equal(dataset.load_test_labels(workspace), TEST_LABELS)


def test_image_folders_are_read_by_class_and_file_name(workspace, tmp_path):
    sources.fetch(str(as_tree(tmp_path)), workspace)
    data = dataset.load_dataset(workspace)
    order = np.lexsort((np.arange(30), LABELS))
    assert np.array_equal(data.images[..., 0], IMAGES[order])
    assert np.array_equal(data.labels, LABELS[order])
    assert np.array_equal(dataset.load_test_labels(workspace), np.arange(10))


def test_image_folders_may_have_colour_other_sizes_and_classes(workspace, tmp_path):
    images = RNG.integers(0, 256, (30, 16, 16, 3), dtype=np.uint8)
    sources.fetch(str(as_tree(tmp_path, images, LABELS % 3, ("cat", "dog", "eel"), test=False)), workspace)
    data = dataset.load_dataset(workspace)
    assert data.image_shape == (16, 16, 3)
    assert data.classes == ("cat", "dog", "eel")
    assert (len(data.images), len(data.test_images)) == (24, 6)  # a fifth is held back
    assert np.bincount(dataset.load_test_labels(workspace)).tolist() == [2, 2, 2]
    assert (workspace.input / "test_labels.csv").read_text().splitlines()[1].split(",")[1] in data.classes
    assert (workspace.input / "train.csv").read_text().startswith("label,pixel0,")


def test_test_images_without_classes_have_unknown_labels(workspace, tmp_path):
    as_tree(tmp_path, test=False)
    (tmp_path / "test").mkdir()
    for number in (10, 9):
        Image.fromarray(TEST_IMAGES[number % 10]).save(tmp_path / "test" / f"{number}.bmp")
    sources.fetch(str(tmp_path), workspace)
    assert np.array_equal(dataset.load_dataset(workspace).test_images[..., 0], TEST_IMAGES[[9, 0]])  # 9 before 10
    assert dataset.load_test_labels(workspace) is None


def test_files_from_a_zip_a_folder_or_one_file_are_copied_byte_for_byte(bundled, tmp_path):
    expected = {name: (bundled.input / name).read_bytes() for name in dataset.FILES}
    with zipfile.ZipFile(tmp_path / "digit-recognizer.zip", "w") as archive:
        for name, content in expected.items():
            archive.writestr(f"digit-recognizer/{name}", content)
    for number, source in enumerate([tmp_path / "digit-recognizer.zip", tmp_path, bundled.input, bundled.input / "train.csv"]):
        workspace = Workspace(tmp_path / str(number))
        sources.fetch(str(source), workspace)
        assert {name: (workspace.input / name).read_bytes() for name in dataset.FILES} == expected


def test_keras_datasets_are_read_from_the_cache_of_keras(workspace, tmp_path, monkeypatch):
    import keras

    arrays = (IMAGES, LABELS.astype(np.uint8)), (TEST_IMAGES, TEST_LABELS.astype(np.uint8))
    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", lambda: arrays)
    sources.fetch("fashion_mnist", workspace)
    data = dataset.load_dataset(workspace)
    assert data.classes[0] == "T-shirt" and len(data.classes) == 10
    assert np.array_equal(dataset.load_test_labels(workspace), TEST_LABELS)


def test_a_failed_download_of_keras_is_a_one_line_error(workspace, monkeypatch):
    import keras

    def fail():
        raise Exception("URL fetch failure on https://...: None -- no route\nmore")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", fail)
    with pytest.raises(UserError, match="mnist can't be downloaded") as caught:
        sources.fetch("mnist", workspace)
    assert "\n" not in str(caught.value)


def test_bundled_digits_are_the_same_each_time_and_stratified(bundled, tmp_path):
    sources.fetch("bundled", Workspace(tmp_path))
    data = dataset.load_dataset(bundled)
    assert dataset.load_dataset(Workspace(tmp_path)).sha256 == data.sha256
    assert (len(data.images), len(data.test_images)) == (1437, 360)


def test_bundled_digits_look_as_mnist_does(bundled):
    images = dataset.load_dataset(bundled).images[..., 0].astype(float)
    mass = images.sum(axis=(1, 2))
    for axis in (1, 2):
        centre = (images.sum(axis=3 - axis) * np.arange(28)).sum(axis=1) / mass
        assert np.abs(centre - 14).max() < 1.5
        assert np.median(np.abs(centre - 14)) < 0.3
    sides = [max(np.ptp(np.nonzero(image)[axis]) + 1 for axis in (0, 1)) for image in images]
    assert max(sides) == 20


def test_intact_data_is_not_fetched_again(bundled):
    before = files_of(bundled)
    for source in (None, "bundled"):
        report = sources.fetch(source, bundled)
        assert not report.fetched
        assert report.summary.startswith("Already there")
    assert files_of(bundled) == before


def test_damaged_data_is_fetched_again(workspace):
    sources.fetch("bundled", workspace)
    before = files_of(workspace)
    (workspace.input / "train.csv").write_text("label,pixel0\n")
    assert sources.fetch(None, workspace).fetched
    assert {name: files_of(workspace)[name] for name in dataset.FILES} == {name: before[name] for name in dataset.FILES}


def test_other_data_is_replaced_only_with_force(workspace, tmp_path):
    sources.fetch("bundled", workspace)
    source = str(as_tree(tmp_path, test=False))
    (tmp_path / "test").mkdir()
    Image.fromarray(TEST_IMAGES[0]).save(tmp_path / "test" / "1.png")
    with pytest.raises(UserError, match=r"holds data from bundled: .*FORCE=1"):
        sources.fetch(source, workspace)
    assert dataset.load_dataset(workspace).source == "bundled"
    sources.fetch(source, workspace, force=True)
    assert dataset.load_dataset(workspace).source == source
    assert not (workspace.input / dataset.TEST_LABELS).exists()


def test_files_copied_to_input_by_hand_are_accepted_by_make_data(workspace, bundled):
    workspace.input.mkdir(parents=True)
    for name in dataset.FILES:
        shutil.copy(bundled.input / name, workspace.input / name)
    with pytest.raises(UserError, match=r"holds train\.csv from elsewhere"):
        sources.fetch("bundled", workspace)
    sources.fetch(None, workspace)
    assert dataset.load_dataset(workspace).sha256 == dataset.load_dataset(bundled).sha256


@pytest.mark.parametrize("cut_after", range(6))
def test_an_interrupted_installation_is_finished_by_the_next_fetch(cut_after, workspace, tmp_path, monkeypatch):
    """After a kill at any rename, loading `input/` fails or gives the new data, never a mixture."""
    sources.fetch("bundled", workspace)
    dataset.load_dataset(workspace)
    source = str(as_tree(tmp_path))
    replace, moves = Path.replace, []

    def dying(self, target):
        if Path(target).parent.name == "input" or Path(target).name == fetching._INCOMING:
            moves.append(target)
            if len(moves) > cut_after:
                raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dying)
        with pytest.raises(KeyboardInterrupt):
            sources.fetch(source, workspace, force=True)
    if cut_after == 0:
        assert dataset.load_dataset(workspace).source == "bundled"
        return
    if cut_after > 1:
        with pytest.raises(UserError, match="run `make data`"):
            dataset.load_dataset(workspace)
    sources.fetch(None, workspace)
    data = dataset.load_dataset(workspace)
    assert data.source == source
    assert len(data.images) == 30
    assert not list(workspace.input.glob(".incoming*")) and not list(workspace.input.glob(".fetching*"))


def test_parallel_fetches_are_refused(workspace):
    refused = []

    def fetch_too(progress):
        with pytest.raises(UserError, match="another `make data` is running"):
            sources.fetch("bundled", workspace)
        refused.append(progress)

    assert sources.fetch("bundled", workspace, on_progress=fetch_too).fetched
    assert refused


def test_hidden_files_and_folders_are_neither_classes_nor_images(workspace, tmp_path):
    as_tree(tmp_path)
    for name in (".ipynb_checkpoints", "__MACOSX"):
        (tmp_path / "train" / name).mkdir()
    (tmp_path / "train" / "3" / "._1.png").write_text("")
    (tmp_path / "train" / "3" / "notes.txt").write_text("")
    sources.fetch(str(tmp_path), workspace)
    assert dataset.load_dataset(workspace).classes == dataset.DIGITS


def test_digits_of_another_source_give_a_warning(bundled, tmp_path):
    for name in dataset.FILES:
        shutil.copy(bundled.input / name, tmp_path / name)
    report = sources.fetch(str(tmp_path), Workspace(tmp_path / "work"))
    assert "not the competition's files" in report.warning
    assert sources.fetch(None, bundled).warning is None


def test_mnist_is_marked_as_containing_the_competitions_test_set(workspace, tmp_path, monkeypatch):
    import hashlib

    monkeypatch.setattr(fetching, "_TEST_IMAGES", {hashlib.sha256(IMAGES[7].tobytes()).hexdigest()[:16]})
    report = sources.fetch(str(as_npz(tmp_path)), workspace)
    assert report.record.contains_competition_test
    assert "can't be submitted" in report.warning


def test_the_record_describes_the_files(bundled):
    record = json.loads((bundled.input / dataset.RECORD).read_text())
    assert record["source"] == "bundled"
    assert record["competition"] is False
    assert record["image_shape"] == [28, 28, 1]
    assert set(record["files"]) == {*dataset.FILES, dataset.TEST_LABELS}
    assert record["files"]["train.csv"]["rows"] == 1437
    assert record["files"]["test.csv"]["bytes"] == (bundled.input / "test.csv").stat().st_size


OWN_INPUT = Workspace.default().input


@pytest.mark.skipif(not (OWN_INPUT / "train.csv").exists(), reason="`make data` has not brought the competition's files")
def test_the_competitions_own_files_are_recognised(workspace):
    report = sources.fetch(str(OWN_INPUT), workspace)
    assert report.record.competition == (report.record.files["train.csv"].rows == 42_000)
