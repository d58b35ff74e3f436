"""A finished dataset's chain out of its ledger and tables alone, so that it can be published anew without footage."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vividhead import manifest
from vividhead.chain import Chain
from vividhead.dataset import read_run
from vividhead.errors import DatasetError
from vividhead.ledger import Ledger
from vividhead.pipeline import Pipeline, load_pipeline
from vividhead.plain import from_plain, utf8
from vividhead.policy import Policy, load_policy
from vividhead.records import Listed, Source
from vividhead.settings import written
from vividhead.units import Job

OF_THE_LIST = ("given_id", "licence", "consent", "language", "attributes")
"""What a source list says of a source; it may have changed since the file was read."""


class StandingChain(Chain):
    """The chain of a dataset as it stands: its sources are those of its last run, whether their files are there or not.

    Units that it names need the footage; where it names none, `publish` needs nothing else.
    """

    def __init__(self, dataset: Path, pipeline: Pipeline, policy: Policy) -> None:
        """Read the sources; raises DatasetError where tables and ledger are not of one dataset."""
        ledger = Ledger(dataset)
        self._found = {source.listed.uri: source for source in _sources(dataset, ledger)}
        job = Job(dataset=str(dataset.absolute()), pipeline=pipeline, policy=policy)
        super().__init__(job, ledger, [source.listed for source in self._found.values()])

    def _source(self, listed: Listed) -> Source:
        return self._found[listed.uri]


def _sources(dataset: Path, ledger: Ledger) -> Iterator[Source]:
    """The rows of sources.parquet as they were before duplicates were found and revoked ones taken out."""
    read: dict[tuple[str, str], Source] = {}
    for key in ledger.keys("ingest"):
        record = ledger.read("ingest", key)
        if record is not None and "source" in record:
            source = from_plain(Source, record["source"])
            read[utf8(source.listed.uri), source.source_id] = source
    for row in manifest.read(dataset / "sources.parquet").to_pylist(maps_as_pydicts="strict"):
        about = {name: row[name] for name in OF_THE_LIST}
        known = read.get((row["uri"], row["source_id"]))
        if known is not None:
            yield replace(known, listed=Listed(uri=known.listed.uri, **about))
        elif row["outcome"] == "failed":
            yield _failed(row, Listed(uri=row["uri"], **about))
        else:
            raise DatasetError(
                f"the ledger of {dataset} does not know {row['uri']}, which is in sources.parquet; run `vividhead "
                "curate` again with the same arguments"
            )


def _failed(row: Mapping[str, Any], listed: Listed) -> Source:
    return Source(
        source_id=row["source_id"], listed=listed, outcome="failed", code=row["code"], detail=row["detail"] or ""
    )


def stored_pipeline(dataset: Path) -> Pipeline:
    """The pipeline that made the dataset."""
    about = read_run(dataset)["pipeline"]
    with TemporaryDirectory(prefix="vividhead-") as scratch:
        return load_pipeline(written(scratch, str(about["name"]), str(about["text"])))


def stored_policy(dataset: Path, pipeline: Pipeline) -> Policy:
    """The filters that the dataset was judged by last."""
    about = read_run(dataset)["filters"]
    with TemporaryDirectory(prefix="vividhead-") as scratch:
        return load_policy(written(scratch, str(about["name"]), str(about["text"])), pipeline.measure.scores)
