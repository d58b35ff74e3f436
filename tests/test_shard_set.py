"""Shards and manifest of kept clips: planned, re-used, swapped in, and whole again after a kill at any step.

The ledger is written by hand; what stands in for encoding are bytes made from the clip's id.
"""

import hashlib
import itertools
import json
import os
import random
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hand_made import PIPELINE, Written, face_at_least, make_clip, make_row, make_segment, make_source, rows_of

import vividhead.shard_set as room
from vividhead.chain import Chain
from vividhead.errors import DatasetError, StorageError
from vividhead.manifest import MEMBERS, read
from vividhead.plain import to_plain
from vividhead.policy import Policy
from vividhead.records import Clip, Listed
from vividhead.shard_set import packed_keys, publish_shards, sample_json
from vividhead.shards import END, index, tar_bytes
from vividhead.units import ingest_key, pack_key

EVERY, MOST, SOME, FEW = (face_at_least(px) for px in (100, 130, 150, 170))
"""Policies that keep the clips whose faces are of that height: all ten, seven, five, three."""
LIMIT = 12_000


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MB", LIMIT)
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # a test's power never fails, and this takes long


class Shop(Written):
    """A dataset of ten measured clips with faces of 100, 110, … 190 px."""

    def __init__(self, dataset: Path, **about: Any) -> None:
        pipeline = replace(PIPELINE, pack=replace(PIPELINE.pack, shard_mb=1))
        super().__init__(dataset, make_source(seconds=40.0, **about), pipeline)
        self.clips = [make_clip(self.segment, at, at + 100) for at in range(0, 1000, 100)]
        self.encoded: list[str] = []
        if self.ledger.root.is_dir():
            return
        self.ledger.commit("ingest", ingest_key(self.source.listed, pipeline), {"source": to_plain(self.source)}, {})
        self.scan((0, 1000))
        rows = [row for at, clip in enumerate(self.clips) for row in rows_of(clip, face_px=100 + 10 * at)]
        self.measure(self.clips, rows)

    def run(self, judged_by: Policy) -> None:
        """What the main job does: encode what is neither in a shard nor in the ledger, then publish."""
        chain = self.chain(judged_by)
        for unit in chain.settle_sources(packed_keys(self.dataset, self.pipeline)):
            assert unit.stage == "pack"
            for clip_id in unit.clip_ids:
                self.encode(clip_id)
        publish_shards(self.dataset, chain, kept(chain, self.segment.segment_id))

    def encode(self, clip_id: str) -> None:
        self.encoded.append(clip_id)
        made = members_of(clip_id)
        record = {n: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in made.items()}
        tape = tar_bytes([(f"{clip_id}.{name}", data) for name, data in made.items()])
        self.ledger.commit("pack", pack_key(clip_id, self.pipeline), {"members": record}, {"tar": tape})

    def copy(self, dataset: Path) -> "Shop":
        """The same dataset elsewhere."""
        shutil.copytree(self.dataset, dataset)
        return Shop(dataset)

    def shards(self) -> list[Path]:
        return sorted((self.dataset / "shards").glob("*"))

    def tree(self) -> dict[str, bytes]:
        """The bytes of all that is published."""
        files = [*self.dataset.glob("*.parquet"), *(self.dataset / "shards").rglob("*")]
        return {str(p.relative_to(self.dataset)): p.read_bytes() for p in files if p.is_file()}


def members_of(clip_id: str) -> dict[str, bytes]:
    made = random.Random(clip_id)
    return {name: made.randbytes(made.randrange(100, 2000)) for name in MEMBERS if name != "json"}


def kept(chain: Chain, segment_id: str) -> list[Any]:
    state = chain.segments[segment_id]
    return [(state, clip) for clip in state.clips if chain.decision(state, clip.clip_id).kept]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "dataset")


@pytest.fixture
def afresh(tmp_path: Path) -> Callable[[Policy], dict[str, bytes]]:
    """What a policy gives in a dataset that has seen no other."""

    def published(judged_by: Policy) -> dict[str, bytes]:
        other = Shop(tmp_path / f"afresh-{judged_by.digest}")
        other.run(judged_by)
        return other.tree()

    return published


def stems(shard: Path) -> list[str]:
    with tarfile.open(shard) as tar:
        return list(dict.fromkeys(name.split(".", 1)[0] for name in tar.getnames()))


def test_shards_hold_every_kept_clip_once_and_are_filled_up_to_the_limit(shop: Shop) -> None:
    shop.run(EVERY)
    shards = shop.shards()
    assert len(shards) > 2
    assert [shard.name for shard in shards] == [f"train-{n:06d}.tar" for n in range(len(shards))]
    assert sorted(stem for shard in shards for stem in stems(shard)) == sorted(c.clip_id for c in shop.clips)
    assert all(shard.stat().st_size <= LIMIT for shard in shards)
    for shard, following in itertools.pairwise(shards):
        with tarfile.open(following) as tar:
            first = [m for m in tar.getmembers() if m.name.startswith(stems(following)[0])]
        size = sum(room.tar_size(m.size) for m in first)
        assert shard.stat().st_size + size > LIMIT, "the next clip would have fitted"


def test_a_clip_larger_than_a_shard_gets_one_of_its_own(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MB", 100)
    shop.run(EVERY)
    assert [len(stems(shard)) for shard in shop.shards()] == [1] * 10


def test_clips_are_shuffled_by_the_seed_alone(shop: Shop, tmp_path: Path) -> None:
    shop.run(EVERY)
    order = [stem for shard in shop.shards() for stem in stems(shard)]
    assert order != [clip.clip_id for clip in shop.clips]
    other = Shop(tmp_path / "other")
    other.pipeline = replace(other.pipeline, seed=7)
    other.run(EVERY)
    assert [stem for shard in other.shards() for stem in stems(shard)] not in (order, sorted(order))


def test_the_manifest_points_at_every_members_bytes(shop: Shop) -> None:
    shop.run(SOME)
    rows = read(shop.dataset / "manifest.parquet").to_pylist()
    assert {row["clip_id"] for row in rows} == {clip.clip_id for clip in shop.clips[5:]}
    for row in rows:
        shard = (shop.dataset / "shards" / row["shard"]).read_bytes()
        assert (row["shard_bytes"], row["shard_sha256"]) == (len(shard), hashlib.sha256(shard).hexdigest())
        found = {m: shard[row[f"{m}_offset"] : row[f"{m}_offset"] + row[f"{m}_bytes"]] for m in MEMBERS}
        assert {m: hashlib.sha256(data).hexdigest() for m, data in found.items()} == {
            m: row[f"{m}_sha256"] for m in MEMBERS
        }
        about = json.loads(found.pop("json"))
        assert found == members_of(row["clip_id"])
        assert about["clip_id"] == row["clip_id"]
        assert about["scores"]["framing"]["face_height_px_in_source"] == row["framing.face_height_px_in_source"]


def test_once_published_the_fragments_leave_the_ledger_and_nothing_is_left_lying(shop: Shop) -> None:
    shop.run(EVERY)
    assert list((shop.dataset / "ledger" / "pack").glob("*.tar")) == []
    assert not (shop.dataset / "shards" / "new").exists()
    assert len(packed_keys(shop.dataset, shop.pipeline)) == 10


def test_publishing_again_touches_nothing(shop: Shop) -> None:
    shop.run(EVERY)
    files = [*shop.shards(), shop.dataset / "manifest.parquet"]
    before = [(p.stat().st_ino, p.stat().st_mtime_ns) for p in files]
    shop.run(EVERY)
    assert [(p.stat().st_ino, p.stat().st_mtime_ns) for p in files] == before
    assert len(shop.encoded) == 10


def test_shards_that_a_new_policy_leaves_as_they_are_are_not_touched(shop: Shop) -> None:
    """Only the clip drawn last is dropped: all shards but the last stay the same files."""
    shop.run(EVERY)
    before = {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in shop.shards()}
    last = stems(shop.shards()[-1])[-1]
    chain = shop.chain(EVERY)
    chain.settle_sources(packed_keys(shop.dataset, shop.pipeline))
    rest = [(state, clip) for state, clip in kept(chain, shop.segment.segment_id) if clip.clip_id != last]
    publish_shards(shop.dataset, chain, rest)
    after = {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in shop.shards()}
    *same, changed = sorted(before)
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert after.get(changed) != before[changed]


@pytest.mark.parametrize(("first", "second"), [(EVERY, SOME), (SOME, EVERY), (EVERY, FEW)])
def test_a_changed_policy_uses_the_members_of_the_old_shards_again(
    shop: Shop, afresh: Callable[[Policy], dict[str, bytes]], first: Policy, second: Policy
) -> None:
    shop.run(first)
    shop.run(second)
    assert shop.tree() == afresh(second)
    assert len(shop.encoded) == len(set(shop.encoded)), "no clip is encoded twice"


def test_a_policy_that_keeps_nothing_leaves_an_empty_manifest_and_no_shard(shop: Shop) -> None:
    shop.run(SOME)
    shop.run(face_at_least(1000))
    assert shop.shards() == []
    assert read(shop.dataset / "manifest.parquet").num_rows == 0


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


@contextmanager
def killed_at(step: int) -> Iterator[list[str]]:
    """Stop dead before the `step`-th change to the file system; the list tells the changes made before."""
    made: list[str] = []

    def watched(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any, **named: Any) -> Any:
            if name != "open" or "wb" in given:
                if len(made) == step:
                    raise Killed
                made.append(name)
            return work(*given, **named)

        return run

    with pytest.MonkeyPatch.context() as patch:
        for name in ("replace", "unlink", "rmdir", "mkdir", "open"):
            patch.setattr(Path, name, watched(name, getattr(Path, name)))
        patch.setattr(os, "fsync", watched("fsync", os.fsync))
        yield made


def steps_of(shop: Shop, judged_by: Policy) -> int:
    with killed_at(10**9) as made:
        shop.run(judged_by)
    return len(made)


@pytest.mark.parametrize(
    ("before", "killed", "then"),
    [
        (EVERY, SOME, SOME), (EVERY, SOME, MOST), (EVERY, SOME, EVERY), (SOME, EVERY, EVERY), (SOME, EVERY, FEW),
        (None, SOME, SOME),
    ],
    ids=["shrinking", "shrinking-then-other", "shrinking-then-back", "growing", "growing-then-other", "first"],
)  # fmt: skip
def test_killed_between_any_two_steps_the_next_run_gives_the_same_bytes(
    shop: Shop, tmp_path: Path, afresh: Callable[[Policy], dict[str, bytes]],
    before: Policy | None, killed: Policy, then: Policy,
) -> None:  # fmt: skip
    """One policy's clips are published; a run with another is killed; the next run may want others again."""
    if before is not None:
        shop.run(before)
    for unit in shop.chain(killed).settle_sources(packed_keys(shop.dataset, shop.pipeline)):
        for clip_id in unit.clip_ids:
            shop.encode(clip_id)
    steps, expected = steps_of(shop.copy(tmp_path / "trial"), killed), afresh(then)
    assert steps > 15
    is_subset = then.rules[0].min >= killed.rules[0].min  # type: ignore[operator]
    for step in range(steps):
        other = shop.copy(tmp_path / f"killed-{step}")
        with killed_at(step), pytest.raises(Killed):
            other.run(killed)
        other.run(then)
        assert other.tree() == expected, f"killed at step {step}"
        assert other.encoded == [] or not is_subset, "what is kept both times needs no encoding"


def test_a_manifest_is_only_there_while_its_shards_are(shop: Shop, tmp_path: Path) -> None:
    shop.run(EVERY)
    steps = steps_of(shop.copy(tmp_path / "trial"), SOME)
    without = 0
    for step in range(steps):
        other = shop.copy(tmp_path / f"killed-{step}")
        with killed_at(step), pytest.raises(Killed):
            other.run(SOME)
        if (other.dataset / "manifest.parquet").is_file():
            check_manifest(other)
        else:
            without += 1
    assert 0 < without < steps


def check_manifest(shop: Shop) -> None:
    for row in read(shop.dataset / "manifest.parquet").to_pylist():
        shard = (shop.dataset / "shards" / row["shard"]).read_bytes()
        assert hashlib.sha256(shard).hexdigest() == row["shard_sha256"]


def damage(shard: Path, member: str) -> str:
    """Flip one bit in the middle of the first such member; returns the clip's id."""
    name, place = next((n, p) for n, p in index([shard]).items() if n.endswith(member))
    data = bytearray(shard.read_bytes())
    data[place.offset + place.size // 2] ^= 1
    shard.write_bytes(data)
    return name.split(".", 1)[0]


@pytest.mark.parametrize("member", [".mp4", ".flac", ".landmarks.npz"])
def test_a_damaged_member_is_noticed_and_encoded_anew_by_the_next_run(shop: Shop, member: str) -> None:
    shop.run(EVERY)
    before = shop.tree()
    clip_id = damage(shop.shards()[1], member)
    shop.encoded.clear()
    with pytest.raises(DatasetError, match=f"1 clips of .*shards are damaged.*{clip_id}.*run the same command again"):
        shop.run(EVERY)
    shop.run(EVERY)
    assert shop.encoded == [clip_id]
    assert shop.tree() == before


def test_damaged_json_is_written_anew_without_encoding(shop: Shop) -> None:
    shop.run(EVERY)
    before = shop.tree()
    damage(shop.shards()[0], ".json")
    shop.run(EVERY)
    assert shop.tree() == before and len(shop.encoded) == 10


def test_a_shard_that_lost_its_end_or_its_whole_self_is_made_again(shop: Shop) -> None:
    shop.run(EVERY)
    before = shop.tree()
    first, second, *_ = shop.shards()
    first.write_bytes(first.read_bytes()[: -len(END)])
    second.unlink()
    shop.run(EVERY)
    assert shop.tree() == before


def test_a_full_disk_is_told_and_leaves_the_old_dataset(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.run(EVERY)
    before = shop.tree()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="the disk is full"):
            shop.run(SOME)
    published = {name: data for name, data in shop.tree().items() if "/new/" not in name}
    assert published == before


def test_the_json_member_says_where_the_clip_is_from_and_what_was_measured() -> None:
    source = make_source(listed=Listed(uri="a.mp4", licence="CC0", attributes={"city": "Köln"}))
    clip: Clip = make_clip(make_segment(source), 100, 200)
    rows = {row.score: row for row in rows_of(clip)}
    text = sample_json(source, clip, rows)
    assert text == sample_json(source, clip, dict(reversed(rows.items())))
    assert json.loads(text) == {
        "clip_id": clip.clip_id,
        "source": {
            "source_id": source.source_id, "uri": "a.mp4", "licence": "CC0", "attributes": {"city": "Köln"},
        },
        "start_s_in_source": 4.0, "end_s_in_source": 8.0, "n_frames": 100, "fps": 25, "audio_rate_hz": 16000,
        "crop_xyxy_px": [100, 0, 612, 512],
        "scores": {name: dict(row.values) for name, row in rows.items()},
    }  # fmt: skip


def test_file_names_that_are_no_utf8_do_not_stop_a_run(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "dataset", listed=Listed(uri="caf\udce9.mp4", attributes={"r\udcff": "\udcfe"}))
    shop.run(FEW)
    (row, *_) = read(shop.dataset / "manifest.parquet").to_pylist()
    assert row["uri"] == "caf\\udce9.mp4"
    assert row["attributes"] == [("r\\udcff", "\\udcfe")]
    shard = (shop.dataset / "shards" / row["shard"]).read_bytes()
    about = json.loads(shard[row["json_offset"] : row["json_offset"] + row["json_bytes"]])
    assert about["source"]["uri"] == "caf\udce9.mp4"


def test_scores_that_the_pipeline_does_not_take_are_not_published(shop: Shop) -> None:
    shop.run(FEW)
    before = shop.tree()
    clip = shop.clips[-1]
    rows = [row for at, c in enumerate(shop.clips) for row in rows_of(c, face_px=100 + 10 * at)]
    shop.measure(shop.clips, [*rows, make_row(clip, "speech", speech_fraction=1.0, longest_gap_s=0.0)])
    shop.run(FEW)
    assert shop.tree() == before
