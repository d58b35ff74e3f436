"""Where a dataset lies: a local folder, or one in an object store that pyarrow reads. Whole files, or parts of them."""

import os
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vividhead import manifest
from vividhead.dataset import read_run
from vividhead.errors import DatasetError, UsageError
from vividhead.revoked import FOLDER as REVOKED
from vividhead.revoked import Revoked, check_manifest, checked, revoked, tombstones
from vividhead.shards import Place

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.fs

SCHEMES = ("file", "gs", "hdfs", "s3", "viewfs")
"""Of addresses that pyarrow reads. `file` is there for tests; the others take the same way."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A dataset folder by its path, or by an address such as s3://bucket/dataset; read only."""

    where: str

    @property
    def is_remote(self) -> bool:
        """Is `where` an address? Raises UsageError for one of a kind that cannot be read."""
        scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", self.where)
        if scheme is not None and scheme[1].lower() not in SCHEMES:
            known = ", ".join(f"{s}://" for s in SCHEMES)
            raise UsageError(f"{self.where}: {scheme[1]}:// cannot be read; a local folder can, and {known}")
        return scheme is not None

    def run(self) -> dict[str, Any]:
        """The dataset's run.toml, or DatasetError saying that there is none."""
        if not self.is_remote:
            return read_run(Path(self.where))
        try:
            return tomllib.loads(self._bytes("run.toml").decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
            raise DatasetError(f"{self.where}/run.toml is damaged: {fault}") from fault

    def manifest(self) -> "pyarrow.Table":
        """manifest.parquet, or DatasetError saying what is wrong with it: also where it names a revoked clip."""
        rows = self.table("manifest.parquet")
        check_manifest(self.where, rows["clip_id"].to_pylist(), self._revoked())
        return rows

    def _revoked(self) -> Revoked:
        if not self.is_remote:
            return revoked(Path(self.where))
        from pyarrow.fs import FileSelector

        store, base = _opened(self.where)
        found = store.get_file_info(FileSelector(f"{base}/{REVOKED}", allow_not_found=True))
        names = sorted(about.base_name for about in found if about.base_name.endswith(".json"))
        return tombstones(checked((f"{self.where}/{REVOKED}/{n}", self._bytes(f"{REVOKED}/{n}")) for n in names))

    def has(self, name: str) -> bool:
        """Is there a file of this name?"""
        if not self.is_remote:
            return (Path(self.where) / name).is_file()
        store, base = _opened(self.where)
        return bool(store.get_file_info(f"{base}/{name}").is_file)

    def table(self, name: str) -> "pyarrow.Table":
        """The Parquet file of this name, or DatasetError saying what is wrong with it."""
        if not self.is_remote:
            return manifest.read(Path(self.where) / name)
        import pyarrow
        import pyarrow.parquet

        try:
            return pyarrow.parquet.read_table(pyarrow.BufferReader(self._bytes(name)))
        except pyarrow.ArrowInvalid as fault:
            raise DatasetError(f"{self.where}/{name} is damaged: {fault}") from fault

    def shard_sizes(self) -> dict[str, int]:
        """Name → bytes of every file in shards/."""
        if not self.is_remote:
            return {path.name: path.stat().st_size for path in (Path(self.where) / "shards").glob("*.tar")}
        from pyarrow.fs import FileSelector

        store, base = _opened(self.where)
        found = store.get_file_info(FileSelector(f"{base}/shards", allow_not_found=True))
        return {about.base_name: about.size for about in found if about.base_name.endswith(".tar")}

    def read(self, shard: str, offset: int, size: int) -> bytes:
        """Part of a shard; fewer bytes where it ends before. Raises OSError."""
        if not self.is_remote:
            return Place(Path(self.where) / "shards" / shard, offset, size).read()
        store, base = _opened(self.where)
        with store.open_input_file(f"{base}/shards/{shard}") as file:
            return bytes(file.read_at(size, offset))

    def _bytes(self, name: str) -> bytes:
        store, base = _opened(self.where)
        try:
            with store.open_input_stream(f"{base}/{name}") as file:
                return bytes(file.read())
        except OSError as fault:
            raise DatasetError(f"{self.where} is no dataset that can be read: {name}: {fault}") from fault


def _opened(where: str) -> "tuple[pyarrow.fs.FileSystem, str]":
    """The store behind an address and the path in it. Each process opens its own: connections outlive no fork."""
    return _opened_by(where, os.getpid())


@cache
def _opened_by(where: str, process: int) -> "tuple[pyarrow.fs.FileSystem, str]":
    import pyarrow
    from pyarrow.fs import FileSystem

    try:
        store, base = FileSystem.from_uri(where)
    except (pyarrow.ArrowInvalid, OSError) as fault:
        raise UsageError(f"{where} cannot be opened: {fault}") from fault
    return store, base.rstrip("/")
