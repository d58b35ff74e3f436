"""Where a model's files can be taken from: the publisher, another address, a local folder, an archive in these."""

import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from vividhead.errors import StorageError, UsageError, VividHeadError
from vividhead.weights.download import NotThereError, download
from vividhead.weights.fetched import sha256_of
from vividhead.weights.files import File, Model

_HUB = "https://huggingface.co/"

Progress = Callable[[str, int, int], None]
"""Called with a file's name, the bytes that are there and the bytes that it will have."""


class Source(Protocol):
    """Somewhere to take files from."""

    def bring(self, file: File, part: Path) -> str:
        """Put the published file at `part`, proved by size and digest, and return where it came from."""


def source_of(wanted: Model, named: str | None, progress: Progress) -> Source:
    """The source that `--from` names, or the publisher."""
    if named is None:
        publisher = Publisher(progress)
        return Archive(publisher, wanted.archive) if wanted.archive else publisher
    if "://" in named:
        return Mirror(named.rstrip("/"), wanted, progress)
    folder = Folder(Path(named).expanduser(), wanted)
    if wanted.archive and folder.find(wanted.archive):
        return Archive(folder, wanted.archive)
    return folder


@dataclass(frozen=True)
class Publisher:
    """The addresses of the registry; HF_ENDPOINT moves those of the Hugging Face hub to a mirror of it."""

    progress: Progress

    def bring(self, file: File, part: Path) -> str:
        address, endpoint = file.address, os.environ.get("HF_ENDPOINT")
        if endpoint and address.startswith(_HUB):
            address = f"{endpoint.rstrip('/')}/{address.removeprefix(_HUB)}"
        _download(address, file, part, self.progress)
        return address


@dataclass(frozen=True)
class Mirror:
    """An address with the layout of a weights folder, or with one model's files in it."""

    address: str
    wanted: Model
    progress: Progress

    def bring(self, file: File, part: Path) -> str:
        address = f"{self.address}/{self.wanted.folder}/{file.name}"
        try:
            _download(address, file, part, self.progress)
        except NotThereError:
            address = f"{self.address}/{file.name}"
            _download(address, file, part, self.progress)
        return address


@dataclass(frozen=True)
class Folder:
    """A local folder with the layout of a weights folder, or with one model's files in it."""

    path: Path
    wanted: Model

    def find(self, file: File) -> Path | None:
        """Where the folder has the file."""
        places = (self.path / self.wanted.folder / file.name, self.path / file.name)
        return next((place for place in places if place.is_file()), None)

    def bring(self, file: File, part: Path) -> str:
        found = self.find(file)
        if found is None:
            raise UsageError(f"--from {self.path}: no {self.wanted.folder}/{file.name} in it, and no {file.name}")
        try:
            shutil.copyfile(found, part)
        except OSError as fault:
            raise StorageError(f"cannot copy {found} to {part}: {fault.strerror}") from fault
        prove(part, file, str(found))
        return str(found)


@dataclass
class Archive:
    """A zip of some source; it lies beside the files until all of them are out."""

    source: Source
    zip: File
    is_proved: bool = False

    def bring(self, file: File, part: Path) -> str:
        packed = part_of(part.parent / self.zip.name)
        if not self.is_proved:
            self.source.bring(self.zip, packed)
            self.is_proved = True
        with zipfile.ZipFile(packed) as archive:
            inside = [info for info in archive.infolist() if info.filename.rsplit("/", 1)[-1] == file.name]
            if len(inside) != 1:
                raise VividHeadError(f"{self.zip.name} holds {len(inside)} files named {file.name}, not one")
            try:
                with archive.open(inside[0]) as member, part.open("wb") as out:
                    shutil.copyfileobj(member, out, 1 << 20)
            except OSError as fault:
                raise StorageError(f"cannot write {part}: {fault.strerror}") from fault
        prove(part, file, self.zip.name)
        return f"{self.zip.address}#{inside[0].filename}"


def part_of(path: Path) -> Path:
    """Where a file lies until it is whole."""
    return path.with_name(f".{path.name}.part")


def prove(part: Path, file: File, came_from: str) -> None:
    """Remove a part file that is not the published file, and say so."""
    size = part.stat().st_size
    if size != file.size_bytes:
        wrong = f"has {size:,} bytes, the published file {file.size_bytes:,}"
    elif file.sha256 is not None and (found := sha256_of(part)) != file.sha256:
        wrong = f"has the sha256 {found}, the published file {file.sha256}"
    else:
        return
    part.unlink()
    raise VividHeadError(f"{came_from} is not the published {file.name}: it {wrong}; nothing was kept")


def _download(address: str, file: File, part: Path, progress: Progress) -> None:
    """Only what can be proved whole by its digest is gone on with after a cut."""
    download(address, part, file.size_bytes, file.sha256 is not None, partial(progress, file.name))
    prove(part, file, address)
