"""Reading a folder of image files, `train/<class>/` with or without `test/`."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from digit_recognizer.data.image_files import NotAnImageError, files_below, listed, natural_key, printable, read_image
from digit_recognizer.data.sources.arrays import ImageArrays
from digit_recognizer.errors import UserError


class _Image(NamedTuple):
    """One image file."""

    file: Path
    pixels: np.ndarray  # uint8 (height, width, 3)
    label: int  # number of the class; -1 if it is unknown
    several_frames: bool


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
    left_out: list[Path] = []
    train = _labelled(folder / "train", classes, left_out)
    test = _test(folder / "test", classes, left_out) if (folder / "test").is_dir() else []
    together, count = [*train, *test], len(train)
    images, labels = _stacked(together), np.array([image.label for image in together])
    files = [image.file.relative_to(folder).as_posix() for image in together]
    notes = [f"{len(images):,} images read", *_notes(folder, together, left_out)]
    shown = tuple(map(printable, classes))
    if test:
        known = labels[count:] if labels.min() >= 0 else None
        return ImageArrays(images[:count], labels[:count], images[count:], known, shown, files[count:], notes)
    kept, held_back = _hold_back(folder, labels)
    test_files = [files[row] for row in held_back]
    return ImageArrays(images[kept], labels[kept], images[held_back], labels[held_back], shown, test_files, notes)


def _notes(folder: Path, images: list[_Image], left_out: list[Path]) -> list[str]:
    """Return a line about each kind of file that was not read, or not as a whole."""
    considered = {*left_out, *(image.file for image in images)}
    notes = {
        "left out {}, which Pillow can't read as images": left_out,
        "left out {}, outside the class folders of train/ and test/": set(files_below(folder)) - considered,
        "read only the first frame of {}": [image.file for image in images if image.several_frames],
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


def _test(folder: Path, classes: list[str], left_out: list[Path]) -> list[_Image]:
    names = set(_folders(folder))
    if not names:
        return _read(folder, -1, left_out)
    if unknown := names - set(classes):
        raise UserError(f"{folder / min(unknown)}: there is no such class in train/")
    return _labelled(folder, classes, left_out)


def _labelled(folder: Path, classes: list[str], left_out: list[Path]) -> list[_Image]:
    """Read the images of all classes that have a folder."""
    labelled = [(folder / name, label) for label, name in enumerate(classes) if (folder / name).is_dir()]
    return [image for subfolder, label in labelled for image in _read(subfolder, label, left_out)]


def _read(folder: Path, label: int, left_out: list[Path]) -> list[_Image]:
    """Read the images of a folder and its subfolders; add files that are not images to `left_out`.

    Raises:
        UserError: an image is damaged, or the folder has none.
    """
    found = []
    for path in files_below(folder):
        try:
            picture = read_image(path)
        except NotAnImageError:
            left_out.append(path)
        else:
            found.append(_Image(path, np.asarray(picture.image), label, bool(picture.notes)))
    if not found:
        raise UserError(f"{printable(str(folder))}: contains no images")
    return found


def _folders(folder: Path) -> list[str]:
    """Return the names of the subfolders, without those of operating systems and notebooks (.ipynb_checkpoints, __MACOSX)."""
    return [entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith((".", "__"))]


def _stacked(images: list[_Image]) -> np.ndarray:
    """Return uint8 (n, height, width, channels), one channel if all images are grey."""
    first = images[0]
    for image in images:
        if image.pixels.shape != first.pixels.shape:
            sizes = [f"{one.pixels.shape[1]}x{one.pixels.shape[0]}" for one in (image, first)]
            raise UserError(
                f"{printable(str(image.file))} has {sizes[0]} pixels, but {printable(str(first.file))} {sizes[1]}: all images "
                "must have the same size"
            )
    stack = np.stack([image.pixels for image in images])
    grey = all(np.array_equal(stack[..., 0], stack[..., channel]) for channel in (1, 2))
    return np.ascontiguousarray(stack[..., :1]) if grey else stack
