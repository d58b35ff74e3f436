"""Other filters made a dataset's own: just the shards that change are written, and nothing is encoded twice."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vividhead.audit.clips import named_policy, own_policy, stored_policies
from vividhead.audit.rejudge import rejudge
from vividhead.audit.revoke import digests, finish_begun
from vividhead.audit.tables import Tables
from vividhead.dataset import note_run, read_run
from vividhead.errors import DatasetError, VividHeadError
from vividhead.ledger import Ledger, sole_writer
from vividhead.main_job import curate
from vividhead.manifest import read
from vividhead.pipeline import Pipeline
from vividhead.policy import Policy
from vividhead.publish import publish
from vividhead.settings import written
from vividhead.shard_set import packed_keys
from vividhead.standing import StandingChain, stored_pipeline
from vividhead.units import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Repacked:
    """What packing by other filters did."""

    filters: str
    clips_before: int
    clips_after: int
    shards_reused: Sequence[str]
    shards_written: Sequence[str]
    shards_dropped: Sequence[str]
    encoded: int
    """Clips that were not in any shard before."""
    from_ledger: bool
    """Nothing had to be measured or encoded: no footage was read."""

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def told(self) -> str:
        """In lines for people."""
        how = "from the ledger alone" if self.from_ledger else f"{self.encoded} clips new in shards"
        return (
            f"{self.filters}: {self.clips_before} ▶ {self.clips_after} clips, {how}\n"
            f"shards: {len(self.shards_reused)} as before, {len(self.shards_written)} written, "
            f"{len(self.shards_dropped)} dropped"
        )


def repack(dataset: Path, filters: str, *, on: str = "ray", workers: int | None = None) -> Repacked:
    """Judge by `filters`, measure and encode what is missing, and publish. Raises as `curate` does."""
    tables = Tables(dataset)
    policy, pipeline = named_policy(tables, filters), stored_pipeline(dataset)
    before, had = digests(dataset), _clips(dataset)
    judged_by = [own_policy(tables), *stored_policies(tables)]
    with sole_writer(dataset):
        Ledger(dataset).sweep()
        finish_begun(dataset)
        missing = _publish_standing(dataset, pipeline, policy)
    if missing:
        _curate(dataset, filters, missing, on, workers)
    _judge_again(dataset, judged_by, policy)
    after, has = digests(dataset), _clips(dataset)
    shards = [name for name in after if name.startswith("shards/")]
    return Repacked(
        filters=f"{policy.name} ({policy.digest})", clips_before=len(had), clips_after=len(has),
        shards_reused=[name for name in shards if before.get(name) == after[name]],
        shards_written=[name for name in shards if before.get(name) != after[name]],
        shards_dropped=[name for name in before if name.startswith("shards/") and name not in after],
        encoded=len(has - had), from_ledger=not missing,
    )  # fmt: skip


def _publish_standing(dataset: Path, pipeline: Pipeline, policy: Policy) -> list[Unit]:
    """Publish by the policy if the ledger holds all that it takes; else what is missing."""
    chain = StandingChain(dataset, pipeline, policy)
    missing = chain.settle_sources(packed_keys(dataset, pipeline))
    if not missing:
        publish(dataset, chain, finished=True)
        note_run(dataset, str(read_run(dataset)["input"]["where"]), pipeline, policy)
    return missing


def _curate(dataset: Path, filters: str, missing: Sequence[Unit], on: str, workers: int | None) -> None:
    run = read_run(dataset)
    with TemporaryDirectory(prefix="vividhead-") as scratch:
        pipeline = written(scratch, str(run["pipeline"]["name"]), str(run["pipeline"]["text"]))
        try:
            curate(run["input"]["where"], dataset, pipeline=pipeline, filters=filters, on=on, workers=workers)
        except VividHeadError as fault:
            raise DatasetError(
                f"{len(missing)} segments of {dataset} want their footage, to measure or encode what these filters "
                f"ask for: {fault}"
            ) from fault


def _judge_again(dataset: Path, policies: Sequence[Policy], own: Policy) -> None:
    """What was measured more has taken the decisions of other filters away (see `publish`): they are made anew."""
    for policy in policies:
        if policy.digest != own.digest and not (dataset / "decisions" / policy.digest).exists():
            with TemporaryDirectory(prefix="vividhead-") as scratch:
                rejudge(dataset, written(scratch, policy.name, policy.text), shown=0)


def _clips(dataset: Path) -> set[str]:
    path = dataset / "manifest.parquet"
    return set(read(path)["clip_id"].to_pylist()) if path.is_file() else set()
