"""`vividhead split`: train, val and test that share no source, near-duplicate, face or voice.

splits/splits.parquet         clip_id, source_id, component, split: a row for each kept clip
splits/<part>.parquet         the same rows, part by part, for those who read files by part; none of an empty part
splits/links.parquet          what joins sources: two clips, the kind of likeness, its distance
splits/prints/<shard>.parquet fingerprints, made once for each clip
splits/split.json             what was asked, and what came of it
"""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from vividhead.audit.splits.assign import SPLITS, Assigned, assigned, ratios_of
from vividhead.audit.splits.links import Link, audio_links, components, embedding_links, same_links, video_links
from vividhead.audit.splits.prints import EMBEDDINGS, PRINTS_VERSION, SCHEMA, print_of, printed
from vividhead.audit.tables import Tables
from vividhead.errors import DatasetError, UsageError
from vividhead.ledger import sole_writer, write_atomically
from vividhead.manifest import parquet

__all__ = ["SplitOptions", "SplitReport", "ratios_of", "split"]

FOLDER = "splits"
VOICE = "voice"
"""No score measures whose voice it is; this column of the source list tells, and equal values join."""
RATIOS = (0.9, 0.05, 0.05)
_ASKED = ["clip_id", "source_id", "duration_s", "n_frames", "shard", "given_id", "attributes"]
_MEMBERS = [f"{m}_{part}" for m in ("mp4", "flac", "landmarks.npz") for part in ("offset", "bytes", "sha256")]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions:
    """What is asked."""

    ratios: tuple[float, ...] | None = None
    """None: those of the earlier split, else `RATIOS`."""
    seed: int | None = None
    """None: that of the earlier split, else 0."""
    face_distance: float = 0.5
    """L2 between two clips' mean embeddings up to which they show one person. dlib's own for single pictures is 0.6, at
    which strangers are joined by chains; means of whole clips lie nearer: one person 0.06 … 0.37 at hand, two 0.55 and
    more."""
    voice_distance: float = 0.5
    same: tuple[str, ...] = ()
    """Attributes of the source list whose equal values keep sources together, e.g. speaker."""
    anew: bool = False
    """Forget an earlier split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitReport:
    """What came of it."""

    seconds: dict[str, float]
    clips: dict[str, int]
    components: int
    largest_share: float
    """Of the kept seconds, in the largest component."""
    links: dict[str, int]
    """Kind → pairs of clips."""
    not_measured: tuple[str, ...]
    """Kinds of likeness that no clip was measured for; voice, unless the source list tells it."""
    damaged: tuple[str, ...] = ()
    """Clips whose media could not be read: kept together with their source alone."""
    moved: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Sources that a merge moved: from, to."""


def split(dataset: str | Path, options: SplitOptions, beat: Callable[[int, int], None] | None = None) -> SplitReport:
    """Write splits/ and return what came of it; `beat` is told how many of how many clips have their prints.

    Raises a VividHeadError that says what is wrong.
    """
    tables = Tables(dataset)
    if tables.folder is None:
        raise UsageError(f"{tables.where}: splits are written beside the dataset; give a local folder")
    rows = tables.read("manifest", [*_ASKED, *_MEMBERS]).to_pylist(maps_as_pydicts="strict")
    if not rows:
        raise DatasetError(f"{tables.where} holds no kept clip to split")
    with sole_writer(tables.folder):
        return _split(tables, tables.folder / FOLDER, rows, options, beat or (lambda done, of: None))


def _split(
    tables: Tables, folder: Path, rows: Sequence[Mapping[str, Any]], options: SplitOptions,
    beat: Callable[[int, int], None],
) -> SplitReport:  # fmt: skip
    ratios, seed = _drawn_by(folder / "split.json", options)
    options = replace(options, ratios=ratios, seed=seed)
    prints = _prints(tables, folder / "prints", rows, beat)
    ids = sorted({row["source_id"] for row in rows})
    place = {source: at for at, source in enumerate(ids)}
    source_N = np.array([place[row["source_id"]] for row in rows])
    links = _links(rows, prints, source_N, options)
    root = components(len(ids), [(int(source_N[link.a]), int(source_N[link.b])) for link in links])
    groups: dict[int, list[str]] = defaultdict(list)
    for at, source in enumerate(ids):
        groups[root[at]].append(source)
    before = {} if options.anew else _before(folder / "splits.parquet")
    found = assigned(list(groups.values()), ratios, seed, before)
    names = {source: f"c-{min(group)[:16]}" for group in groups.values() for source in group}
    report = _report(rows, prints, links, names, found)
    _write(folder, rows, links, names, found, options, report)
    return report


def _drawn_by(path: Path, options: SplitOptions) -> tuple[tuple[float, ...], int]:
    """Ratios and seed to draw by. Raises UsageError where an earlier split was drawn by others: sources that have a
    part keep it, so the new ones would hold for those alone that come now."""
    if options.anew or not path.is_file():
        return options.ratios or RATIOS, options.seed or 0
    try:
        asked = json.loads(path.read_bytes())["asked"]
        ratios, seed = tuple(float(part) for part in asked["ratios"]), int(asked["seed"])
    except (ValueError, KeyError, TypeError) as fault:
        raise DatasetError(f"{path} is damaged ({fault}): give --anew to split all again") from fault
    if (options.ratios or ratios, options.seed if options.seed is not None else seed) != (ratios, seed):
        shares = ",".join(f"{part:g}" for part in ratios)
        raise UsageError(
            f"{path.parent} was drawn by --ratios {shares} --seed {seed}, and its sources stay in their parts: leave "
            "--ratios and --seed out, or give --anew to draw all again (what a model was trained on may become a test)"
        )
    return ratios, seed


def _prints(
    tables: Tables, folder: Path, rows: Sequence[Mapping[str, Any]], beat: Callable[[int, int], None]
) -> list[dict[str, Any]]:
    """Each clip's row of prints, those known read back, the others made and stored shard by shard."""
    by_shard: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_shard[row["shard"]].append(row)
    found: dict[str, dict[str, Any]] = {}
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for shard, kept in sorted(by_shard.items()):
            path = folder / f"{Path(shard).stem}.parquet"
            known = {p["clip_id"]: p for p in (pyarrow.parquet.read_table(path).to_pylist() if path.is_file() else [])}
            lacking = [row for row in kept if not _is_current(known.get(row["clip_id"]), row)]
            for made in pool.map(lambda row: printed(tables, row), lacking):
                known[made["clip_id"]] = made
                beat(len(found) + len(known), len(rows))
            current = [known[row["clip_id"]] for row in kept]
            if lacking or len(known) > len(current):  # prints of clips that are gone are gone too
                write_atomically(path, parquet(pa.Table.from_pylist(current, schema=SCHEMA)))
            found.update((p["clip_id"], p) for p in current)
    for path in folder.glob("*.parquet"):
        if f"{path.stem}.tar" not in by_shard:
            path.unlink()
    return [found[row["clip_id"]] for row in rows]


def _is_current(known: Mapping[str, Any] | None, row: Mapping[str, Any]) -> bool:
    digests = ("mp4_sha256", "flac_sha256")
    return (
        known is not None
        and known["fault"] is None
        and known["version"] == PRINTS_VERSION
        and all(known[name] == row[name] for name in digests)
    )


def _links(
    rows: Sequence[Mapping[str, Any]], prints: Sequence[Mapping[str, Any]], source_N: Any, options: SplitOptions
) -> list[Link]:
    media = [print_of(row) for row in prints]
    links = [*video_links(media, source_N), *audio_links(media, source_N)]
    for kind, most in (("face", options.face_distance), ("voice", options.voice_distance)):
        vectors = {at: np.array(row[kind]) for at, row in enumerate(prints) if row.get(kind)}
        links += embedding_links(kind, vectors, source_N, most)
    told = [VOICE] if any(_voice(row) for row in rows) else []
    for name in dict.fromkeys([*told, *options.same]):
        values = [row["given_id"] if name == "given_id" else row["attributes"].get(name) for row in rows]
        if not any(values):
            there = sorted({key for row in rows for key in row["attributes"]}) or ["none"]
            raise UsageError(f"--same {name}: no kept clip has that attribute; there are {', '.join(there)}")
        links += same_links(name, values, source_N)
    return links


def _voice(row: Mapping[str, Any]) -> str:
    return str(row["attributes"].get(VOICE) or "")


def _before(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    table = pyarrow.parquet.read_table(path, columns=["source_id", "split"])
    return dict(zip(table["source_id"].to_pylist(), table["split"].to_pylist(), strict=True))


def _report(
    rows: Sequence[Mapping[str, Any]], prints: Sequence[Mapping[str, Any]], links: Sequence[Link],
    names: Mapping[str, str], found: Assigned,
) -> SplitReport:  # fmt: skip
    seconds = dict.fromkeys(SPLITS, 0.0)
    clips = dict.fromkeys(SPLITS, 0)
    by_component: dict[str, float] = defaultdict(float)
    for row in rows:
        part = found.split[row["source_id"]]
        seconds[part] += row["duration_s"]
        clips[part] += 1
        by_component[names[row["source_id"]]] += row["duration_s"]
    return SplitReport(
        seconds=seconds, clips=clips, components=len(by_component),
        largest_share=max(by_component.values()) / sum(by_component.values()),
        links=dict(Counter(link.kind for link in links)),
        not_measured=tuple(
            kind
            for kind in EMBEDDINGS
            if not any(row.get(kind) for row in prints) and not (kind == VOICE and any(map(_voice, rows)))
        ),
        damaged=tuple(row["clip_id"] for row in prints if row["fault"]), moved=found.moved,
    )  # fmt: skip


def _write(
    folder: Path, rows: Sequence[Mapping[str, Any]], links: Sequence[Link], names: Mapping[str, str], found: Assigned,
    options: SplitOptions, report: SplitReport,
) -> None:  # fmt: skip
    joined = {
        "kind": [link.kind for link in links],
        "clip_id_a": [rows[link.a]["clip_id"] for link in links],
        "clip_id_b": [rows[link.b]["clip_id"] for link in links],
        "distance": [link.distance for link in links],
    }
    schema = pa.schema(zip(joined, (pa.string(), pa.string(), pa.string(), pa.float64()), strict=True))
    write_atomically(folder / "links.parquet", parquet(pa.table(joined, schema=schema)))
    table = {
        "clip_id": [row["clip_id"] for row in rows],
        "source_id": [row["source_id"] for row in rows],
        "component": [names[row["source_id"]] for row in rows],
        "split": [found.split[row["source_id"]] for row in rows],
    }
    about = {name: getattr(options, name) for name in options.__slots__}
    came = {name: getattr(report, name) for name in report.__slots__}
    text = json.dumps({"asked": about, "came": came}, indent=1, ensure_ascii=False)
    write_atomically(folder / "split.json", text.encode(errors="backslashreplace"))
    made = pa.table(table)
    parts = np.array(table["split"])
    for name in SPLITS:
        path = folder / f"{name}.parquet"
        if (parts == name).any():
            write_atomically(path, parquet(made.filter(pa.array(parts == name))))
        else:
            path.unlink(missing_ok=True)
    write_atomically(folder / "splits.parquet", parquet(made))
