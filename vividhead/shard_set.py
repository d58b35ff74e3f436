"""The shards of the kept clips and the manifest that points into them: planned, written whole, then swapped in.

    plan ─▶ shards that differ, whole, in shards/new/ ─▶ manifest.parquet goes ─▶ swap ─▶ manifest.parquet comes ─▶
    drop encoded fragments from the ledger. Killed anywhere, the next run finds every member by its tar header.

Files in shards/new/ are named by what they hold, so that no file is ever replaced by one of other members while a
member may still have to be read from it.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from vividhead import score
from vividhead.chain import Chain
from vividhead.errors import DatasetError
from vividhead.ledger import Ledger, storage_error, sync_folder, write_atomically
from vividhead.manifest import MANIFEST, MEMBERS, Column, clip_row, parquet, schema, score_columns
from vividhead.pipeline import Pipeline
from vividhead.plain import to_plain
from vividhead.records import GRID_FPS, SAMPLE_RATE_HZ, Clip, Measurement, Source
from vividhead.revoked import Tombstone
from vividhead.segment_state import SegmentState
from vividhead.shards import BLOCK, END, Place, index, tar_bytes, tar_size, verified
from vividhead.sheets import Rows, told
from vividhead.units import pack_key

if TYPE_CHECKING:
    import pyarrow

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
class _Member:
    bytes: int
    sha256: str

    def about(self) -> dict[str, Any]:
        return {"bytes": self.bytes, "sha256": self.sha256}


@dataclass(frozen=True, slots=True)
class _Sample:
    """A kept clip on its way into a shard: its members' sizes and digests, and where what is made anew waits."""

    clip_id: str
    members: tuple[_Member, ...]
    """One for each of `MEMBERS`."""
    row: int
    """Of the waiting manifest."""
    json_at: int
    """Where its `.json` member begins among the waiting ones."""

    @property
    def tar_bytes(self) -> int:
        return sum(tar_size(m.bytes) for m in self.members)

    def of(self, member: str) -> _Member:
        return self.members[MEMBERS.index(member)]


class _Gathered:
    """All kept clips: small in memory, what is long about them on the disk until it is written in the shards' order."""

    def __init__(self, dataset: Path, chain: Chain, kept: Iterable[tuple[SegmentState, Clip]]) -> None:
        self.samples: list[_Sample] = []
        columns = _manifest_columns(chain.job.pipeline)
        self.rows = Rows(dataset / "manifest.parquet", columns)
        with told(dataset):
            self._texts: IO[bytes] = tempfile.TemporaryFile(dir=dataset)  # noqa: SIM115 - closed on leaving
        try:
            for state, clip in kept:
                self._take(chain, state, clip)
        except BaseException:
            self.__exit__()
            raise

    def _take(self, chain: Chain, state: SegmentState, clip: Clip) -> None:
        pipeline = chain.job.pipeline
        record = chain.ledger.read("pack", pack_key(clip.clip_id, pipeline))
        assert record is not None, "a kept clip is packed before it is published"
        measured = state.rows[clip.clip_id]
        text = sample_json(state.source, clip, {name: measured[name] for name in pipeline.measure.scores})
        made = {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}
        abouts = {**record["members"], "json": made}
        members = tuple(_Member(abouts[m]["bytes"], abouts[m]["sha256"]) for m in MEMBERS)
        with told(Path(chain.job.dataset)):
            self.samples.append(_Sample(clip.clip_id, members, len(self.samples), self._texts.tell()))
            self._texts.write(text)
        row = {**to_plain(state.source.listed), **clip_row(clip), "n_frames": clip.n_frames}
        for score_name, scored in measured.items():
            row |= {f"{score_name}.{f}": value for f, value in {**scored.values, **scored.texts}.items()}
        self.rows.add(row)

    def json_text(self, sample: _Sample) -> bytes:
        """The sample's `.json` member."""
        self._texts.seek(sample.json_at)
        return self._texts.read(sample.of("json").bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self._texts.close()
        self.rows.__exit__(None, None, None)


class _Found:
    """Where members' bytes are: encoded fragments in the ledger come before shards."""

    def __init__(self, dataset: Path, chain: Chain) -> None:
        self._ledger, self._pipeline = chain.ledger, chain.job.pipeline
        self._in_shards = index(_shards(dataset))

    def of(self, clip_id: str) -> dict[str, Place]:
        """Member → place, of one clip."""
        names = {f"{clip_id}.{member}": member for member in MEMBERS}
        places = {member: self._in_shards[name] for name, member in names.items() if name in self._in_shards}
        fragment = self._ledger.part("pack", pack_key(clip_id, self._pipeline), "tar")
        if fragment.is_file():
            places |= {names[name]: place for name, place in index([fragment]).items() if name in names}
        return places


def publish_shards(dataset: Path, chain: Chain, kept: Iterable[tuple[SegmentState, Clip]]) -> None:
    """Write the shards that differ from those there, swap them in, then the manifest, then drop what is left over."""
    pipeline, ledger = chain.job.pipeline, chain.ledger
    with _Gathered(dataset, chain, kept) as gathered:
        samples: list[_Sample | Tombstone] = [*gathered.samples]
        samples += [stone for stone in chain.revoked.clips if stone.tar_bytes]
        samples.sort(key=lambda s: _draw(pipeline.seed, s.clip_id))
        folder = dataset / "shards"
        planned: dict[Path, list[_Sample]] = {}
        for number, planned_group in enumerate(_plan(samples, pipeline.pack.shard_mb * MB)):
            group = [sample for sample in planned_group if isinstance(sample, _Sample)]
            if group:  # else all that was in it is revoked: the others keep their numbers
                planned[folder / f"{pipeline.pack.shard_prefix}-{number:06d}.tar"] = group
        fresh = {
            path: folder / "new" / f"{_digest(group)}.tar"
            for path, group in planned.items()
            if not _is_already(path, group)
        }
        if fresh:
            found = _Found(dataset, chain)
            _check_members([sample for path in fresh for sample in planned[path]], found, chain)
            for path, new in fresh.items():
                _write_shard(new, planned[path], found, gathered)
        made = _manifest(gathered, [(path, fresh.get(path, path), group) for path, group in planned.items()], pipeline)
    if chain.revoked.seal:
        made = made.replace_schema_metadata({**(made.schema.metadata or {}), **chain.revoked.seal})
    _swap_in(dataset, list(planned), fresh, parquet(made))
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
    content = [[s.clip_id, [m.sha256 for m in s.members]] for s in group]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _draw(seed: int, clip_id: str) -> str:
    """Shuffles clips over shards, always alike: trainers read neighbours that are strangers."""
    return hashlib.sha256(f"{seed}:{clip_id}".encode()).hexdigest()


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
    expected = [(f"{s.clip_id}.{m}", s.of(m).about()) for s in group for m in MEMBERS]
    there = list(index([path]).items())
    if [name for name, _ in there] != [name for name, _ in expected]:
        return False
    return all(verified(place, about) is not None for (_, place), (_, about) in zip(there, expected, strict=True))


def _write_shard(path: Path, group: Sequence[_Sample], found: _Found, gathered: _Gathered) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as out:
            for sample in group:
                places = found.of(sample.clip_id)
                for member in MEMBERS:
                    data = gathered.json_text(sample) if member == "json" else places[member].read()
                    out.write(tar_bytes([(f"{sample.clip_id}.{member}", data)]))
            out.write(END)
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    except OSError as fault:
        raise storage_error(fault, path) from fault


def _check_members(samples: Sequence[_Sample], found: _Found, chain: Chain) -> None:
    """Every member must be at hand as it was encoded; of one that is not, the encoding is taken back."""
    lost = [sample.clip_id for sample in samples if not _at_hand(sample, found.of(sample.clip_id))]
    for clip_id in lost:
        chain.ledger.forget("pack", pack_key(clip_id, chain.job.pipeline))
    if lost:
        raise DatasetError(
            f"{len(lost)} clips of {chain.job.dataset}/shards are damaged or gone, {lost[0]} first; "
            "run the same command again: it encodes them anew"
        )


def _at_hand(sample: _Sample, places: Mapping[str, Place]) -> bool:
    encoded = [member for member in MEMBERS if member != "json"]
    return all(m in places and verified(places[m], sample.of(m).about()) is not None for m in encoded)


def _manifest_columns(pipeline: Pipeline) -> tuple[Column, ...]:
    scores = (
        column for name in pipeline.measure.scores for column in score_columns(score.score_class(name), f"{name}.")
    )
    return (*MANIFEST, *scores)


def _manifest(
    gathered: _Gathered, shards: Sequence[tuple[Path, Path, Sequence[_Sample]]], pipeline: Pipeline
) -> "pyarrow.Table":
    """The waiting rows in the order of the shards (what each will be called, where it is, what is in it)."""
    import pyarrow as pa

    order: list[int] = []
    more: dict[str, list[Any]] = {name: [] for name in ("shard", "shard_bytes", "shard_sha256")}
    more |= {f"{member}_{what}": [] for member in MEMBERS for what in ("offset", "bytes", "sha256")}
    for path, shard, group in shards:
        about = {"shard": path.name, "shard_bytes": shard.stat().st_size, "shard_sha256": _file_sha256(shard)}
        for name, value in about.items():
            more[name] += [value] * len(group)
        offset = 0
        for sample in group:
            order.append(sample.row)
            for name, member in zip(MEMBERS, sample.members, strict=True):
                more[f"{name}_offset"].append(offset + BLOCK)
                more[f"{name}_bytes"].append(member.bytes)
                more[f"{name}_sha256"].append(member.sha256)
                offset += tar_size(member.bytes)
    columns = schema(_manifest_columns(pipeline))
    rows = gathered.rows.read().combine_chunks().take(pa.array(order, pa.int64())).combine_chunks()
    arrays = [pa.array(more[f.name], f.type) if f.name in more else rows[f.name] for f in columns]
    return pa.table(arrays, schema=columns).combine_chunks()


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
