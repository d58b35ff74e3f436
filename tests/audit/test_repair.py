"""Publishing again from the ledger: without footage, and only what changed."""

import shutil
from pathlib import Path

import pytest
from faults.trees import tree

from audit.spoilt import change_rows, flip_byte, set_cell
from audit.standing_dataset import FILTERS, settings, standing_dataset
from audit.test_revoke import _quick, kept
from vividhead.audit.account import account
from vividhead.audit.rejudge import rejudge
from vividhead.audit.repack import repack
from vividhead.audit.repair import repair
from vividhead.audit.tables import Tables
from vividhead.audit.verify import verify
from vividhead.cli import main
from vividhead.errors import DatasetError
from vividhead.loader.folder import Folder
from vividhead.manifest import parquet, read
from vividhead.view import open_dataset


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("standing")
    with pytest.MonkeyPatch.context() as patch:
        _quick(patch)
        return standing_dataset(folder / "dataset", folder / "settings")


@pytest.fixture
def dataset(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    _quick(monkeypatch)
    shutil.copytree(made, tmp_path / "dataset")
    return tmp_path / "dataset"


def test_a_sound_dataset_is_left_byte_for_byte(dataset: Path) -> None:
    before = tree(dataset)
    found = repair(dataset)
    assert (found.before, found.after, found.lost, found.unfinished) == (0, 0, [], 0)
    assert tree(dataset) == before


def test_spoilt_tables_are_as_they_were(dataset: Path) -> None:
    before = tree(dataset)
    digest = Tables(dataset).digest
    change_rows(dataset / "clips.parquet", lambda rows: rows[1:])
    set_cell(dataset / "decisions" / digest / "decisions.parquet", 0, kept=False)
    (dataset / "manifest.parquet").unlink()
    (dataset / "measurements" / "framing" / "measurements.parquet").write_bytes(b"no table")
    found = repair(dataset)
    assert found.before > 3 and found.after == 0
    assert tree(dataset) == before


def test_a_clip_with_a_flipped_byte_leaves_the_manifest_until_it_is_encoded_anew(dataset: Path) -> None:
    row = kept(dataset)[1]
    flip_byte(dataset / "shards" / row["shard"], row["mp4_offset"] + 5)
    found = repair(dataset)
    assert found.lost == [row["clip_id"]] and found.unfinished == 1
    assert found.curate.startswith("vividhead curate ")
    assert row["clip_id"] not in {r["clip_id"] for r in kept(dataset)} and len(kept(dataset)) == 4
    checks = {(f.check, f.detail.split(" clip ")[0]) for f in verify(dataset, deep=True).findings}
    assert checks == {("decision", "kept, but")}
    Folder(str(dataset)).manifest()


def test_a_lost_shard_loses_its_clips_and_no_other(dataset: Path) -> None:
    rows = kept(dataset)
    (dataset / "shards" / rows[0]["shard"]).unlink()
    lost = sorted(row["clip_id"] for row in rows if row["shard"] == rows[0]["shard"])
    assert main(["repair", str(dataset)]) == 1
    assert sorted({r["clip_id"] for r in rows} - {r["clip_id"] for r in kept(dataset)}) == lost


def test_stricter_filters_are_packed_from_the_ledger_and_the_way_back_is_too(dataset: Path, tmp_path: Path) -> None:
    before = tree(dataset)
    stricter = settings(tmp_path / "settings", "stricter", FILTERS.replace("160", "175"))
    found = repack(dataset, stricter)
    assert found.from_ledger and (found.clips_before, found.clips_after) == (5, 4)
    assert verify(dataset, deep=True).findings == []
    assert Tables(dataset).run["filters"]["name"] == "stricter"
    same = repack(dataset, stricter)
    assert not same.shards_written and not same.shards_dropped and len(same.shards_reused) > 0
    assert tree(dataset) != before


def test_decisions_of_other_filters_are_made_anew_when_more_is_measured(dataset: Path, tmp_path: Path) -> None:
    framing = dataset / "measurements" / "framing" / "measurements.parquet"
    whole = framing.read_bytes()
    framing.write_bytes(parquet(read(framing).slice(1)))  # as if the first clip had not been measured yet
    other = rejudge(dataset, settings(tmp_path / "settings", "other", FILTERS.replace("160", "165")))
    repack(dataset, settings(tmp_path / "settings", "stricter", FILTERS.replace("160", "175")))
    assert framing.read_bytes() == whole
    assert other.after.digest in Tables(dataset).names("decisions")
    assert verify(dataset).findings == []


def test_looser_filters_want_the_footage(dataset: Path, tmp_path: Path) -> None:
    loose = settings(tmp_path / "settings", "loose", FILTERS.replace("160", "100"))
    before = tree(dataset)
    Path(Tables(dataset).run["input"]["where"]).unlink(missing_ok=True)
    with pytest.raises(DatasetError, match="1 segments of .* want their footage"):
        repack(dataset, loose, on="local")
    assert tree(dataset) == before


def as_version(dataset: Path, version: int) -> None:
    path = dataset / "run.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("\nschema = 1\n", f"\nschema = {version}\n"), encoding="utf-8")


def test_an_older_dataset_is_refused_with_the_command_that_mends_it(dataset: Path) -> None:
    before = tree(dataset)
    as_version(dataset, 0)
    for use in (Tables, open_dataset, account_of):
        with pytest.raises(DatasetError, match=rf"older than 1: .*`vividhead repair {dataset}`"):
            use(dataset)
    assert repair(dataset).after == 0
    assert tree(dataset) == before and Tables(dataset).run["versions"]["schema"] == 1


def account_of(dataset: Path) -> object:
    return account(open_dataset(dataset))


def test_a_newer_dataset_is_refused_with_the_advice_to_update(dataset: Path) -> None:
    as_version(dataset, 2)
    with pytest.raises(DatasetError, match="knows 1: update it"):
        open_dataset(dataset)
