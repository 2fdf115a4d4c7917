"""Finding image files, in natural order, and reading them."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from digit_recognizer.data import dataset, image_files, sources
from digit_recognizer.data.digit_images import read_images
from digit_recognizer.errors import UserError
from digit_recognizer.workspace import Workspace

STROKE = np.full((40, 40), 255, np.uint8)
STROKE[8:32, 18:22] = 0


def save(path, array=STROKE, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "b.webp", "c.jfif", "d.tiff", "e.bmp", "f.gif", "g.ppm", "h.jpeg", "i.PNG"])
def test_any_format_of_pillow_is_read_from_a_folder(tmp_path, name):
    save(tmp_path / name)
    found = read_images([tmp_path], (28, 28, 1), prepare=True)
    assert found.names == [name] and found.problems == []
    assert found.images[0].max() > 200


def test_files_that_are_not_images_are_listed_and_counted(tmp_path):
    save(tmp_path / "1.png")
    for number in range(5):
        (tmp_path / f"note{number}.txt").write_text("no image")
    found = read_images([tmp_path], (28, 28, 1), prepare=True)
    assert found.names == ["1.png"]
    assert len(found.problems) == 1
    assert "left out 5 files: note0.txt, note1.txt, note2.txt and 2 more" in found.problems[0]


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.pdf", b"%PDF-1.4"), ("model.h5", b"\x89HDF\r\n\x1a\n"), ("film.mpg", b"\0\0\1\xb3\x10\0\xf0\x15" + bytes(99))],
)
def test_files_that_pillow_writes_or_recognises_but_cannot_read_are_left_out(tmp_path, name, content):
    save(tmp_path / "1.png")
    (tmp_path / name).write_bytes(content)
    found = read_images([tmp_path], (28, 28, 1), prepare=True)
    assert found.names == ["1.png"]
    assert found.problems == [f"{tmp_path}: left out 1 file: {name}, which Pillow can't read as images"]


def test_pipes_and_broken_links_are_left_out_without_waiting(tmp_path):
    save(tmp_path / "1.png")
    os.mkfifo(tmp_path / "2.png")
    (tmp_path / "3.png").symlink_to(tmp_path / "nowhere")
    found = read_images([tmp_path], (28, 28, 1), prepare=True)
    assert found.names == ["1.png"]
    assert "left out 2 files: 2.png, 3.png" in found.problems[0]


def test_linked_folders_are_searched_once(tmp_path):
    save(tmp_path / "elsewhere" / "1.png")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "images")
    assert read_images([tmp_path / "images"], (28, 28, 1), prepare=True).names == ["link/1.png"]


def test_damaged_image_in_a_folder_is_named(tmp_path):
    save(tmp_path / "1.png")
    (tmp_path / "2.png").write_text("no image")
    found = read_images([tmp_path], (28, 28, 1), prepare=True)
    assert found.names == ["1.png"]
    assert "2.png can't be read as an image" in found.problems[0]


def test_folder_whose_name_ends_in_an_image_suffix_is_searched(tmp_path):
    save(tmp_path / "dir.png" / "1.png")
    assert read_images([tmp_path], (28, 28, 1), prepare=True).names == ["dir.png/1.png"]


def test_heic_without_pillow_heif_names_the_package_to_install(tmp_path):
    (tmp_path / "photo.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(UserError, match=r"photo\.HEIC is a HEIC image: install pillow-heif"):
        image_files.read_image(tmp_path / "photo.HEIC")


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_grey_values_of_any_depth_in_16_bits_are_scaled_to_8(tmp_path, bits):
    deep = (STROKE.astype(np.uint32) * (2**bits - 1) // 255).astype(np.uint16)
    picture = image_files.read_image(save(tmp_path / "deep.png", deep)).image
    assert np.abs(np.asarray(picture.convert("L")).astype(int) - STROKE).max() <= 1


def test_floating_point_grey_is_read(tmp_path):
    picture = image_files.read_image(save(tmp_path / "float.tiff", STROKE.astype(np.float32) / 255)).image
    assert np.array_equal(np.asarray(picture.convert("L")), STROKE)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_grey_that_is_no_number_is_one_line(tmp_path, value):
    with pytest.raises(
        UserError, match=r"float\.tiff can't be read as an image \(some of its values are infinite or not a number"
    ):
        image_files.read_image(save(tmp_path / "float.tiff", np.full((28, 28), value, np.float32)))


def test_first_frame_of_a_gif_is_read_with_a_note_about_the_others(tmp_path):
    frames = [Image.fromarray(STROKE), Image.fromarray(255 - STROKE)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    picture = image_files.read_image(tmp_path / "moving.gif")
    assert "only the first of its 2 frames is read" in picture.notes[0]
    assert np.array_equal(np.asarray(picture.image.convert("L")), STROKE)


def test_picture_over_pillows_pixel_limit_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UserError, match="pixels: save it smaller"):
        image_files.read_image(save(tmp_path / "large.png"))


def test_names_are_sorted_by_the_numbers_in_them():
    names = ["img_10.png", "img_2.png", "b/1.png", "a/10.png", "a/9.png"]
    assert sorted(names, key=image_files.natural_key) == ["a/9.png", "a/10.png", "b/1.png", "img_2.png", "img_10.png"]


def test_file_name_that_is_not_utf8_can_be_printed_and_saved(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    save(tmp_path / "a.png").rename(path)
    found = read_images([path], (28, 28, 1), prepare=True)
    assert found.names == ["caf\\xe9.png"]
    found.names[0].encode("utf-8")


def test_control_characters_in_a_file_name_are_printed_as_text(tmp_path):
    found = read_images([save(tmp_path / "a\n\x1b[31mb.png")], (28, 28, 1), prepare=True)
    assert found.names == ["a\\n\\x1b[31mb.png"]


def test_files_of_the_same_name_are_named_with_their_folders(tmp_path):
    paths = [save(tmp_path / folder / "1.png") for folder in ("x", "y")]
    assert read_images(paths, (28, 28, 1), prepare=True).names == [str(path) for path in paths]


def test_paths_with_spaces_quotes_and_patterns_are_expanded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("my photo.png", "other photo.png", "2.jpg", "10.jpg", "it's.png"):
        save(tmp_path / name)
    expanded = {
        "my photo.png": ["my photo.png"],
        "my photo.png other photo.png": ["my photo.png", "other photo.png"],
        "'my photo.png' 2.jpg": ["my photo.png", "2.jpg"],
        "*.jpg": ["2.jpg", "10.jpg"],
        "it's.png 2.jpg": ["it's.png", "2.jpg"],
        "missing.png": ["missing.png"],
        "~no-such-user/a.png": ["~no-such-user/a.png"],
        "my*.png other p*.png": ["my photo.png", "other photo.png"],
        "my phot?.png 2.jpg": ["my photo.png", "2.jpg"],
        "2.jpg " * 100: ["2.jpg"] * 100,
        "x" * 300: ["x" * 300],
        "''": [],
    }
    for text, names in expanded.items():
        assert [str(path) for path in image_files.expand_paths(text)] == names


def test_pattern_that_matches_a_folder_and_its_files_names_the_folder_only(tmp_path):
    save(tmp_path / "a/b/1.png")
    assert image_files.expand_paths(f"{tmp_path}/**") == [tmp_path]
    assert image_files.expand_paths(f"{tmp_path}/a/**/*.png") == [tmp_path / "a/b/1.png"]


def test_pattern_without_a_match_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no file matches"):
        image_files.expand_paths(str(tmp_path / "*.jpg"))


@pytest.fixture
def tree(tmp_path):
    """Image folders of two classes and a test folder with numbered files; the first pixel of an image is its number."""
    for folder, count in (("train/a", 3), ("train/b", 3), ("test", 12)):
        for number in range(1, count + 1):
            image = STROKE[:28, :28].copy()
            image[0, 0] = number
            save(tmp_path / folder / f"img_{number}.png", image)
    return tmp_path


def test_image_folders_record_the_file_of_each_image_id(tree):
    workspace = Workspace(tree / "work")
    sources.fetch(str(tree), workspace)
    assert dataset.load_dataset(workspace).test_images[:, 0, 0, 0].tolist() == list(range(1, 13))
    lines = (workspace.input / "test_files.csv").read_text().splitlines()
    assert lines[:3] == ["ImageId,file", "1,test/img_1.png", "2,test/img_2.png"]
    assert lines[10] == "10,test/img_10.png"


def test_image_folders_with_other_files_read_the_images_and_count_the_others(tree):
    save(tree / "train/a/img_4.webp", STROKE[:28, :28], lossless=True)
    (tree / "train/a/readme.txt").write_text("no image")
    report = sources.fetch(str(tree), Workspace(tree / "work"))
    assert list(report.notes) == ["19 images read", "left out 1 file: train/a/readme.txt, which Pillow can't read as images"]


def test_image_folders_name_the_files_outside_the_classes(tree):
    for name in ("train/loose.png", "valid/a/img_2.png", "valid/a/img_10.png", "train/a/deep/img_5.png"):
        save(tree / name, STROKE[:28, :28])
    report = sources.fetch(str(tree), Workspace(tree.parent / f"{tree.name}_work"))
    outside = "train/loose.png, valid/a/img_2.png, valid/a/img_10.png"
    assert list(report.notes) == [
        "19 images read",
        f"left out 3 files: {outside}, outside the class folders of train/ and test/",
    ]


def test_image_folders_name_the_files_with_several_frames(tree):
    frames = [Image.fromarray(STROKE[:28, :28]), Image.fromarray(255 - STROKE[:28, :28])]
    frames[0].save(tree / "train/a/moving.gif", save_all=True, append_images=frames[1:])
    report = sources.fetch(str(tree), Workspace(tree / "work"))
    assert report.notes[-1] == "read only the first frame of 1 file: train/a/moving.gif"


def test_source_whose_path_is_not_utf8_is_recorded_and_found_intact(tree):
    source = os.fsdecode(os.fsencode(tree) + b"\xe4")
    tree.rename(source)
    workspace = Workspace(tree.parent / f"{tree.name}_work")
    for fetched in (True, False):
        report = sources.fetch(source, workspace)
        assert report.fetched == fetched
        assert report.record.source == f"{tree}\\xe4"


def test_image_folders_are_rotated_by_exif_orientation(tree):
    image = STROKE[:28, :28].copy()
    image[:, 20:] = 0
    options = Image.Exif()
    options[0x0112] = 6  # rotated by 90 degrees
    save(tree / "train/a/img_1.png", image, exif=options)
    workspace = Workspace(tree / "work")
    sources.fetch(str(tree), workspace)
    assert np.array_equal(dataset.load_dataset(workspace).images[0, :, :, 0], np.rot90(image, -1))


def test_held_back_test_images_are_listed(tree):
    for path in (tree / "test").iterdir():
        path.rename(tree / "train/a" / f"more_{path.name}")
    (tree / "test").rmdir()
    workspace = Workspace(tree / "work")
    sources.fetch(str(tree), workspace)
    names = [line.split(",")[1] for line in (workspace.input / "test_files.csv").read_text().splitlines()[1:]]
    first = np.asarray(Image.open(tree / names[0]))
    assert np.array_equal(dataset.load_dataset(workspace).test_images[0, :, :, 0], first)


def test_competition_files_are_found_at_any_depth(tmp_path):
    bundled = Workspace(tmp_path / "bundled")
    sources.fetch("bundled", bundled)
    deep = tmp_path / "kaggle/input/competitions/digit-recognizer"
    deep.mkdir(parents=True)
    for name in dataset.FILES:
        (bundled.input / name).rename(deep / name)
    report = sources.fetch(str(tmp_path / "kaggle/input"), Workspace(tmp_path / "work"))
    assert list(report.notes) == [f"found train.csv, test.csv, sample_submission.csv in {deep}"]


def test_competition_files_are_told_from_another_competition_and_from_hidden_copies(tmp_path):
    sources.fetch("bundled", Workspace(tmp_path / "bundled"))
    for folder in ("input/digits", "input/.ipynb_checkpoints", "input/titanic"):
        shutil.copytree(tmp_path / "bundled/input", tmp_path / folder)
    (tmp_path / "input/titanic/train.csv").write_text("PassengerId,Survived\n1,0\n")
    report = sources.fetch(str(tmp_path / "input"), Workspace(tmp_path / "work"))
    assert list(report.notes) == [f"found train.csv, test.csv, sample_submission.csv in {tmp_path}/input/digits"]


def test_competition_files_in_two_places_are_an_error_that_names_both(tmp_path):
    for folder in ("a", "b"):
        for name in dataset.FILES:
            (tmp_path / "input" / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / "input" / folder / name).write_text("")
    with pytest.raises(UserError, match=r"in 2 places: choose SOURCE=.*input/a or SOURCE=.*input/b"):
        sources.fetch(str(tmp_path / "input"), Workspace(tmp_path / "work"))
