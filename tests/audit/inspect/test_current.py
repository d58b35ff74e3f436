"""A dataset that changes under a running inspector."""

import contextlib
from pathlib import Path

import pytest

import vividhead.shard_set
from audit.standing_dataset import standing_dataset
from tests.audit.inspect.server import inspecting
from vividhead.audit import revoke as room
from vividhead.audit.chosen import by_clip
from vividhead.audit.inspect.current import Current
from vividhead.audit.revoke import Order, revoke
from vividhead.audit.tables import Tables
from vividhead.manifest import read

ORDER = Order(what="--clip", reason="a test", by="a test")


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six clips, five kept, two or three in a shard."""
    monkeypatch.setattr(vividhead.shard_set, "MB", 150_000)
    return standing_dataset(tmp_path / "dataset", tmp_path / "settings")


def test_what_is_revoked_is_shown_no_more_and_all_else_is(dataset: Path) -> None:
    rows = read(dataset / "manifest.parquet").to_pylist()
    gone = rows[0]["clip_id"]
    with inspecting(dataset) as server:
        assert server.ask("/api/dataset").json["kept"] == len(rows) == 5
        assert server.ask(f"/api/clips/{gone}/video").status == 200
        revoke(dataset, by_clip(Tables(dataset), gone), ORDER)
        for what in ("video", "curves", "landmarks"):
            assert server.ask(f"/api/clips/{gone}/{what}").status == 404
        assert server.ask(f"/api/clips/{gone}").json["clip"]["first"] == "revoked"
        assert server.ask("/api/dataset").json["kept"] == 4
        for row in rows[1:]:  # the shard of some was written anew: they lie elsewhere in it
            assert server.ask(f"/api/clips/{row['clip_id']}/video").status == 200


def test_a_revocation_that_has_just_begun_hides_the_clip_already(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    gone = str(read(dataset / "manifest.parquet")["clip_id"][0])
    with inspecting(dataset) as server:
        assert server.ask(f"/api/clips/{gone}/video").status == 200
        monkeypatch.setattr(room, "purge_ledger", killed)
        with pytest.raises(KeyboardInterrupt):
            revoke(dataset, by_clip(Tables(dataset), gone), ORDER)
        assert gone in read(dataset / "manifest.parquet")["clip_id"].to_pylist()
        assert server.ask(f"/api/clips/{gone}/video").status == 404
        assert server.ask("/api/dataset").json["kept"] == 4


def test_a_view_in_use_outlives_the_change_and_an_unchanged_dataset_is_read_once(dataset: Path) -> None:
    with contextlib.closing(Current(Tables(dataset))) as current, current.looked() as first, current.looked() as same:
        assert first is same
        revoke(dataset, by_clip(Tables(dataset), str(read(dataset / "manifest.parquet")["clip_id"][0])), ORDER)
        with current.looked() as second:
            assert second is not first
        assert first.store.codes()  # still open: this request began before
        assert {code["code"] for code in second.store.codes()} > {code["code"] for code in first.store.codes()}
