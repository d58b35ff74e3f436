"""The report's columns say of every clip what its decision says."""

from pathlib import Path

import pytest

from vividhead.audit.account import broken
from vividhead.audit.candidates import candidates
from vividhead.audit.clips import own_policy
from vividhead.audit.tables import Tables
from vividhead.errors import DatasetError
from vividhead.manifest import parquet, read
from vividhead.testing.large_dataset import make_large_dataset

N = 800


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    return Tables(make_large_dataset(tmp_path_factory.mktemp("large") / "dataset", N, seed=5))


def test_the_first_known_reason_of_each_clip_is_that_of_its_decision(tables: Tables) -> None:
    rows = candidates(tables, None).to_pylist()
    decisions = tables.read(f"decisions/{tables.digest}").to_pylist()
    packed = set(tables.read("manifest", ["clip_id"])["clip_id"].to_pylist())
    assert len(rows) == N
    for row, decided in zip(rows, decisions, strict=True):
        codes = broken(decided["reasons"])
        assert (row["clip_id"], row["kept"]) == (decided["clip_id"], decided["kept"])
        assert row["first"] == (codes[0] if codes else None)
        assert row["packed"] == (row["clip_id"] in packed)
    assert any(row["first"] != d["reasons"][0]["code"] for row, d in zip(rows, decisions, strict=True) if d["reasons"])


def test_judging_anew_by_the_datasets_own_filters_says_the_same(tables: Tables) -> None:
    stored, anew = (candidates(tables, policy).to_pylist() for policy in (None, own_policy(tables)))
    assert stored == anew


def test_each_clip_leads_to_the_row_of_its_source(tables: Tables) -> None:
    sources = tables.read("sources", ["source_id", "outcome"]).to_pylist()
    clips = tables.read("clips", ["source_id"])["source_id"].to_pylist()
    for row, source_id in zip(candidates(tables, None).to_pylist(), clips, strict=True):
        assert sources[row["source"]] == {"source_id": source_id, "outcome": "ready"} and row["done"]


def test_decisions_in_another_order_are_refused_by_name(tables: Tables, tmp_path: Path) -> None:
    path = make_large_dataset(tmp_path / "dataset", 50)
    own = Tables(path)
    file = path / own.place(f"decisions/{own.digest}")
    table = read(file)
    for spoilt in (table.take(list(range(len(table)))[::-1]), table.slice(1)):
        file.write_bytes(parquet(spoilt))
        with pytest.raises(DatasetError, match="vividhead verify"):
            candidates(own, None)
