"""Reading a folder of image files, `train/<class>/` with or without `test/`."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from digit_recognizer.data.image_files import NotAnImageError, files_below, listed, natural_key, printable, read_image
from digit_recognizer.data.sources.arrays import ImageArrays
from digit_recognizer.errors import UserError


class _Images(NamedTuple):
    """Images of one or more folders."""

    images: list[np.ndarray]  # uint8 (height, width, 3)
    files: list[Path]
    labels: list[int]  # number of the class; -1 where it is unknown
    left_out: list[Path]
    several_frames: list[Path]


def load(folder: Path) -> ImageArrays:
    """Read all images of the folder in any format that Pillow reads, with 3 channels if any of them has colour, else 1.

    A class has the images of its folder and all folders in that.

    `test/` may have a folder for each class, so that labels are known, or contain the images directly. Without `test/` a
    fifth of the training images is held back, stratified, seed 0. Classes and files are in natural order: img_2 before img_10.

    Raises:
        UserError: an image is damaged, two images differ in size, or a class has no images.
    """
    classes = sorted(_folders(folder / "train"), key=natural_key)
    _check_classes(folder / "train", classes)
    train = _labelled(folder / "train", classes, classes)
    test = _test(folder / "test", classes) if (folder / "test").is_dir() else None
    together = [train, test] if test else [train]
    images = _stacked([image for part in together for image in part.images], [path for part in together for path in part.files])
    notes = [f"{len(images):,} images read", *_notes(folder, together)]
    count, labels = len(train.images), np.array(train.labels)
    shown = tuple(map(printable, classes))
    if test:
        known = np.array(test.labels) if min(test.labels) >= 0 else None
        files = [path.relative_to(folder).as_posix() for path in test.files]
        return ImageArrays(images[:count], labels, images[count:], known, shown, files, notes)
    kept, held_back = _hold_back(folder, labels)
    files = [train.files[row].relative_to(folder).as_posix() for row in held_back]
    return ImageArrays(images[kept], labels[kept], images[held_back], labels[held_back], shown, files, notes)


def _notes(folder: Path, together: list[_Images]) -> list[str]:
    """Return a line about each kind of file that was not read, or not as a whole."""
    left_out = [path for part in together for path in part.left_out]
    considered = {*left_out, *(path for part in together for path in part.files)}
    notes = {
        "left out {}, which Pillow can't read as images": left_out,
        "left out {}, outside the class folders of train/ and test/": set(files_below(folder)) - considered,
        "read only the first frame of {}": [path for part in together for path in part.several_frames],
    }
    names = {note: [path.relative_to(folder).as_posix() for path in paths] for note, paths in notes.items() if paths}
    return [note.format(listed(sorted(found, key=natural_key))) for note, found in names.items()]


def _check_classes(folder: Path, classes: list[str]) -> None:
    if len(classes) < 2:
        raise UserError(f"{folder}: there must be a folder of images for each class, at least two")
    bad = [name for name in classes if "," in name]
    if bad:
        raise UserError(f"{printable(str(folder / bad[0]))}: the name of a class can't have a comma")


def _hold_back(folder: Path, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the training set and of the test set (a fifth), int64."""
    from sklearn.model_selection import train_test_split

    try:
        kept, held_back = train_test_split(np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0)
    except ValueError as error:
        raise UserError(
            f"{folder}: too few images to split off a fifth as the test set: add a test folder, or images "
            f"(the smallest class has {np.bincount(labels).min()})"
        ) from error
    return kept, held_back


def _test(folder: Path, classes: list[str]) -> _Images:
    names = _folders(folder)
    if not names:
        return _read(folder, -1)
    unknown = set(names) - set(classes)
    if unknown:
        raise UserError(f"{folder / min(unknown)}: there is no such class in train/")
    return _labelled(folder, [name for name in classes if name in names], classes)


def _labelled(folder: Path, names: list[str], classes: list[str]) -> _Images:
    found = _Images([], [], [], [], [])
    for name in names:
        for together, new in zip(found, _read(folder / name, classes.index(name)), strict=True):
            together.extend(new)
    return found


def _read(folder: Path, label: int) -> _Images:
    """Read the images of a folder and its subfolders.

    Raises:
        UserError: an image is damaged, or the folder has none.
    """
    found = _Images([], [], [], [], [])
    for path in files_below(folder):
        try:
            picture = read_image(path)
        except NotAnImageError:
            found.left_out.append(path)
            continue
        found.images.append(np.asarray(picture.image))
        found.files.append(path)
        found.labels.append(label)
        if picture.notes:
            found.several_frames.append(path)
    if not found.images:
        raise UserError(f"{printable(str(folder))}: contains no images")
    return found


def _folders(folder: Path) -> list[str]:
    """Return the names of the subfolders, without those of operating systems and notebooks (.ipynb_checkpoints, __MACOSX)."""
    return [entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith((".", "__"))]


def _stacked(images: list[np.ndarray], files: list[Path]) -> np.ndarray:
    """Return uint8 (n, height, width, channels), one channel if all images are grey."""
    for image, path in zip(images, files, strict=True):
        if image.shape != images[0].shape:
            raise UserError(
                f"{printable(str(path))} has {image.shape[1]}x{image.shape[0]} pixels, but {printable(str(files[0]))} "
                f"{images[0].shape[1]}x{images[0].shape[0]}: all images must have the same size"
            )
    stack = np.stack(images)
    grey = all(np.array_equal(stack[..., 0], stack[..., channel]) for channel in (1, 2))
    return np.ascontiguousarray(stack[..., :1]) if grey else stack
