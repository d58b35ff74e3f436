"""A dataset as a library user sees it: tables by name, and every candidate clip joined with its scores and decision."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vividhead import manifest
from vividhead.dataset import check_schema, read_run
from vividhead.errors import DatasetError
from vividhead.revoked import check_manifest, revoked

if TYPE_CHECKING:
    import pandas
    import pyarrow


ABOUT_SOURCE = ("given_id", "licence", "consent", "language", "attributes")
"""What a source list said of a source."""


class Dataset:
    """A curated dataset folder, read only. `run` holds its run.toml."""

    def __init__(self, path: str | Path) -> None:
        """Open the dataset at `path`; raises DatasetError when there is none."""
        self.path = Path(path)
        self.run = read_run(self.path)
        check_schema(self.run, str(self.path))
        self._kept: dict[str, dict[str, Any]] | None = None

    def table(self, name: str) -> "pyarrow.Table":
        """`sources`, `segments`, `clips`, `decisions` (of the newest filters) or `manifest` as an Arrow table."""
        if name == "decisions":
            return manifest.read(self.path / "decisions" / self.run["filters"]["digest"] / "decisions.parquet")
        if name not in ("sources", "segments", "clips", "manifest"):
            raise DatasetError(f"no table {name!r}; there are sources, segments, clips, decisions, manifest")
        return manifest.read(self.path / f"{name}.parquet")

    def score_names(self) -> list[str]:
        """Scores measured in this dataset."""
        return sorted(p.name for p in (self.path / "measurements").glob("*") if p.is_dir())

    def measurements(self, score: str) -> "pyarrow.Table":
        """One score's rows: status, model and a column for each of its fields, per clip."""
        if score not in self.score_names():
            raise DatasetError(f"no score {score!r} in {self.path}; there are {', '.join(self.score_names())}")
        return manifest.read(self.path / "measurements" / score / "measurements.parquet")

    def clips(self) -> "pandas.DataFrame":
        """Every candidate clip, also the rejected: span, source, `kept`, `reasons`, and `<score>.<field>` columns."""
        clips = self.table("clips").to_pandas()
        decisions = self.table("decisions").to_pandas()
        decisions["reasons"] = [[reason["code"] for reason in reasons] for reasons in decisions["reasons"]]
        joined: pandas.DataFrame = clips.merge(decisions[["clip_id", "kept", "reasons"]], on="clip_id", how="left")
        sources = self.table("sources").to_pandas()
        sources["attributes"] = [dict(pairs) for pairs in sources["attributes"]]
        about = sources.loc[sources["outcome"] == "ready", ["source_id", "uri", *ABOUT_SOURCE]]
        joined = joined.merge(about, on="source_id", how="left")
        known = {column.name for column in manifest.MEASUREMENTS}
        for score in self.score_names():
            rows = self.measurements(score).to_pandas()
            fields = {f: f"{score}.{f}" for f in rows.columns if f not in known}
            rows = rows[["clip_id", "status", *fields]].rename(columns={"status": f"{score}.status", **fields})
            joined = joined.merge(rows, on="clip_id", how="left")
        return joined

    def members(self, clip_id: str) -> Iterator[tuple[str, bytes]]:
        """Name and bytes of a kept clip's members, read by offset from its shard."""
        if self._kept is None:
            self._kept = {row["clip_id"]: row for row in self.table("manifest").to_pylist()}
            check_manifest(str(self.path), list(self._kept), revoked(self.path))
        row = self._kept.get(clip_id)
        if row is None:
            raise DatasetError(f"{clip_id} is no kept clip of {self.path}")
        name = row["shard"]
        if Path(name).name != name or not name.endswith(".tar"):
            raise DatasetError(f"the manifest of {self.path} names the shard {name!r}, which leaves its folder")
        shard = self.path / "shards" / name
        if not shard.is_file():
            raise DatasetError(
                f"{shard} is missing; run `vividhead curate` again with the same arguments to make it anew"
            )
        with shard.open("rb") as file:
            for member in manifest.MEMBERS:
                file.seek(row[f"{member}_offset"])
                yield member, file.read(row[f"{member}_bytes"])


def open_dataset(path: str | Path) -> Dataset:
    """Open a dataset made by `curate`."""
    return Dataset(path)
