"""The clips of one part of a dataset, as `vividhead split` has parted it."""

from typing import TYPE_CHECKING

from vividhead.errors import DatasetError, UsageError
from vividhead.loader.folder import Folder

if TYPE_CHECKING:
    import pyarrow

TABLE = "splits/splits.parquet"


def kept_from_training(folder: Folder) -> tuple[list[str], list[str]]:
    """Clip ids of the parts val and test; none where the dataset is not split. Raises DatasetError for a damaged one.

    Clips that came after the split are in neither, so `in_split` is to be asked as well where that matters.
    """
    if not folder.has(TABLE):
        return [], []
    rows = folder.table(TABLE)
    parts = list(zip(rows["clip_id"].to_pylist(), rows["split"].to_pylist(), strict=True))
    val, test = ([clip for clip, part in parts if part == name] for name in ("val", "test"))
    return val, test


def in_split(folder: Folder, table: "pyarrow.Table", name: str | None) -> "pyarrow.Table":
    """The manifest's rows in the part `name`; all of them for None.

    Raises DatasetError where there is no split or clips came after it, UsageError for a part that holds none.
    """
    if name is None:
        return table
    from pyarrow import compute

    again = f"run `vividhead split {folder.where}`"
    try:
        parts = folder.table(TABLE)
    except DatasetError as fault:
        raise DatasetError(f"{folder.where} is not split, or {TABLE} is damaged; {again} ({fault})") from fault
    place = compute.index_in(table["clip_id"], parts["clip_id"].combine_chunks())
    if place.null_count:
        raise DatasetError(f"{place.null_count} clips of {folder.where} came after it was split; {again} again")
    chosen = compute.equal(parts["split"].take(place), name)
    if not compute.any(chosen).as_py():
        there = ", ".join(sorted(set(parts["split"].to_pylist())))
        raise UsageError(f"split={name!r} of {folder.where} holds no clip; there are {there}")
    return table.filter(chosen)
