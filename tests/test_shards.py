"""Tar shards: the same bytes for the same members, opened by anyone's reader."""

import gc
import hashlib
import io
import tarfile
from pathlib import Path

import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st

from vividhead.shards import BLOCK, END, Place, index, places, tar_bytes, tar_size, verified

MEMBERS = [
    ("0a1b.mp4", b"moving pictures" * 100),
    ("0a1b.flac", b"sound"),
    ("0a1b.landmarks.npz", b"x" * BLOCK),
    ("0a1b.json", b'{"clip_id": "0a1b"}\n'),
    ("2c3d.mp4", b""),
    ("2c3d.json", b"{}"),
]


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    path = tmp_path / "train-000000.tar"
    path.write_bytes(tar_bytes(MEMBERS) + END)
    return path


def test_tar_programs_list_and_read_the_members(shard: Path) -> None:
    with tarfile.open(shard) as tar:
        found = [(info.name, tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]
        assert {(i.mtime, i.uid, i.gid, i.uname, i.gname, i.mode) for i in tar} == {(0, 0, 0, "", "", 0o644)}
    assert found == MEMBERS


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_each_clip_as_one_sample(shard: Path) -> None:
    samples = list(webdataset.WebDataset(str(shard), shardshuffle=False))
    gc.collect()  # it leaves the file open: that warning belongs here, not to a later test
    assert [sample["__key__"] for sample in samples] == ["0a1b", "2c3d"]
    assert set(samples[0]) - {"__url__", "__local_path__"} == {"__key__", "mp4", "flac", "landmarks.npz", "json"}
    assert samples[0]["landmarks.npz"] == b"x" * BLOCK
    assert samples[1]["json"] == b"{}"


def test_members_are_read_by_offset_and_size(shard: Path) -> None:
    found = dict(places(shard))
    assert list(found) == [name for name, _ in MEMBERS]
    whole = shard.read_bytes()
    for name, data in MEMBERS:
        place = found[name]
        assert place == Place(shard, place.offset, len(data))
        assert place.read() == whole[place.offset : place.offset + place.size] == data


CONTENT = st.lists(
    st.tuples(st.text("abcdef0123456789", min_size=1, max_size=20), st.binary(max_size=3 * BLOCK)),
    max_size=6, unique_by=lambda member: member[0],
)  # fmt: skip


@given(CONTENT, st.integers(0, 6))
def test_fragments_joined_are_the_shard_made_in_one_go(members: list[tuple[str, bytes]], cut: int) -> None:
    whole = tar_bytes(members)
    assert tar_bytes(members[:cut]) + tar_bytes(members[cut:]) == whole
    assert len(whole) == sum(tar_size(len(data)) for _, data in members)
    with tarfile.open(fileobj=io.BytesIO(whole + END)) as tar:
        assert [(i.name, i.size) for i in tar] == [(name, len(data)) for name, data in members]


def test_the_bytes_are_a_fixed_function_of_the_members() -> None:
    """A shard written today must be found unchanged by every later version."""
    assert hashlib.sha256(tar_bytes(MEMBERS) + END).hexdigest().startswith("4295356903f57de9")


def test_a_fragment_without_its_end_can_be_walked_too(shard: Path) -> None:
    shard.write_bytes(tar_bytes(MEMBERS))
    assert [name for name, _ in places(shard)] == [name for name, _ in MEMBERS]


def test_of_a_damaged_shard_the_members_before_the_damage_are_found(shard: Path) -> None:
    third = dict(places(shard))["0a1b.landmarks.npz"].offset - BLOCK
    data = bytearray(shard.read_bytes())
    data[third + 5] ^= 0xFF
    shard.write_bytes(data)
    assert list(index([shard])) == ["0a1b.mp4", "0a1b.flac"]


def test_of_a_torn_shard_the_members_that_are_there_are_found(shard: Path) -> None:
    offset = dict(places(shard))["0a1b.json"].offset
    shard.write_bytes(shard.read_bytes()[: offset - BLOCK + 100])
    assert list(index([shard])) == ["0a1b.mp4", "0a1b.flac", "0a1b.landmarks.npz"]


def test_of_a_member_in_two_places_the_last_place_counts(shard: Path, tmp_path: Path) -> None:
    fragment = tmp_path / "fragment.tar"
    fragment.write_bytes(tar_bytes([("0a1b.flac", b"newer")]))
    assert index([shard, fragment])["0a1b.flac"].read() == b"newer"


def test_a_member_is_verified_by_size_and_digest(shard: Path) -> None:
    place = dict(places(shard))["0a1b.flac"]
    right = {"bytes": 5, "sha256": hashlib.sha256(b"sound").hexdigest()}
    assert verified(place, right) == b"sound"
    assert verified(place, {**right, "bytes": 4}) is None
    assert verified(place, {**right, "sha256": hashlib.sha256(b"noise").hexdigest()}) is None
