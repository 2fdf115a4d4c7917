"""`make data`: fetch and check the data of any source; if that fails, `input/` is unchanged."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digit_recognizer import files
from digit_recognizer.data import dataset
from digit_recognizer.data.dataset import DatasetRecord, FileRecord
from digit_recognizer.data.image_files import files_below, printable
from digit_recognizer.data.sources import archives, arrays, bundled, images, keras_datasets
from digit_recognizer.data.sources.arrays import ImageArrays
from digit_recognizer.errors import UserError
from digit_recognizer.files import OnProgress
from digit_recognizer.formatting import utc_now
from digit_recognizer.workspace import Workspace, user_path

_INCOMING = ".incoming"  # a complete set of files that is not yet moved to `input/`
_CSV_LIMIT = 4 << 30  # bytes; a larger CSV file is refused

# SHA-256 (first 16 digits) of some images of the competition's test set: data that contains one was made from MNIST.
_TEST_IMAGES = {"13bdd4c594399df2", "8d1d1ae9a7a73ad0", "1372c46d861aea4f", "44cdc8bc67a9fff7", "9368bf29ab5e8238"}

Reader = Callable[[Path, OnProgress], ImageArrays | None]  # fills a folder with the competition's CSV files, or returns images


@dataclass(frozen=True)
class FetchReport:
    """The data in `input/`, and whether it was fetched now or was there before."""

    fetched: bool
    record: DatasetRecord

    @property
    def summary(self) -> str:
        """Number and shape of the images, classes and source, in one line."""
        record = self.record
        rows = {name: item.rows for name, item in record.files.items()}
        height, width, channels = record.image_shape
        return (
            f"{'Fetched' if self.fetched else 'Already there, intact'}: "
            f"{rows['train.csv']:,} training and {rows['test.csv']:,} test "
            f"images, {height}x{width}x{channels}, {len(record.classes)} classes, from {record.source}"
            f"{' (the competition)' if record.competition else ''}"
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """One line about each special case, such as files that were ignored."""
        return self.record.notes if self.fetched else ()

    @property
    def warning(self) -> str | None:
        """Why predictions of models trained on this data can't be submitted; None if they can."""
        if self.record.contains_competition_test:
            return "this data contains the competition's test images, so predictions of models trained on it can't be submitted"
        if not self.record.competition and dataset.TEST_LABELS not in self.record.files:
            return "these are not the competition's files, so predictions of models trained on them can't be submitted"
        return None


def fetch(
    source: str | None, workspace: Workspace, *, force: bool = False, on_progress: OnProgress = lambda text: None
) -> FetchReport:
    """Write the data of `source` to `input/`, unless it is there and intact.

    `source` is kaggle, bundled, mnist, fashion_mnist or a path: a zip or folder with the competition's CSV files, an .npz with
    x_train, y_train and x_test, IDX files, or images in train/<class>/ (and test/). None means the source
    of the present data, else kaggle.

    Raises:
        UserError: the source is missing or wrong, or `input/` has data of another source and `force` is not set; `input/`
            is then unchanged.
    """
    with _changing(workspace.input):
        record = _record_or_none(workspace)
        source = _chosen(source, record, workspace.input)
        name = printable(source)
        if not force:
            _refuse_other_data(name, record, workspace.input)
            if record and _intact(workspace):
                return FetchReport(False, record)
        return FetchReport(True, _replace(workspace.input, name, _reader(source), on_progress))


def place(images: ImageArrays, source: str, workspace: Workspace) -> FetchReport:
    """Write `images` to `input/` as the data of `source`, unless that is there and intact.

    Raises:
        UserError: `input/` has data of another source, or can't be written; it is then unchanged.
    """
    with _changing(workspace.input):
        record = _record_or_none(workspace)
        if record and record.source != source:
            raise UserError(f"{workspace.input} holds data from {record.source}, not from {source}")
        if record and _intact(workspace):
            return FetchReport(False, record)
        return FetchReport(True, _replace(workspace.input, source, lambda staging, on_progress: images, lambda text: None))


@contextmanager
def _changing(folder: Path) -> Iterator[None]:
    """Lock `input/` for this process and finish an interrupted installation."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            if (folder / _INCOMING).is_dir():
                _install(folder)
            yield
    except OSError as error:
        raise UserError(f"{error.filename or folder}: {error.strerror or error}; nothing in {folder} was changed") from error


def _replace(folder: Path, source: str, read: Reader, on_progress: OnProgress) -> DatasetRecord:
    """Replace the files of `input/` with those of `read`, all or none; return their record."""
    for killed in folder.glob(".fetching-*"):
        shutil.rmtree(killed, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder, ignore_cleanup_errors=True) as staging:
        record = _stage(source, read, Path(staging) / "files", on_progress)
        (Path(staging) / "files").replace(folder / _INCOMING)
    _install(folder)
    return record


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock the folder for this process; the kernel releases the lock when the process ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        files.lock(descriptor, lambda: f"another `make data` is running in {folder}: wait until it ends")
        yield
    finally:
        os.close(descriptor)


def _chosen(source: str | None, record: DatasetRecord | None, folder: Path) -> str:
    if source in (None, ""):
        if record:
            return record.source
        return str(folder.resolve()) if (folder / "train.csv").exists() else "kaggle"
    return source if source in _NAMED else str(user_path(source).resolve())


def _refuse_other_data(source: str, record: DatasetRecord | None, folder: Path) -> None:
    if record is None:
        there = [name for name in dataset.FILES if (folder / name).exists()]
        if there and source != printable(str(folder.resolve())):
            raise UserError(
                f"{folder} holds {there[0]} from elsewhere: `make data` checks and uses it, "
                f"and `make data SOURCE={source} FORCE=1` replaces it"
            )
    elif source != record.source and not (source == "kaggle" and record.competition):
        raise UserError(
            f"{folder} holds data from {record.source}: `make data SOURCE={source} FORCE=1` replaces it "
            "(runs trained on it are kept, but can't be resumed)"
        )


def _record_or_none(workspace: Workspace) -> DatasetRecord | None:
    try:
        return dataset.read_record(workspace)
    except UserError:
        return None


def _intact(workspace: Workspace) -> bool:
    try:
        dataset.verify_files(workspace)
    except UserError:
        return False
    return True


def _reader(source: str) -> Reader:
    return _NAMED.get(source) or (lambda staging, on_progress: _from_path(_located(Path(source)), staging))


def _stage(source: str, read_source: Reader, staging: Path, on_progress: OnProgress) -> DatasetRecord:
    """Write all files of `source` and their record to the folder `staging`, check them, and return the record."""
    staging.mkdir()
    on_progress(f"reading the data from {source}")
    found = read_source(staging, on_progress)
    classes, image_shape = dataset.DIGITS, dataset.DIGIT_SHAPE
    if found is not None:
        found.check(source)
        found.write(staging)
        classes, image_shape = found.classes, found.images.shape[1:]
    on_progress("checking every cell")
    try:
        read = dataset.read_arrays(staging, classes, image_shape)
    except UserError as error:  # name the source, not the temporary folder
        raise UserError(f"{str(error).replace(f'{staging}/', f'{source}: ')}; correct it or download it again") from error
    notes = (*_location_note(source), *(found.notes if found else []))
    record = _describe(staging, read, classes, source, notes)
    files.write_record(staging / dataset.RECORD, record)
    return record


def _describe(
    folder: Path, read: dict[str, Any], classes: tuple[str, ...], source: str, notes: tuple[str, ...]
) -> DatasetRecord:
    """Return the record for the files of a folder and the arrays that `dataset.read_arrays` read from them."""
    competition = str(read["sha256"]) == dataset.COMPETITION_SHA256
    return DatasetRecord(
        source=source,
        competition=competition,
        contains_competition_test=not competition and _contains_competition_test(read),
        classes=classes,
        image_shape=read["images"].shape[1:],
        sha256=str(read["sha256"]),
        files={
            name: FileRecord(
                bytes=(folder / name).stat().st_size,
                sha256=files.sha256_of(folder / name),
                rows=len(read["images" if name == "train.csv" else "test_images"]),
            )
            for name in dataset.ALL_FILES
            if (folder / name).exists()
        },
        time=utc_now(),
        notes=notes,
    )


def _contains_competition_test(read: dict[str, Any]) -> bool:
    images = (image for name in ("images", "test_images") for image in read[name])
    return any(hashlib.sha256(image.tobytes()).hexdigest()[:16] in _TEST_IMAGES for image in images)


def _install(folder: Path) -> None:
    """Move the complete set of files into `folder`; if this is interrupted, the next call finishes it."""
    incoming = folder / _INCOMING
    if (incoming / dataset.RECORD).exists():
        for name in dataset.ALL_FILES:
            if (incoming / name).exists():
                (incoming / name).replace(folder / name)
        record = files.read_record(incoming / dataset.RECORD, DatasetRecord, dataset.MAKE_DATA)
        for name in set(dataset.ALL_FILES) - set(record.files):
            (folder / name).unlink(missing_ok=True)
        (incoming / dataset.RECORD).replace(folder / dataset.RECORD)
    shutil.rmtree(incoming)


def _from_kaggle(staging: Path, on_progress: OnProgress) -> None:
    from digit_recognizer import kaggle_client

    with tempfile.TemporaryDirectory(prefix="kaggle-", dir=staging.parent) as download:
        archive = kaggle_client.download(Path(download), on_progress)
        try:
            archives.extract(archive, staging)
        except UserError as error:  # name the download, since its temporary file is deleted
            raise UserError(str(error).replace(str(archive), "kaggle: the download")) from error


_NAMED: dict[str, Reader] = {
    "kaggle": _from_kaggle,
    "bundled": lambda staging, on_progress: bundled.load(),
    "mnist": lambda staging, on_progress: keras_datasets.load("mnist"),
    "fashion_mnist": lambda staging, on_progress: keras_datasets.load("fashion_mnist"),
}


def _from_path(path: Path, staging: Path) -> ImageArrays | None:
    """Return the images of a path, or None after the competition's CSV files were put into `staging`."""
    if not path.exists():
        raise UserError(f"SOURCE={path}: there is no such file or folder; a source is a path or one of {', '.join(_NAMED)}")
    if path.is_dir():
        return _from_folder(path, staging)
    if path.suffix == ".npz":
        return arrays.load_npz(path)
    if path.name in dataset.FILES:
        return _copy(path.parent, staging)
    if "-ubyte" in path.name:
        return arrays.load_idx(path.parent)
    return archives.extract(path, staging)


def _from_folder(folder: Path, staging: Path) -> ImageArrays | None:
    if any((folder / name).exists() for name in dataset.FILES):
        return _copy(folder, staging)
    if (folder / archives.NAME).exists():
        return archives.extract(folder / archives.NAME, staging)
    if (folder / "train").is_dir():
        return images.load(folder)
    return arrays.load_idx(folder)


def _located(path: Path) -> Path:
    """Return the folder or file of the data below a path: /kaggle/input has the competition's files in a subfolder."""
    if (
        not path.is_dir()
        or (path / "train").is_dir()
        or any((path / name).exists() for name in (*dataset.FILES, archives.NAME))
    ):
        return path
    return _competition_files_below(path) or path


def _location_note(source: str) -> list[str]:
    if source in _NAMED or (found := _located(Path(source))) == Path(source):
        return []
    return [f"found {', '.join(dataset.FILES)} in {printable(str(found))}"]


def _competition_files_below(folder: Path) -> Path | None:
    """Return the only folder or zip below `folder`, at any depth, with the competition's files, or None.

    Files of these names are those of many competitions, so of several folders those with images of digits are meant.

    Raises:
        UserError: there are several such folders or zips.
    """
    below = files_below(folder)
    folders = [path.parent for path in below if path.name == "train.csv"]
    folders = [path for path in folders if all((path / name).is_file() for name in dataset.FILES)]
    of_digits = [path for path in folders if _has_digits(path / "train.csv")]
    found = of_digits or folders or [path for path in below if path.name == archives.NAME]
    if len(found) > 1:
        places = " or ".join(f"SOURCE={printable(str(path))}" for path in found[:2])
        raise UserError(f"{printable(str(folder))} has the competition's files in {len(found)} places: choose {places}")
    return found[0] if found else None


def _has_digits(train: Path) -> bool:
    with train.open("rb") as file:
        return file.readline(20).startswith(b"label,pixel0,")


def _copy(folder: Path, staging: Path) -> None:
    for name in dataset.FILES:
        if not (folder / name).is_file():
            raise UserError(f"{folder} has no {name}: a source folder needs {', '.join(dataset.FILES)}")
        if (folder / name).stat().st_size > _CSV_LIMIT:
            raise UserError(f"{folder / name} is larger than {_CSV_LIMIT >> 30} GB: this is not the competition's file")
        shutil.copyfile(folder / name, staging / name)
    if (folder / dataset.TEST_LABELS).is_file():
        shutil.copyfile(folder / dataset.TEST_LABELS, staging / dataset.TEST_LABELS)
