"""Tables that grow row by row and are larger than memory: the bytes are those of all rows written at once.

Rows become Arrow batches, which wait in a nameless file beside the table; at the end they are written as Parquet, one
row group at a time, and the table gets its name when it is whole.
"""

import filecmp
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from vividhead.ledger import storage_error, sync_folder
from vividhead.manifest import ROWS_OF_A_GROUP, Column, schema, table

if TYPE_CHECKING:
    import pyarrow

ROWS_AT_ONCE = 2048


class Rows:
    """Rows of one table, waiting on the disk beside where it will be."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        """Rows will have these columns; what stands at `path` stays."""
        import pyarrow as pa

        self._path, self._columns = path, columns
        self._rows: list[Mapping[str, Any]] = []
        with told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._spill: IO[bytes] = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115 - closed on leaving
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._batches = pa.ipc.new_stream(self._spill, schema(columns), options=options)

    def add(self, row: Mapping[str, Any]) -> None:
        """One more row: column name → plain value; what is left out is null."""
        self._rows.append(row)
        if len(self._rows) == ROWS_AT_ONCE:
            self._fold()

    def _fold(self) -> None:
        with told(self._path):
            self._batches.write_table(table(self._columns, self._rows))
        self._rows.clear()

    def read(self) -> "pyarrow.Table":
        """All rows so far, in memory. Nothing may be added after."""
        import pyarrow as pa

        return pa.Table.from_batches(self._all(), schema(self._columns))

    def _all(self) -> "Iterator[pyarrow.RecordBatch]":
        import pyarrow as pa

        if self._rows:
            self._fold()
        with told(self._path):
            self._batches.close()
            self._spill.seek(0)
        yield from pa.ipc.open_stream(self._spill)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # what it could not write has been told, and is of no use any more
            self._spill.close()


class Sheet(Rows):
    """One table on its way to the disk. Leaving it without an error puts the table in its place."""

    def __init__(self, path: Path, columns: Sequence[Column], before_change: Callable[[], None] | None = None) -> None:
        """`before_change` is called before a table comes where none or another one stands."""
        super().__init__(path, columns)
        self._before_change = before_change

    def _groups(self) -> "Iterator[pyarrow.Table]":
        """The rows in row groups, each in one piece, as a table made at once would be written; one at least."""
        import pyarrow as pa

        waiting: list[pa.RecordBatch] = []
        count = 0
        for batch in self._all():
            while count + len(batch) > ROWS_OF_A_GROUP:
                waiting.append(batch.slice(0, ROWS_OF_A_GROUP - count))
                batch = batch.slice(ROWS_OF_A_GROUP - count)
                yield pa.Table.from_batches(waiting, schema(self._columns)).combine_chunks()
                waiting, count = [], 0
            waiting.append(batch)
            count += len(batch)
        yield pa.Table.from_batches(waiting, schema(self._columns)).combine_chunks()

    def _write(self) -> None:
        import pyarrow.parquet

        part = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        try:
            with told(self._path), part.open("wb") as file:
                with pyarrow.parquet.ParquetWriter(file, schema(self._columns), compression="zstd") as writer:
                    for group in self._groups():
                        writer.write_table(group)
                file.flush()
                os.fsync(file.fileno())
            with told(self._path):
                same = self._path.is_file() and filecmp.cmp(part, self._path, shallow=False)
                if self._before_change is not None and not same:
                    self._before_change()
                part.replace(self._path)
                sync_folder(self._path.parent)
        finally:
            part.unlink(missing_ok=True)

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._write()
        finally:
            super().__exit__(kind, fault, trace)


@contextmanager
def told(path: Path) -> Iterator[None]:
    """A full disk is told as such, naming the table."""
    try:
        yield
    except OSError as fault:
        raise storage_error(fault, path) from fault
