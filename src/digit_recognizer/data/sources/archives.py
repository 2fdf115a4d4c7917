"""Unpacking the three CSV files from Kaggle's zip."""

import shutil
import zipfile
from pathlib import Path, PurePosixPath

from digit_recognizer.data import dataset
from digit_recognizer.errors import UserError, first_line

NAME = "digit-recognizer.zip"
_LIMIT = 1 << 30  # bytes of an unpacked file; the largest of the competition has 77 million
_AGAIN = "download it again"


def extract(path: Path, folder: Path) -> None:
    """Unpack train.csv, test.csv and sample_submission.csv from the zip at `path` into `folder`; nothing else is unpacked.

    Raises:
        UserError: the file is not an intact, unencrypted zip, or one of the three files in it is missing or too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for name in dataset.FILES:
                with archive.open(_member(archive, path, name)) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
    except zipfile.BadZipFile as error:
        raise UserError(f"{path} is {_nature(path)}: {_AGAIN}") from error
    except Exception as error:  # a damaged zip raises anything from zlib.error to an OSError without number
        if isinstance(error, UserError) or (isinstance(error, OSError) and error.errno):
            raise
        raise UserError(f"{path} is incomplete or damaged ({first_line(error)}): {_AGAIN}") from error


def _member(archive: zipfile.ZipFile, path: Path, name: str) -> zipfile.ZipInfo:
    found = [member for member in archive.infolist() if PurePosixPath(member.filename).name == name]
    if len(found) != 1:
        raise UserError(f"{path} holds {len(found) or 'no'} {name}: {_AGAIN}, or give another SOURCE")
    member = found[0]
    if ".." in PurePosixPath(member.filename).parts or member.filename.startswith("/"):
        raise UserError(
            f"{path} holds a file with an unsafe name ({member.filename!r}): this is not Kaggle's archive; {_AGAIN}"
        )
    if member.flag_bits & 1:
        raise UserError(f"{path} is protected by a password: unpack it yourself and give the folder as SOURCE")
    if member.file_size > _LIMIT:
        raise UserError(f"{path}: {name} would unpack to {member.file_size >> 20:,} MB: this is not Kaggle's archive; {_AGAIN}")
    return member


def _nature(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(512).lstrip().lower()
    if not start:
        return "empty"
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page (HTML), not a zip"
    return "an incomplete or damaged zip" if start.startswith(b"pk") else "not a zip or any other kind of SOURCE"
