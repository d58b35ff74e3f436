"""Deterministic tar shards: any tar program opens them, WebDataset streams them, and offsets give random access.

A sample is the run of members that share a stem: `<clip_id>.mp4 .flac .landmarks.npz .json`. Every member's header
is written here (no time, no owner), so the same members give the same bytes.
"""

import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

BLOCK = 512


@dataclass(frozen=True, slots=True)
class Place:
    """Where a member's bytes lie: shard file, offset of the first byte, length."""

    shard: Path
    offset: int
    size: int

    def read(self) -> bytes:
        """The member's bytes."""
        with self.shard.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o644, 0
    return info.tobuf(tarfile.USTAR_FORMAT)


def tar_size(size: int) -> int:
    """Bytes a member of `size` bytes takes in a shard, header and padding included."""
    return BLOCK + -(-size // BLOCK) * BLOCK


def tar_bytes(members: Iterable[tuple[str, bytes]]) -> bytes:
    """The members as tar blocks, without the closing zero blocks: such fragments can be joined."""
    out = io.BytesIO()
    for name, data in members:
        out.write(_header(name, len(data)))
        out.write(data)
        out.write(b"\0" * (-len(data) % BLOCK))
    return out.getvalue()


END = b"\0" * (2 * BLOCK)
"""Closes a tar file."""


def places(shard: Path) -> Iterator[tuple[str, Place]]:
    """Walk the members of a shard or fragment by their headers alone."""
    with shard.open("rb") as file:
        while True:
            header = file.read(BLOCK)
            if len(header) < BLOCK or header == b"\0" * BLOCK:
                return
            info = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
            offset = file.tell()
            yield info.name, Place(shard, offset, info.size)
            file.seek(offset + -(-info.size // BLOCK) * BLOCK)


def index(paths: Iterable[Path]) -> dict[str, Place]:
    """Member name → place over many shards; damaged tails end a shard's listing."""
    found: dict[str, Place] = {}
    for path in paths:
        try:
            found.update(places(path))
        except tarfile.TarError:
            continue  # a torn file offers no more members; what is missing is encoded again
    return found


def verified(place: Place, expected: Mapping[str, object]) -> bytes | None:
    """The member's bytes when size and sha256 are as expected, else None."""
    if place.size != expected["bytes"]:
        return None
    data = place.read()
    return data if hashlib.sha256(data).hexdigest() == expected["sha256"] else None
