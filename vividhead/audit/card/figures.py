"""What the card says, as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vividhead.audit.clips import own_policy
from vividhead.audit.flow import Flow, flow_of
from vividhead.audit.report.figures import Attribute, Model, attributes, models, table_rows
from vividhead.audit.sql import opened
from vividhead.audit.tables import Tables
from vividhead.errors import DatasetError
from vividhead.policy import Policy

SKEWED = (0.8, 1.25)
"""A group whose share changes to less or more than this is named as a skew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Kept footage under one licence and one consent, as the source list gave them; None: not given."""

    licence: str | None
    consent: str | None
    n_sources: int
    n_clips: int
    kept_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFigures:
    """All that the card and the Croissant file say."""

    name: str
    run: dict[str, Any]
    policy: Policy
    flow: Flow
    n_clips: int
    n_kept: int
    kept_s: float
    """Seconds of kept clips."""
    terms: Sequence[Terms]
    languages: Sequence[str]
    attributes: Sequence[Attribute]
    models: Sequence[Model]
    splits: Sequence[tuple[str, int, float]]
    """(part, clips, seconds); empty where the dataset is not split."""
    part_files: Sequence[tuple[str, str]]
    """(part, file that lists its clips)."""
    shards: Sequence[tuple[str, int, str]]
    """(file, bytes, sha256)."""


def card_figures(tables: Tables, name: str) -> CardFigures:
    """Read them off the tables; raises DatasetError where there is no manifest."""
    if not tables.has("manifest"):
        raise DatasetError(
            f"{tables.where} has no manifest: a card is of a finished dataset; run `vividhead curate` again"
        )
    with opened(tables) as session:
        flow = flow_of(session)
        (counts,) = table_rows(session, "SELECT count(*) AS n, count(*) FILTER (packed) AS kept FROM candidates")
        terms = table_rows(
            session,
            """SELECT nullif(trim(licence), '') AS licence, nullif(trim(consent), '') AS consent,
                   count(DISTINCT source_id) AS n_sources, count(*) AS n_clips, sum(duration_s) AS kept_s
               FROM manifest GROUP BY 1, 2 ORDER BY kept_s DESC, 1, 2""",
        )
        languages = table_rows(
            session,
            "SELECT language FROM manifest WHERE trim(language) <> '' GROUP BY 1 ORDER BY sum(duration_s) DESC, 1",
        )
        shards = table_rows(session, "SELECT DISTINCT shard, shard_bytes, shard_sha256 FROM manifest ORDER BY 1")
        (total,) = table_rows(session, "SELECT coalesce(sum(duration_s), 0) AS s FROM manifest")
        return CardFigures(
            name=name, run=tables.run, policy=own_policy(tables), flow=flow, n_clips=counts["n"],
            n_kept=counts["kept"], kept_s=total["s"], terms=[Terms(**row) for row in terms],
            languages=[row["language"] for row in languages], attributes=attributes(session),
            models=models(session, tables.names("measurements")), splits=_splits(tables),
            part_files=_part_files(tables.folder),
            shards=[(row["shard"], row["shard_bytes"], row["shard_sha256"]) for row in shards],
        )  # fmt: skip


def _part_files(folder: Path | None) -> list[tuple[str, str]]:
    files = [(name, f"splits/{name}.parquet") for name in ("train", "val", "test")]
    return [(name, path) for name, path in files if folder is not None and (folder / path).is_file()]


def _splits(tables: Tables) -> list[tuple[str, int, float]]:
    if tables.folder is None or not (tables.folder / "splits" / "splits.parquet").is_file():
        return []
    import pyarrow.parquet

    parts = pyarrow.parquet.read_table(tables.folder / "splits" / "splits.parquet", columns=["clip_id", "split"])
    clips = tables.read("manifest", ["clip_id", "duration_s"])
    joined = clips.join(parts, "clip_id").group_by("split").aggregate([("clip_id", "count"), ("duration_s", "sum")])
    found = {row["split"]: row for row in joined.to_pylist()}
    return [
        (name, found[name]["clip_id_count"], found[name]["duration_s_sum"])
        for name in ("train", "val", "test")
        if name in found
    ]
