"""What a revocation is about: clips and sources by name, by a condition in SQL, or by a face."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vividhead.audit.explain import named_clip, named_source
from vividhead.audit.tables import Tables
from vividhead.errors import UsageError

Row = dict[str, Any]
SAME_PERSON_L2 = 0.6
"""dlib's own threshold: two pictures of one person lie within it (see `scores.identity`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Rows of clips.parquet and sources.parquet."""

    clips: Sequence[Row]
    sources: Sequence[Row] = ()
    not_compared: int = 0
    """Clips that a face could not be compared with: they have no embedding."""
    distances: dict[str, float] = field(default_factory=dict)
    """clip_id → L2 distance to the face asked for."""

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "clips": [row["clip_id"] for row in self.clips], "sources": [row["uri"] for row in self.sources],
            "not_compared": self.not_compared, "distances": self.distances,
        }  # fmt: skip

    def told(self) -> str:
        """In lines for people."""
        lines = [f"{len(self.clips)} clips, {len(self.sources)} sources would be revoked"]
        for row in self.clips:
            near = f"  L2 {self.distances[row['clip_id']]}" if row["clip_id"] in self.distances else ""
            lines.append(f"  {row['clip_id']}  {row['start_s_in_source']:.2f}–{row['end_s_in_source']:.2f} s{near}")
        if self.not_compared:
            lines.append(f"{self.not_compared} clips have no face embedding to compare")
        return "\n".join(lines)


def by_source(tables: Tables, name: str) -> Chosen:
    """A source with all its clips, also under other names: whatever has the same bytes."""
    source = named_source(tables, name, name)
    if source["source_id"].startswith("unread-"):
        raise UsageError(f"{name} could not be read, so nothing of it is in the dataset")
    same = tables.where_is("sources", "source_id", source["source_id"])
    return Chosen(clips=tables.where_is("clips", "source_id", source["source_id"]), sources=same[:1])


def by_clip(tables: Tables, name: str) -> Chosen:
    """One clip."""
    found = named_clip(tables, name)
    if found is None:
        raise UsageError(f"{name} is no clip of {tables.where}; give the beginning of its clip_id, at least six digits")
    return Chosen(clips=tables.where_is("clips", "clip_id", found[0]))


def by_condition(tables: Tables, condition: str) -> Chosen:
    """Clips for which a condition in DuckDB's SQL holds, on all candidates: columns of clips and of their sources
    (`uri`, `licence`, `language`, `attributes`, …), `kept`, and `"<score>.<field>"`."""
    try:
        import duckdb
    except ImportError as fault:
        raise UsageError("--where needs DuckDB: pip install 'vividhead[sql]'") from fault
    clips = tables.read("clips")
    with duckdb.connect(config={"enable_external_access": False}) as session:
        session.execute("SET enable_progress_bar = false")  # it would draw on the terminal
        session.register("all_clips", clips)
        session.register("decisions", tables.read(f"decisions/{tables.digest}", ["clip_id", "kept"]))
        sources = tables.read("sources")
        about = ["source_id", *(n for n in sources.column_names if n not in clips.column_names)]
        session.register("ready", sources.filter(np.asarray(sources["outcome"]) == "ready").select(about))
        joins = ["all_clips", "JOIN ready USING (source_id)", "JOIN decisions USING (clip_id)"]
        for score in tables.names("measurements"):
            fields = [n for n in tables.schema(f"measurements/{score}").names if n not in _NOT_FIELDS]
            session.register(f"scores_{score}", _renamed(tables, score, fields))
            joins.append(f'LEFT JOIN "scores_{score}" USING (clip_id)')
        try:
            found = session.sql(f"SELECT clip_id FROM {' '.join(joins)} WHERE ({condition}\n)").fetchall()  # noqa: S608
        except duckdb.Error as fault:
            said = str(fault).splitlines()[0]
            hint = 'names with a dot go in double quotes, as in "lip_sync.confidence" < 0.7'
            raise UsageError(f"--where {condition!r} is no condition on the clips: {said}; {hint}") from fault
    wanted = {clip_id for (clip_id,) in found}
    return Chosen(clips=[row for row in clips.to_pylist() if row["clip_id"] in wanted])


_NOT_FIELDS = ("clip_id", "status", "code", "detail", "version", "fingerprint", "unknown")


def _renamed(tables: Tables, score: str, fields: Sequence[str]) -> Any:
    table = tables.read(f"measurements/{score}", ["clip_id", *fields])
    return table.rename_columns(["clip_id", *(f"{score}.{field}" for field in fields)])


def by_face(tables: Tables, picture: Path, threshold: float = SAME_PERSON_L2) -> Chosen:
    """Clips whose mean embedding, as the identity score kept it, is within `threshold` of the face in a picture.

    The embeddings are not in the tables: they are read from the ledger, also those of rejected clips. A clip that was
    refused before its identity was scored has none and is only counted.
    """
    from vividhead.audit.embeddings import embedding_of, stored_embeddings

    if tables.folder is None:
        raise UsageError("--identity reads embeddings from the dataset's ledger: give a local folder")
    wanted_128 = embedding_of(picture)
    known = stored_embeddings(tables.folder)
    clips = tables.read("clips").to_pylist()
    distances = {
        row["clip_id"]: _distance(known[row["clip_id"]], wanted_128) for row in clips if row["clip_id"] in known
    }
    near = {clip_id: distance for clip_id, distance in distances.items() if distance <= threshold}
    return Chosen(
        clips=[row for row in clips if row["clip_id"] in near], not_compared=len(clips) - len(distances),
        distances={clip_id: round(distance, 4) for clip_id, distance in near.items()},
    )  # fmt: skip


def _distance(one_128: NDArray[np.float32], other_128: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(one_128 - other_128))
