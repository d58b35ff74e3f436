"""A dataset as a library user sees it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hand_made import PIPELINE, Written, make_clip, make_source, policy, rows_of

import vividhead
from vividhead.dataset import run_toml
from vividhead.errors import DatasetError
from vividhead.manifest import MANIFEST, MEMBERS, SOURCES, parquet, read, table
from vividhead.publish import publish
from vividhead.records import Listed
from vividhead.shards import tar_bytes
from vividhead.units import pack_key
from vividhead.view import Dataset, open_dataset


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips, the first kept and packed, the second too small."""
    path = tmp_path_factory.mktemp("dataset")
    written = Written(
        path, make_source(listed=Listed(uri="a.mp4", licence="CC0", given_id="a-1", attributes={"speaker": "Ada"}))
    )
    written.scan((0, 500))
    clips = [make_clip(written.segment, at, at + 100) for at in (0, 100)]
    written.measure(clips, [*rows_of(clips[0]), *rows_of(clips[1], face_px=100, blurs=None, similarity=None)])
    pack(written, clips[0].clip_id)
    chain = written.chain()
    chain.sources = [written.source]
    chain.advance(written.segment, written.source)
    publish(path, chain, finished=True)
    (path / "run.toml").write_text(run_toml("footage", PIPELINE, policy()))
    return path


def pack(written: Written, clip_id: str) -> None:
    import hashlib

    made = {member: f"{member} of {clip_id}".encode() for member in MEMBERS if member != "json"}
    about = {name: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for name, d in made.items()}
    tape = tar_bytes([(f"{clip_id}.{name}", data) for name, data in made.items()])
    written.ledger.commit("pack", pack_key(clip_id, PIPELINE), {"members": about}, {"tar": tape})


@pytest.fixture
def dataset(original: Path, tmp_path: Path) -> Dataset:
    """A copy that a test may spoil."""
    return open_dataset(shutil.copytree(original, tmp_path / "dataset"))


def test_clips_join_every_candidate_with_its_decision_source_and_scores(dataset: Dataset) -> None:
    clips = dataset.clips()
    assert len(clips) == 2
    assert clips["kept"].tolist() == [True, False]
    assert clips["reasons"].tolist()[0] == []
    assert clips["reasons"].tolist()[1][0] == "framing.face_height_px_in_source:low"
    assert clips["uri"].tolist() == ["a.mp4", "a.mp4"] and clips["licence"].tolist() == ["CC0", "CC0"]
    assert clips["given_id"].tolist() == ["a-1", "a-1"]
    assert clips["attributes"].tolist() == [{"speaker": "Ada"}] * 2
    assert clips["framing.face_height_px_in_source"].tolist() == [300.0, 100.0]
    assert clips["sharpness.status"].tolist() == ["measured", "skipped"]
    assert clips["sharpness.blurs_per_face_p10"].isna().tolist() == [False, True]
    assert {"identity.worst_similarity_to_medoid", "start_s_in_source", "crop_x0_px"} <= set(clips.columns)


def test_a_dataset_without_clips_has_the_same_columns(dataset: Dataset) -> None:
    columns = list(dataset.clips().columns)
    for path in [dataset.path / "clips.parquet", *dataset.path.rglob("decisions.parquet")]:
        path.write_bytes(parquet(read(path).slice(0, 0)))
    for path in dataset.path.rglob("measurements.parquet"):
        path.write_bytes(parquet(read(path).slice(0, 0)))
    empty = dataset.clips()
    assert len(empty) == 0 and list(empty.columns) == columns


def test_a_source_that_is_there_twice_does_not_double_its_clips(dataset: Dataset) -> None:
    (row,) = dataset.table("sources").to_pylist(maps_as_pydicts="strict")
    copy = {**row, "uri": "copy.mp4", "outcome": "duplicate", "duplicate_of": row["source_id"]}
    (dataset.path / "sources.parquet").write_bytes(parquet(table(SOURCES, [copy, row])))
    assert dataset.clips()["uri"].tolist() == ["a.mp4", "a.mp4"]


def test_tables_are_arrow_tables_by_name(dataset: Dataset) -> None:
    names = ("sources", "segments", "clips", "decisions", "manifest")
    assert {name: dataset.table(name).num_rows for name in names} == {
        "sources": 1, "segments": 1, "clips": 2, "decisions": 2, "manifest": 1,
    }  # fmt: skip
    assert dataset.score_names() == ["framing", "identity", "sharpness"]
    assert dataset.measurements("framing").column("face_height_px_in_source").to_pylist() == [300.0, 100.0]


def test_a_wrong_name_is_answered_with_the_right_ones(dataset: Dataset) -> None:
    with pytest.raises(DatasetError, match="no table 'clip'; there are sources, segments, clips, decisions, manifest"):
        dataset.table("clip")
    with pytest.raises(DatasetError, match="no score 'sharpnes' in .*; there are framing, identity, sharpness"):
        dataset.measurements("sharpnes")


def test_a_kept_clips_members_are_read_from_its_shard(dataset: Dataset) -> None:
    kept, rejected = dataset.clips()["clip_id"]
    members = dict(dataset.members(kept))
    assert list(members) == list(MEMBERS)
    assert members["flac"] == f"flac of {kept}".encode()
    assert kept.encode() in members["json"]
    for clip_id in (rejected, "no-such-clip"):
        with pytest.raises(DatasetError, match=f"{clip_id} is no kept clip"):
            dict(dataset.members(clip_id))


@pytest.mark.parametrize("name", ["../../secret.tar", "/etc/passwd", "..", ".", "", "a/b.tar", "secret"])
def test_a_manifest_that_points_out_of_its_shards_is_refused(dataset: Dataset, name: str) -> None:
    for place in ("secret.tar", "shards/secret", "shards/a/b.tar"):
        (dataset.path.parent / place).parent.mkdir(parents=True, exist_ok=True)
        (dataset.path.parent / place).write_bytes(b"secret" * 1000)
    (row,) = dataset.table("manifest").to_pylist(maps_as_pydicts="strict")
    (dataset.path / "manifest.parquet").write_bytes(parquet(table(MANIFEST, [{**row, "shard": name}])))
    with pytest.raises(DatasetError, match="names the shard .*, which leaves its folder"):
        dict(dataset.members(row["clip_id"]))


def test_a_shard_that_is_gone_is_named(dataset: Dataset) -> None:
    kept = dataset.clips()["clip_id"][0]
    (dataset.path / "shards/train-000000.tar").unlink()
    with pytest.raises(DatasetError, match=r"train-000000.tar is missing; run `vividhead curate` again"):
        dict(dataset.members(kept))


@pytest.mark.parametrize("opened", [open_dataset, Dataset, vividhead.open_dataset])
def test_what_is_no_dataset_is_refused_on_opening(tmp_path: Path, opened: Callable[[Any], Any]) -> None:
    with pytest.raises(DatasetError, match="is no dataset: it has no readable run.toml"):
        opened(tmp_path)


def test_the_public_names_are_those_announced() -> None:
    assert vividhead.open_dataset is open_dataset
    assert all(getattr(vividhead, name) for name in vividhead.__all__)
    with pytest.raises(AttributeError, match="no attribute 'open_run'"):
        vividhead.open_run
