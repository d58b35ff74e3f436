"""A dataset's tables as columns, from a local folder or an object store: what every auditor's verb reads.

Only the columns asked for are read, so that three million clips fit: see `vividhead bench audit`.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet
from pyarrow import compute

from vividhead.dataset import check_schema, read_run
from vividhead.errors import DatasetError, UsageError
from vividhead.revoked import FOLDER as REVOKED
from vividhead.revoked import Revoked, checked, tombstones

BUFFER_BYTES = 1 << 20
"""Read at a time of each column of a local table."""
TABLE_NAMES = ("sources", "segments", "clips", "manifest")


class Tables:
    """The tables of one dataset, read only. `where` is a folder or an address such as s3://bucket/dataset."""

    def __init__(self, where: str | Path) -> None:
        """Open the dataset; raises DatasetError where there is none or one of another schema version, UsageError for
        an address no one can open."""
        self.where = str(where)
        self.folder: Path | None = None
        """The local folder, or None for an object store, which is only read."""
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", self.where):
            self._store, self._base = _opened(self.where)
            self.run = self._run()
        else:
            self.folder = Path(where)
            self._store, self._base = pa.fs.LocalFileSystem(), str(self.folder.absolute())
            self.run = read_run(self.folder)
        check_schema(self.run, self.where)

    @property
    def digest(self) -> str:
        """Of the filters that the dataset was judged by last."""
        return str(self.run["filters"]["digest"])

    def _run(self) -> dict[str, Any]:
        try:
            with self._store.open_input_stream(f"{self._base}/run.toml") as file:
                return tomllib.loads(bytes(file.read()).decode())
        except OSError as fault:
            raise DatasetError(f"{self.where} is no dataset that can be read: run.toml: {fault}") from fault
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
            raise DatasetError(f"{self.where}/run.toml is damaged: {fault}") from fault

    def place(self, name: str) -> str:
        """Path of a table within the dataset: of `clips`, `decisions/<digest>`, `measurements/<score>`."""
        return f"{name}.parquet" if name in TABLE_NAMES else f"{name}/{name.split('/')[0]}.parquet"

    def has(self, name: str) -> bool:
        """Is there such a table?"""
        return bool(self._store.get_file_info(f"{self._base}/{self.place(name)}").type == pa.fs.FileType.File)

    def read(self, name: str, columns: Sequence[str] | None = None, coded: Sequence[str] = ()) -> pa.Table:
        """A table, or some of its columns; those `coded` come as dictionaries. DatasetError says what is wrong."""
        path = self.place(name)
        try:
            return pa.parquet.read_table(
                f"{self._base}/{path}", columns=None if columns is None else list(columns),
                read_dictionary=list(coded), filesystem=self._store, use_threads=False,
            )  # fmt: skip
        except FileNotFoundError as fault:
            raise DatasetError(
                f"{self.where}/{path} is missing: no run has come to its end here. Wait for the one at work, or run "
                "`vividhead curate` again with the same arguments to finish"
            ) from fault
        except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as fault:
            raise DatasetError(f"{self.where}/{path} is damaged: {fault}") from fault

    def parts(self, name: str, columns: Sequence[str], rows: int, coded: Sequence[str] = ()) -> Iterator[pa.Table]:
        """Some columns of a table, `rows` rows at a time; those `coded` come as dictionaries."""
        path = f"{self._base}/{self.place(name)}"
        try:
            with pa.parquet.ParquetFile(
                path, filesystem=self._store, read_dictionary=list(coded), buffer_size=BUFFER_BYTES,
                pre_buffer=self.folder is None,  # all at once: few requests, and much memory
            ) as file:  # fmt: skip
                held: list[pa.RecordBatch] = []
                for batch in file.iter_batches(rows, columns=list(columns), use_threads=False):
                    held.append(batch)
                    table = pa.Table.from_batches(held)
                    while len(table) >= rows:
                        yield table.slice(0, rows)
                        table = table.slice(rows)
                    held = table.to_batches()
                if held:
                    yield pa.Table.from_batches(held)
        except (pa.ArrowInvalid, OSError) as fault:
            raise DatasetError(f"{self.where}/{self.place(name)} is missing or damaged: {fault}") from fault

    def stored(self, name: str, column: str) -> list[tuple[object, ...]]:
        """A column as it lies in the file, row group by row group. Equal ones hold equal values, and to see that is an
        order of magnitude quicker than to decode both; those that differ may be equal all the same."""
        path = f"{self._base}/{self.place(name)}"
        found: list[tuple[object, ...]] = []
        try:
            with self._store.open_input_file(path) as file:
                about = pa.parquet.ParquetFile(file).metadata
                paths = [about.schema.column(at).path for at in range(about.num_columns)]
                for group in map(about.row_group, range(about.num_row_groups)):
                    chunk = group.column(paths.index(column))
                    begin = chunk.data_page_offset
                    if chunk.has_dictionary_page:
                        begin = min(begin, chunk.dictionary_page_offset)
                    told = (group.num_rows, chunk.physical_type, chunk.compression, chunk.encodings)
                    found.append((*told, file.read_at(chunk.total_compressed_size, begin)))
        except (pa.ArrowInvalid, OSError) as fault:
            raise DatasetError(f"{self.where}/{self.place(name)} is missing or damaged: {fault}") from fault
        return found

    def row(self, name: str, clip_id: str, near: int) -> dict[str, Any] | None:
        """A clip's row, looked for first where it is row `near`; None where the table has none."""
        return self.rows(name, {near: clip_id}).get(clip_id)

    def rows(self, name: str, wanted: Mapping[int, str]) -> dict[str, dict[str, Any]]:
        """clip_id → row of some clips. Most tables have a clip where clips.parquet has it: `wanted` says in which row.

        Only the row groups that hold one are read whole.
        """
        found: dict[str, dict[str, Any]] = {}
        try:
            with pa.parquet.ParquetFile(f"{self._base}/{self.place(name)}", filesystem=self._store) as file:
                sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
                for group in _likely_first(sizes, wanted):
                    missing = [clip_id for clip_id in wanted.values() if clip_id not in found]
                    if not missing:
                        break
                    ids = file.read_row_group(group, ["clip_id"], use_threads=False)["clip_id"]
                    at = np.flatnonzero(compute.is_in(ids, pa.array(missing, pa.string())).to_numpy())
                    if len(at):
                        rows = file.read_row_group(group, use_threads=False).take(pa.array(at))
                        found |= {row["clip_id"]: row for row in rows.to_pylist(maps_as_pydicts="strict")}
        except (pa.ArrowInvalid, OSError) as fault:
            raise DatasetError(f"{self.where}/{self.place(name)} is missing or damaged: {fault}") from fault
        return found

    def take(self, name: str, columns: Sequence[str], rows: Sequence[int]) -> list[dict[str, Any]]:
        """Some columns of some rows, by number; one column is in memory at a time."""
        at = pa.array(rows, pa.int64())
        found = {column: self.read(name, [column])[column].take(at).to_pylist() for column in columns}
        return [{column: found[column][nth] for column in columns} for nth in range(len(rows))]

    def where_is(self, name: str, column: str, value: str) -> list[dict[str, Any]]:
        """All rows whose `column` holds `value`."""
        table = self.read(name)
        found: list[dict[str, Any]] = table.filter(compute.equal(table[column], value)).to_pylist(
            maps_as_pydicts="strict"
        )
        return found

    def schema(self, name: str) -> pa.Schema:
        """A table's columns, without reading its rows."""
        path = self.place(name)
        try:
            return pa.parquet.read_schema(f"{self._base}/{path}", filesystem=self._store)
        except (pa.ArrowInvalid, OSError) as fault:
            raise DatasetError(f"{self.where}/{path} is missing or damaged: {fault}") from fault

    def text(self, path: str) -> str | None:
        """A small text file of the dataset, or None where there is none."""
        try:
            with self._store.open_input_stream(f"{self._base}/{path}") as file:
                return bytes(file.read()).decode()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as fault:
            raise DatasetError(f"{self.where}/{path} is damaged: {fault}") from fault

    def revoked(self) -> Revoked:
        """The tombstones that the dataset's receipts lay."""
        names = [f"{REVOKED}/{name}" for name in self.names(REVOKED) if name.endswith(".json") and name[0].isdigit()]
        return tombstones(checked((f"{self.where}/{name}", (self.text(name) or "").encode()) for name in names))

    def names(self, folder: str) -> list[str]:
        """What lies in a folder of the dataset, sorted: scores in `measurements`, digests in `decisions`."""
        asked = pa.fs.FileSelector(f"{self._base}/{folder}", allow_not_found=True)
        return sorted(about.base_name for about in self._store.get_file_info(asked))

    def shard_sizes(self) -> dict[str, int]:
        """Name → bytes of every shard."""
        asked = pa.fs.FileSelector(f"{self._base}/shards", allow_not_found=True)
        found = self._store.get_file_info(asked)
        return {about.base_name: about.size for about in found if about.base_name.endswith(".tar")}

    def open_shard(self, name: str) -> pa.NativeFile:
        """A shard to read at offsets; raises OSError."""
        if Path(name).name != name or not name.endswith(".tar"):
            raise DatasetError(f"the manifest of {self.where} names the shard {name!r}, which leaves its folder")
        return self._store.open_input_file(f"{self._base}/shards/{name}")


def _likely_first(sizes: Sequence[int], wanted: Iterable[int]) -> list[int]:
    """Row groups of these sizes, those in which the wanted rows lie first."""
    ends = np.cumsum(sizes)
    likely = set(np.searchsorted(ends, sorted(wanted), side="right").tolist())
    return sorted(range(len(sizes)), key=lambda group: group not in likely)


def _opened(where: str) -> tuple[pa.fs.FileSystem, str]:
    try:
        store, base = pa.fs.FileSystem.from_uri(where)
    except (pa.ArrowInvalid, OSError) as fault:
        raise UsageError(f"{where} cannot be opened: {fault}") from fault
    return store, base.rstrip("/")
