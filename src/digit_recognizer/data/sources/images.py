"""A tree of image files, `train/<class>/*.png|jpg|bmp` with or without `test/` -> ImageArrays."""

from pathlib import Path

import numpy as np

from digit_recognizer.data.sources.arrays import ImageArrays
from digit_recognizer.errors import UserError

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp"}


def load(folder: Path) -> ImageArrays:
    """Read all images of the tree; they get 3 channels if any of them has colour, else 1.

    `test/` may have a folder for each class, then the labels are known, or hold the images itself. Without `test/` a fifth of
    the training images is held back, stratified, seed 0. Images are taken in the order of class and file name.

    Raises:
        UserError: a file that can't be read, is transparent or of another size than the others; no images of a class.
    """
    classes = tuple(sorted(_folders(folder / "train"), key=_natural))
    if len(classes) < 2:
        raise UserError(f"{folder / 'train'}: need a folder of images for each class, and at least two")
    bad = [name for name in classes if any(character in name for character in ",\r\n")]
    if bad:
        raise UserError(f"{folder / 'train' / bad[0]}: the name of a class can't have a comma")
    paths, labels = _labelled(folder / "train", classes)
    test_paths, test_labels = _test(folder / "test", classes) if (folder / "test").is_dir() else ([], None)
    images = _read([*paths, *test_paths])
    train, test = images[: len(paths)], images[len(paths) :]
    if not test_paths:
        from sklearn.model_selection import train_test_split

        try:
            train, test, labels, test_labels = train_test_split(train, labels, test_size=0.2, stratify=labels, random_state=0)
        except ValueError as error:
            raise UserError(
                f"{folder}: too few images to hold a fifth of them back for the test: add a test folder, or images "
                f"(the smallest class has {np.bincount(labels).min()})"
            ) from error
    return ImageArrays(train, labels, test, test_labels, classes)


def _test(folder: Path, classes: tuple[str, ...]) -> tuple[list[Path], np.ndarray | None]:
    names = _folders(folder)
    if names:
        unknown = set(names) - set(classes)
        if unknown:
            raise UserError(f"{folder / min(unknown)}: there is no such class in train/")
        return _labelled(folder, tuple(name for name in classes if name in names), classes)
    paths = _image_files(folder)
    if not paths:
        raise UserError(f"{folder}: holds no images ({', '.join(sorted(_SUFFIXES))})")
    return paths, None


def _labelled(folder: Path, names: tuple[str, ...], classes: tuple[str, ...] | None = None) -> tuple[list[Path], np.ndarray]:
    paths, labels = [], []
    for name in names:
        found = _image_files(folder / name)
        if not found:
            raise UserError(f"{folder / name}: holds no images ({', '.join(sorted(_SUFFIXES))})")
        paths += found
        labels += [(classes or names).index(name)] * len(found)
    return paths, np.array(labels)


def _image_files(folder: Path) -> list[Path]:
    found = (path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and not path.name.startswith("."))
    return sorted(found, key=lambda path: _natural(path.name))


def _folders(folder: Path) -> list[str]:
    """The names of its folders, without those that systems and notebooks leave (.ipynb_checkpoints, __MACOSX)."""
    return [entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith((".", "__"))]


def _natural(name: str) -> tuple[int, str]:
    """Order 2 before 10."""
    stem = name.partition(".")[0]
    return (int(stem), name) if stem.isascii() and stem.isdigit() else (1 << 62, name)


def _read(paths: list[Path]) -> np.ndarray:
    images = None
    for number, path in enumerate(paths):
        image = _read_one(path)
        if images is None:
            images = np.empty((len(paths), *image.shape), dtype=np.uint8)
        if image.shape != images.shape[1:]:
            raise UserError(
                f"{path} has {image.shape[1]}x{image.shape[0]} pixels, but {paths[0]} {images.shape[2]}x{images.shape[1]}: "
                "all images must have the same size"
            )
        images[number] = image
    grey = all(np.array_equal(images[..., 0], images[..., channel]) for channel in (1, 2))
    return np.ascontiguousarray(images[..., :1]) if grey else images


def _read_one(path: Path) -> np.ndarray:
    """Return uint8 (height, width, 3)."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise UserError(f"{path} has more than 8 bits a pixel: save it with 8")
            if image.has_transparency_data and image.convert("RGBA").getextrema()[3][0] < 255:
                raise UserError(f"{path} is transparent in places: save it without transparency")
            return np.asarray(image.convert("RGB"))
    except UserError:
        raise
    except Exception as error:  # a damaged image raises anything from OSError to SyntaxError
        raise UserError(f"{path} can't be read as an image ({type(error).__name__}): mend or delete it") from error
