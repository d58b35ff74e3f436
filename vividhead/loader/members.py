"""The media of clips: read by offset, checked against the manifest, held in memory up to so many bytes."""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vividhead.errors import DatasetError, MediaError
from vividhead.loader.folder import Folder

if TYPE_CHECKING:
    import pyarrow

Members = Mapping[str, bytes]
"""Member → its bytes, e.g. `mp4`."""


class MemberCache:
    """The members last read: those of the block under way, as an order's blocks are as large as this.

    A clip larger than the limit is held alone, as it must be to be decoded.
    """

    def __init__(self, folder: Folder, rows: "pyarrow.Table", names: Sequence[str], limit_bytes: int) -> None:
        """Take the clips' manifest rows, the members wanted of them, and how much may be held."""
        self._folder, self._rows, self._names, self._limit = folder, rows, tuple(names), limit_bytes
        self._held: OrderedDict[int, Members] = OrderedDict()
        self.held_bytes = 0

    def members(self, clip: int) -> Members:
        """The members of the clip in this row, or MediaError saying which one is not as the manifest has it."""
        if clip in self._held:
            return self._held[clip]
        row = self._rows.slice(clip, 1).to_pylist()[0]
        self._make_room(sum(row[f"{name}_bytes"] for name in self._names))
        self._held[clip] = {name: self._checked(row, name) for name in self._names}
        self.held_bytes += _size(self._held[clip])
        return self._held[clip]

    def _make_room(self, size: int) -> None:
        while self._held and self.held_bytes + size > self._limit:
            _, dropped = self._held.popitem(last=False)
            self.held_bytes -= _size(dropped)

    def _checked(self, row: Mapping[str, Any], name: str) -> bytes:
        shard = row["shard"]
        try:
            data = self._folder.read(shard, row[f"{name}_offset"], row[f"{name}_bytes"])
        except OSError as fault:
            raise MediaError("member.unreadable", f"shards/{shard}: .{name}: {fault.strerror or fault}") from fault
        if hashlib.sha256(data).hexdigest() != row[f"{name}_sha256"]:
            where = f"shards/{shard} at byte {row[f'{name}_offset']}"
            raise MediaError("member.digest", f"{where}: .{name} is not as the manifest has it")
        return data


def _size(members: Members) -> int:
    return sum(len(data) for data in members.values())


CURATE_AGAIN = "run `vividhead curate` again with the same arguments to make it anew"


def check_shards(folder: Folder, rows: "pyarrow.Table", remedy: str = CURATE_AGAIN) -> None:
    """Raise DatasetError where a shard is missing or has another size than the manifest says."""
    there = folder.shard_sizes()
    named = dict(zip(rows["shard"].to_pylist(), rows["shard_bytes"].to_pylist(), strict=True))
    for name, size in sorted(named.items()):
        if "/" in name or not name.endswith(".tar"):
            raise DatasetError(f"the manifest of {folder.where} names the shard {name!r}, which leaves its folder")
        if there.get(name) != size:
            what = f"has {there[name]} bytes" if name in there else "is missing"
            raise DatasetError(
                f"{folder.where}/shards/{name} {what}, the manifest says {size}; copy it again, or {remedy}"
            )
