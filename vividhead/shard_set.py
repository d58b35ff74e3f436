"""The shards of the kept clips and the manifest that points into them: planned, written whole, then swapped in.

    plan ─▶ shards that differ, whole, in shards/new/ ─▶ manifest.parquet goes ─▶ swap ─▶ manifest.parquet comes ─▶
    drop encoded fragments from the ledger. Killed anywhere, the next run finds every member by its tar header.

Files in shards/new/ are named by what they hold, so that no file is ever replaced by one of other members while a
member may still have to be read from it.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vividhead import score
from vividhead.chain import Chain, SegmentState, pack_key
from vividhead.errors import DatasetError
from vividhead.ledger import Ledger, storage_error, sync_folder, write_atomically
from vividhead.manifest import MANIFEST, MEMBERS, Column, clip_row, parquet, score_columns, table
from vividhead.pipeline import Pipeline
from vividhead.plain import to_plain
from vividhead.records import GRID_FPS, SAMPLE_RATE_HZ, Clip, Measurement, Source
from vividhead.revoked import Tombstone
from vividhead.shards import BLOCK, END, Place, index, tar_bytes, tar_size, verified

MB = 1_000_000


def packed_keys(dataset: Path, pipeline: Pipeline) -> set[str]:
    """Pack keys of clips whose members lie in a shard already, so that they need no encoding."""
    ledger = Ledger(dataset)
    found = index(_shards(dataset))
    keys = set()
    for stem in {name.split(".", 1)[0] for name in found}:
        record = ledger.read("pack", pack_key(stem, pipeline))
        members = record.get("members") if record is not None else None
        sizes = {m: found[f"{stem}.{m}"].size for m in MEMBERS if f"{stem}.{m}" in found}
        if members and all(sizes.get(m) == about["bytes"] for m, about in members.items()):
            keys.add(pack_key(stem, pipeline))
    return keys


def _shards(dataset: Path) -> list[Path]:
    return sorted((dataset / "shards").glob("*.tar")) + sorted((dataset / "shards" / "new").glob("*.tar"))


def sample_json(source: Source, clip: Clip, rows: Mapping[str, Measurement]) -> bytes:
    """The clip's `.json` member: where it is from, how it was cut, what was measured."""
    listed = to_plain(source.listed)
    text = {
        "clip_id": clip.clip_id,
        "source": {"source_id": source.source_id, **{k: v for k, v in listed.items() if v not in (None, {})}},
        "start_s_in_source": clip.start_s_in_source,
        "end_s_in_source": clip.end_s_in_source,
        "n_frames": clip.n_frames,
        "fps": GRID_FPS,
        "audio_rate_hz": SAMPLE_RATE_HZ,
        "crop_xyxy_px": list(clip.crop_xyxy_px),
        "scores": {name: dict(row.values) for name, row in sorted(rows.items())},
    }
    texts = {name: dict(row.texts) for name, row in sorted(rows.items()) if row.texts}
    text |= {"texts": texts} if texts else {}
    return json.dumps(text, ensure_ascii=False, sort_keys=True, indent=1).encode(errors="backslashreplace") + b"\n"


@dataclass(frozen=True, slots=True)
class _Sample:
    """A kept clip on its way into a shard: its members' sizes and digests, and the JSON made anew."""

    state: SegmentState
    clip: Clip
    members: Mapping[str, Mapping[str, Any]]
    json_text: bytes

    @property
    def clip_id(self) -> str:
        return self.clip.clip_id

    @property
    def tar_bytes(self) -> int:
        return sum(tar_size(m["bytes"]) for m in self.members.values())


def publish_shards(dataset: Path, chain: Chain, kept: Sequence[tuple[SegmentState, Clip]]) -> None:
    """Write the shards that differ from those there, swap them in, then the manifest, then drop what is left over."""
    pipeline, ledger = chain.job.pipeline, chain.ledger
    samples: list[_Sample | Tombstone] = [_sample(ledger, pipeline, s, c) for s, c in kept]
    samples += [stone for stone in chain.revoked.clips if stone.tar_bytes]
    samples.sort(key=lambda s: _draw(pipeline.seed, s.clip_id))
    folder = dataset / "shards"
    paths, planned = [], []
    for number, planned_group in enumerate(_plan(samples, pipeline.pack.shard_mb * MB)):
        group = [sample for sample in planned_group if isinstance(sample, _Sample)]
        if group:  # else all that was in it is revoked: the others keep their numbers
            paths.append(folder / f"{pipeline.pack.shard_prefix}-{number:06d}.tar")
            planned.append(group)
    stale = [not _is_already(path, group) for path, group in zip(paths, planned, strict=True)]
    fresh = {
        path: folder / "new" / f"{_digest(group)}.tar"
        for path, group, is_stale in zip(paths, planned, stale, strict=True)
        if is_stale
    }
    if fresh:
        found = index([*_shards(dataset), *(ledger.root / "pack").glob("*.tar")])
        groups = dict(zip(paths, planned, strict=True))
        _check_members([sample for path in fresh for sample in groups[path]], found, chain)
        for path, new in fresh.items():
            _write_shard(new, groups[path], found)
    rows: list[dict[str, Any]] = []
    for path, group in zip(paths, planned, strict=True):
        rows += _manifest_rows(path.name, fresh.get(path, path), group)
    made = table(_manifest_columns(pipeline), rows)
    if chain.revoked.seal:
        made = made.replace_schema_metadata({**(made.schema.metadata or {}), **chain.revoked.seal})
    _swap_in(dataset, paths, fresh, parquet(made))
    for path in (ledger.root / "pack").glob("*.tar"):
        path.unlink()


def _swap_in(dataset: Path, paths: Sequence[Path], fresh: Mapping[Path, Path], manifest: bytes) -> None:
    """Replace shards while no manifest points at them; without a change the manifest is not touched."""
    folder, old = dataset / "shards", dataset / "manifest.parquet"
    surplus = [path for path in folder.glob("*.tar") if path not in paths]
    left = [path for path in (folder / "new").glob("*") if path not in fresh.values()]
    try:
        if fresh or surplus or not old.is_file() or old.read_bytes() != manifest:
            old.unlink(missing_ok=True)
            for path, new in fresh.items():
                new.replace(path)
            for path in surplus:
                path.unlink()
            if folder.is_dir():
                sync_folder(folder)
            write_atomically(old, manifest)
        for path in left:
            path.unlink()
        if (folder / "new").is_dir():
            (folder / "new").rmdir()
    except OSError as fault:
        raise storage_error(fault, folder) from fault


def _digest(group: Sequence[_Sample]) -> str:
    """Of the members of a shard, their order and bytes."""
    content = [[s.clip.clip_id, [s.members[m]["sha256"] for m in MEMBERS]] for s in group]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _draw(seed: int, clip_id: str) -> str:
    """Shuffles clips over shards, always alike: trainers read neighbours that are strangers."""
    return hashlib.sha256(f"{seed}:{clip_id}".encode()).hexdigest()


def _sample(ledger: Ledger, pipeline: Pipeline, state: SegmentState, clip: Clip) -> _Sample:
    record = ledger.read("pack", pack_key(clip.clip_id, pipeline))
    assert record is not None, "a kept clip is packed before it is published"
    rows = {name: state.rows[clip.clip_id][name] for name in pipeline.measure.scores}
    text = sample_json(state.source, clip, rows)
    about = {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}
    return _Sample(state, clip, {**record["members"], "json": about}, text)


def _plan(samples: "Sequence[_Sample | Tombstone]", limit: int) -> "list[list[_Sample | Tombstone]]":
    """Fill shards in order; one that would pass `limit` bytes is closed before. What was revoked keeps its room."""
    groups: list[list[_Sample | Tombstone]] = []
    used = 0
    for sample in samples:
        if not groups or used + sample.tar_bytes > limit:
            groups.append([])
            used = len(END)
        groups[-1].append(sample)
        used += sample.tar_bytes
    return groups


def _is_already(path: Path, group: Sequence[_Sample]) -> bool:
    """Does the shard at `path` hold just this group, in this order, with these bytes?"""
    if not path.is_file() or path.stat().st_size != sum(s.tar_bytes for s in group) + len(END):
        return False
    expected = [(f"{s.clip.clip_id}.{m}", s.members[m]) for s in group for m in MEMBERS]
    there = list(index([path]).items())
    if [name for name, _ in there] != [name for name, _ in expected]:
        return False
    return all(verified(place, about) is not None for (_, place), (_, about) in zip(there, expected, strict=True))


def _write_shard(path: Path, group: Sequence[_Sample], found: Mapping[str, Place]) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as out:
            for sample in group:
                for member in MEMBERS:
                    name = f"{sample.clip.clip_id}.{member}"
                    data = sample.json_text if member == "json" else found[name].read()
                    out.write(tar_bytes([(name, data)]))
            out.write(END)
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    except OSError as fault:
        raise storage_error(fault, path) from fault


def _check_members(samples: Sequence[_Sample], found: Mapping[str, Place], chain: Chain) -> None:
    """Every member must be at hand as it was encoded; of one that is not, the encoding is taken back."""
    lost = [
        s.clip.clip_id
        for s in samples
        for member in MEMBERS
        if member != "json" and not _at_hand(found, f"{s.clip.clip_id}.{member}", s.members[member])
    ]
    for clip_id in set(lost):
        chain.ledger.forget("pack", pack_key(clip_id, chain.job.pipeline))
    if lost:
        raise DatasetError(
            f"{len(set(lost))} clips of {chain.job.dataset}/shards are damaged or gone, {lost[0]} first; "
            "run the same command again: it encodes them anew"
        )


def _at_hand(found: Mapping[str, Place], name: str, about: Mapping[str, Any]) -> bool:
    return name in found and verified(found[name], about) is not None


def _manifest_columns(pipeline: Pipeline) -> tuple[Column, ...]:
    scores = (
        column for name in pipeline.measure.scores for column in score_columns(score.score_class(name), f"{name}.")
    )
    return (*MANIFEST, *scores)


def _manifest_rows(name: str, shard: Path, group: Sequence[_Sample]) -> list[dict[str, Any]]:
    """The rows of the clips in `shard`, which is or will be called `name`."""
    digest = hashlib.sha256()
    with shard.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    about_shard = {"shard": name, "shard_bytes": shard.stat().st_size, "shard_sha256": digest.hexdigest()}
    rows = []
    offset = 0
    for sample in group:
        row = {**to_plain(sample.state.source.listed), **clip_row(sample.clip), **about_shard}
        row["n_frames"] = sample.clip.n_frames
        for member in MEMBERS:
            about = sample.members[member]
            row |= {
                f"{member}_offset": offset + BLOCK,
                f"{member}_bytes": about["bytes"],
                f"{member}_sha256": about["sha256"],
            }
            offset += tar_size(about["bytes"])
        for score_name, measured in sample.state.rows[sample.clip.clip_id].items():
            row |= {f"{score_name}.{f}": value for f, value in {**measured.values, **measured.texts}.items()}
        rows.append(row)
    return rows
