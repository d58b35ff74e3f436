"""What is revoked is gone from every file, stays gone, and the receipt can be checked."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults.trees import tree
from hand_made import make_clip, make_segment, make_source

import vividhead.shard_set
from audit.standing_dataset import FILTERS, settings, standing_dataset
from vividhead.audit import embeddings
from vividhead.audit import revoke as room
from vividhead.audit.account import account
from vividhead.audit.chosen import by_clip, by_condition, by_face, by_source
from vividhead.audit.clips import own_policy
from vividhead.audit.embeddings import stored_embeddings
from vividhead.audit.rejudge import rejudge
from vividhead.audit.repack import repack
from vividhead.audit.repair import repair
from vividhead.audit.report.stills import rejected_stills
from vividhead.audit.revoke import Order, revoke
from vividhead.audit.splits import SplitOptions, split
from vividhead.audit.sql import opened
from vividhead.audit.tables import Tables
from vividhead.audit.verify import verify
from vividhead.cli import main
from vividhead.errors import DatasetError, UsageError
from vividhead.loader.folder import Folder
from vividhead.manifest import parquet, read
from vividhead.revoked import check_signature, receipts, revoked, write_receipt
from vividhead.shards import index, tar_bytes
from vividhead.view import open_dataset

ORDER = Order("--clip …", "asked to be forgotten", "an auditor")
LOOSE = FILTERS.replace("160", "100")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips, five kept, in three shards."""
    folder = tmp_path_factory.mktemp("standing")
    with pytest.MonkeyPatch.context() as patch:
        _quick(patch)
        return standing_dataset(folder / "dataset", folder / "settings")


def _quick(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(vividhead.shard_set, "MB", 40_000)
    patch.setattr(os, "fsync", lambda handle: None)  # a test's power never fails, and this takes long


@pytest.fixture
def dataset(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    _quick(monkeypatch)
    shutil.copytree(made, tmp_path / "dataset")
    return tmp_path / "dataset"


def kept(dataset: Path) -> list[dict[str, Any]]:
    return read(dataset / "manifest.parquet").to_pylist()


def out(dataset: Path, clip_id: str) -> dict[str, Any]:
    return revoke(dataset, by_clip(Tables(dataset), clip_id), ORDER)


def holding(dataset: Path, clip_id: str) -> list[str]:
    """Files but tables and receipts in which the clip's id stands."""
    files = [p.relative_to(dataset) for p in dataset.rglob("*") if p.is_file() and p.suffix != ".parquet"]
    return [str(p) for p in files if p.parts[0] != "revoked" and clip_id.encode() in (dataset / p).read_bytes()]


def test_only_the_shard_that_held_a_clip_is_rewritten(dataset: Path) -> None:
    rows = kept(dataset)
    shards = {row["shard"]: row["shard_sha256"] for row in rows}
    assert len(shards) >= 3
    gone = rows[0]
    before = tree(dataset)
    receipt = out(dataset, gone["clip_id"])
    after = tree(dataset)
    changed = {name for name in before if name.startswith("shards/") and after.get(name) != before[name]}
    assert changed == {f"shards/{gone['shard']}"}
    assert [row["clip_id"] for row in kept(dataset)] == [row["clip_id"] for row in rows[1:]]
    assert set(index((dataset / "shards").glob("*.tar"))).isdisjoint({f"{gone['clip_id']}.mp4"})
    assert receipt["digests_before"][f"shards/{gone['shard']}"] == gone["shard_sha256"]
    assert receipt["digests_after"].get(f"shards/{gone['shard']}") != gone["shard_sha256"]
    assert verify(dataset, deep=True).findings == []


def test_nothing_of_it_is_left_but_its_span_scores_and_reason(dataset: Path) -> None:
    gone = kept(dataset)[2]["clip_id"]
    assert gone in stored_embeddings(dataset)
    out(dataset, gone)
    assert all(name.startswith("ledger/measure/") and name.endswith(".json") for name in holding(dataset, gone))
    assert gone not in stored_embeddings(dataset) and len(stored_embeddings(dataset)) == 5
    decisions = read(dataset / "decisions" / Tables(dataset).digest / "decisions.parquet").to_pylist()
    (row,) = [row for row in decisions if row["clip_id"] == gone]
    assert row["kept"] is False and row["reasons"][0]["code"] == "revoked"
    found = account(open_dataset(dataset))
    assert found.why()["rejected"]["revoked"] > 0 and sum(found.seconds().values()) == pytest.approx(found.footage_s)


def test_it_returns_neither_by_other_filters_nor_by_repair_nor_by_running_again(dataset: Path, tmp_path: Path) -> None:
    gone = kept(dataset)[1]["clip_id"]
    out(dataset, gone)
    loose = settings(tmp_path / "settings", "loose", LOOSE.replace("0.4", "0.1"))
    found = rejudge(dataset, loose)
    assert found.kept_after.clips == 5  # the small one comes, the revoked one does not
    assert gone not in {row["clip_id"] for row in read(Path(str(found.written))).to_pylist() if row["kept"]}
    assert verify(dataset).findings == []
    repair(dataset)
    stricter = settings(tmp_path / "settings", "stricter", FILTERS.replace("160", "165"))
    packed = repack(dataset, stricter)
    assert packed.from_ledger and packed.clips_after == 4
    assert gone not in {row["clip_id"] for row in kept(dataset)}


def test_a_source_leaves_the_tables_and_the_ledger_and_its_bytes_stay_out(dataset: Path) -> None:
    clips = read(dataset / "clips.parquet")["clip_id"].to_pylist()
    receipt = revoke(dataset, by_source(Tables(dataset), "a.mp4"), ORDER)
    assert len(receipt["clips"]) == 6 and len(receipt["sources"]) == 1
    assert kept(dataset) == [] and list((dataset / "shards").glob("*.tar")) == []
    assert len(read(dataset / "clips.parquet")) == 0
    assert [name for clip_id in clips for name in holding(dataset, clip_id)] == []
    (source,) = read(dataset / "sources.parquet").to_pylist()
    assert (source["outcome"], source["code"]) == ("rejected", "source.revoked")
    assert {f.check for f in verify(dataset).findings} == set()
    with pytest.raises(UsageError, match="revoked already"):
        revoke(dataset, by_source(Tables(dataset), "a.mp4"), ORDER)


def test_a_clip_cut_a_little_otherwise_is_out_too_and_another_face_beside_it_is_not(dataset: Path) -> None:
    segment = make_segment(make_source())
    clip = make_clip(segment, 0, 100)
    gone = kept(dataset)[0]
    out(dataset, gone["clip_id"])
    stones = revoked(dataset)
    same = replace(
        clip, source_id=gone["source_id"], start_frame=gone["start_frame"] + 3, end_frame=gone["end_frame"] + 3,
        crop_xyxy_px=(120, 8, 600, 488),
    )  # fmt: skip
    assert stones.receipt_of(same) == "000001"
    assert stones.receipt_of(replace(same, crop_xyxy_px=(700, 0, 1212, 512))) is None
    assert stones.receipt_of(replace(same, source_id="f" * 64)) is None


def test_clips_are_chosen_by_a_condition_on_scores_and_sources(dataset: Path) -> None:
    tables = Tables(dataset)
    small = by_condition(tables, "\"framing.face_height_px_in_source\" < 175 AND language = 'de'")
    assert len(small.clips) == 2
    assert len(by_condition(tables, "kept AND attributes['speaker'] = 'Ada'").clips) == 5
    assert by_condition(tables, "uri LIKE '%nobody%'").clips == []
    with pytest.raises(UsageError, match="is no condition"):
        by_condition(tables, "sharpness <")
    with pytest.raises(UsageError, match="is no condition"):
        by_condition(tables, "clip_id IN (SELECT * FROM read_csv('/etc/passwd'))")


def test_a_person_is_found_also_in_clips_that_are_not_kept(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = read(dataset / "clips.parquet")["clip_id"].to_pylist()
    monkeypatch.setattr(embeddings, "embedding_of", lambda picture: np.full(128, 5.01, np.float32))
    found = by_face(Tables(dataset), Path("face.png"))
    assert [row["clip_id"] for row in found.clips] == [clips[5]] and found.not_compared == 0
    assert found.distances[clips[5]] == pytest.approx(0.01 * 128**0.5, abs=1e-3)
    receipt = revoke(dataset, found, ORDER)
    assert receipt["distances"] and receipt["clips"][0]["shard"] is None
    assert len(kept(dataset)) == 5


def test_the_receipt_is_signed_chained_and_refused_when_altered(dataset: Path) -> None:
    first, second = (out(dataset, row["clip_id"]) for row in kept(dataset)[:2])
    assert (first["by"], first["reason"], first["state"]) == ("an auditor", ORDER.reason, "done")
    assert second["previous_sha256"] == first["sha256"]
    written = receipts(dataset)
    assert written == [first, second]
    check_signature(first)
    path = dataset / "revoked" / "000001.json"
    path.write_text(path.read_text().replace("forgotten", "remembered"))
    with pytest.raises(DatasetError, match="is damaged .*not as it was signed"):
        open_dataset(dataset).members("x").__next__()


def test_a_receipt_that_is_missing_or_altered_is_told_wherever_the_dataset_lies(dataset: Path) -> None:
    for row in kept(dataset)[:3]:
        out(dataset, row["clip_id"])
    first = dataset / "revoked" / "000001.json"
    said = first.read_bytes()
    uses = (lambda: receipts(dataset), Folder(f"file://{dataset}").manifest, Tables(f"file://{dataset}").revoked)
    for spoil in (first.unlink, lambda: first.write_bytes(said.replace(b"forgotten", b"remembered"))):
        spoil()
        for use in uses:
            with pytest.raises(DatasetError, match="is damaged .*(the receipt before it is missing|not as it was)"):
                use()
    first.write_bytes(said)
    assert [r["receipt"] for r in receipts(dataset)] == ["000001", "000002", "000003"]


def test_the_newest_receipt_cannot_go_missing_or_be_changed_unnoticed(dataset: Path, tmp_path: Path) -> None:
    for row in kept(dataset)[:2]:
        out(dataset, row["clip_id"])
    newest, third = dataset / "revoked" / "000002.json", kept(dataset)[2]["clip_id"]
    said, mine = newest.read_bytes(), settings(tmp_path / "settings", "loose", LOOSE)
    assert verify(dataset).findings == []

    def changed() -> None:
        receipt = json.loads(said)
        write_receipt(dataset, {**receipt, "clips": []})  # and signed anew

    writers = (lambda: repair(dataset), lambda: out(dataset, third), lambda: rejudge(dataset, mine))
    for spoil, words in ((newest.unlink, "after 2 revocations, and 1 receipts"), (changed, "are not those")):
        spoil()
        (told,) = [finding for finding in verify(dataset).findings if finding.check == "revoked"]
        assert told.path == "revoked" and words in told.detail
        for write in writers:
            with pytest.raises(DatasetError, match=words):
                write()
        newest.write_bytes(said)
    assert verify(dataset).findings == [] and third in {row["clip_id"] for row in kept(dataset)}


def test_prints_of_the_clip_and_pages_that_show_it_are_deleted(dataset: Path) -> None:
    gone, stays = (row["clip_id"] for row in kept(dataset)[:2])
    split(dataset, SplitOptions())
    prints = sorted((dataset / "splits" / "prints").glob("*.parquet"))
    (dataset / "report.html").write_text(f"<code>{gone}</code>")
    (dataset / "other.html").write_text(f"<code>{stays}</code>")
    receipt = out(dataset, gone)
    left = [clip_id for path in prints for clip_id in read(path)["clip_id"].to_pylist()]
    assert gone not in left and len(left) == 4
    assert receipt["deleted"][0] == "report.html" and receipt["deleted"][1].startswith("splits/prints/train-")
    assert [path.name for path in dataset.glob("*.html")] == ["other.html"]


def test_a_clip_cut_otherwise_out_of_what_was_revoked_is_out_for_every_verb(dataset: Path, tmp_path: Path) -> None:
    gone = kept(dataset)[0]
    out(dataset, gone["clip_id"])
    (receipt,) = receipts(dataset)
    receipt["clips"][0] |= {"clip_id": "f" * 20, "tar_bytes": 0}  # as if it had been cut otherwise then
    write_receipt(dataset, receipt)
    (dataset / "manifest.parquet").unlink()  # it is sealed with the receipt as it was
    assert repair(dataset).after == 0
    assert gone["clip_id"] not in {row["clip_id"] for row in kept(dataset)}
    loose = settings(tmp_path / "settings", "loose", FILTERS.replace("160", "161"))
    found = rejudge(dataset, loose)
    assert found.kept_after.clips == 4
    assert gone["clip_id"] not in {row["clip_id"] for row in read(Path(str(found.written))).to_pylist() if row["kept"]}


def test_the_report_shows_no_picture_of_it(dataset: Path) -> None:
    gone = kept(dataset)[0]["clip_id"]
    out(dataset, gone)
    tables = Tables(dataset)
    with opened(tables) as session:
        stills = rejected_stills(session, tables, own_policy(tables))
    assert stills and gone not in {still.clip_id for still in stills}


def test_an_old_manifest_is_refused_by_loaders_and_readers(dataset: Path) -> None:
    old = (dataset / "manifest.parquet").read_bytes()
    gone = kept(dataset)[0]["clip_id"]
    out(dataset, gone)
    (dataset / "manifest.parquet").write_bytes(old)
    for use in (lambda: Folder(str(dataset)).manifest(), lambda: next(open_dataset(dataset).members(gone))):
        with pytest.raises(DatasetError, match="stale: it names 1 revoked clips"):
            use()
    with pytest.raises(DatasetError, match="stale"):
        Folder(f"file://{dataset}").manifest()
    assert ("revoked", "manifest.parquet", 0) in {(f.check, f.path, f.row) for f in verify(dataset).findings}


def test_a_revocation_cut_short_is_finished_by_repair(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = kept(dataset)[0]["clip_id"]

    def killed(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(room, "purge_ledger", killed)
        with pytest.raises(KeyboardInterrupt):
            out(dataset, gone)
    assert [r["state"] for r in receipts(dataset)] == ["begun"]
    with pytest.raises(DatasetError, match="stale"):
        Folder(str(dataset)).manifest()
    assert repair(dataset).after == 0
    assert [r["state"] for r in receipts(dataset)] == ["done"]
    assert gone not in {row["clip_id"] for row in kept(dataset)} and holding(dataset, gone) != []


def test_latents_of_the_clip_are_deleted_and_their_cache_named(dataset: Path) -> None:
    gone, stays = (row["clip_id"] for row in kept(dataset)[:2])
    caches = {name: dataset / "latents" / f"{name}-0123456789abcdef" for name in ("nano", "lite")}
    for name, cache in caches.items():
        (cache / "shards").mkdir(parents=True)
        ids = [stays, gone] if name == "nano" else [stays]
        for clip_id in ids:
            tape = tar_bytes([(f"{clip_id}.safetensors", b"numbers")])
            (cache / "shards" / f"{clip_id}.tar").write_bytes(tape)
        table = read(dataset / "clips.parquet").select(["clip_id"])
        mask = [i in ids for i in table["clip_id"].to_pylist()]
        (cache / "latents.parquet").write_bytes(parquet(table.filter(mask)))
    receipt = out(dataset, gone)
    assert receipt["latents"] == ["latents/nano-0123456789abcdef"]
    left = sorted(str(p.relative_to(dataset / "latents")) for p in (dataset / "latents").rglob("*") if p.is_file())
    assert left == [
        "lite-0123456789abcdef/latents.parquet",
        f"lite-0123456789abcdef/shards/{stays}.tar",
        f"nano-0123456789abcdef/shards/{stays}.tar",
    ]


def test_the_command_revokes_and_prints_the_receipt(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = kept(dataset)[3]["clip_id"]
    arguments = ["revoke", str(dataset), "--clip", gone[:8], "--reason", "consent withdrawn", "--by", "Ada"]
    assert main([*arguments, "--dry-run"]) == 0
    assert "1 clips, 0 sources would be revoked" in capsys.readouterr().out and len(kept(dataset)) == 5
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["by"] == "Ada"
    assert main(arguments) == 2
    assert "revoked already" in capsys.readouterr().err
    assert main(["explain", str(dataset), gone]) == 0
    assert "revoked: receipt 000001" in capsys.readouterr().out
