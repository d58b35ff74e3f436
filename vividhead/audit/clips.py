"""What every verb asks of the clips first: ids, seconds, and whether kept by the filters it was judged by last."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vividhead.audit.decisions import Failures
from vividhead.audit.tables import Tables
from vividhead.errors import DatasetError
from vividhead.pipeline import Pipeline, load_pipeline
from vividhead.policy import Policy, load_policy
from vividhead.settings import written


@dataclass(frozen=True)
class Judged:
    """All candidate clips and the decisions of one policy, row by row."""

    tables: Tables
    clip_ids: pa.ChunkedArray
    seconds_N: NDArray[np.float64]
    kept_N: NDArray[np.bool_]
    failures: Failures

    @cached_property
    def sources(self) -> pa.DictionaryArray:
        """Each clip's source_id, coded."""
        column = self.tables.read("clips", ["source_id"], coded=["source_id"])["source_id"].combine_chunks()
        return column.unify_dictionaries() if isinstance(column, pa.ChunkedArray) else column


def judged(tables: Tables, digest: str | None = None) -> Judged:
    """Read clips and decisions; raises DatasetError where they are not of one run."""
    clips = tables.read("clips", ["clip_id", "duration_s"])
    name = f"decisions/{digest or tables.digest}"
    decisions = tables.read(name, ["kept", "failure", "failure_detail"])
    same = tables.stored(name, "clip_id") == tables.stored("clips", "clip_id")
    if not same and not tables.read(name, ["clip_id"])["clip_id"].equals(clips["clip_id"]):
        raise DatasetError(
            f"{tables.where}/{tables.place(name)} does not hold the clips of clips.parquet, row by row; "
            f"`vividhead verify {tables.where}` names the rows"
        )
    return Judged(
        tables, clips["clip_id"], clips["duration_s"].to_numpy(),
        decisions["kept"].combine_chunks().to_numpy(zero_copy_only=False),
        Failures(decisions["failure"].combine_chunks(), decisions["failure_detail"].combine_chunks()),
    )  # fmt: skip


def own_pipeline(tables: Tables) -> Pipeline:
    """The pipeline that made the dataset, out of its run.toml."""
    run = tables.run["pipeline"]
    with TemporaryDirectory(prefix="vividhead-") as scratch:
        return load_pipeline(written(scratch, str(run["name"]), str(run["text"])))


def own_policy(tables: Tables) -> Policy:
    """The filters that the dataset was judged by last, out of its run.toml."""
    run = tables.run["filters"]
    return _policy_of(str(run["name"]), str(run["text"]), own_pipeline(tables).measure.scores)


def _policy_of(name: str, text: str, scores: Sequence[str]) -> Policy:
    with TemporaryDirectory(prefix="vividhead-") as scratch:
        return load_policy(written(scratch, name, text), scores)


FILTERS_FILE = "filters.toml"
"""Beside decisions that a rejudging wrote: the filters they are by."""


def stored_policies(tables: Tables) -> Iterator[Policy]:
    """The filters of rejudged decisions, as far as they lie beside them."""
    scores = own_pipeline(tables).measure.scores
    for digest in tables.names("decisions"):
        text = tables.text(f"decisions/{digest}/{FILTERS_FILE}")
        if text is not None and digest != tables.digest:
            yield _policy_of(digest, text, scores)


def named_policy(tables: Tables, name_or_path: str) -> Policy:
    """A shipped policy, or the path of one, for what was measured in the dataset."""
    return load_policy(name_or_path, own_pipeline(tables).measure.scores)
