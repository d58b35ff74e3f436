"""The shipped contract is what the code writes, and what a run leaves keeps it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hand_made import FACE_AT_LEAST, Written, make_clip, rows_of
from jsonschema import Draft202012Validator, ValidationError

from vividhead.audit.account import account
from vividhead.contract import differences, main
from vividhead.dataset import SCHEMA_VERSION, run_toml
from vividhead.manifest import CLIPS, DECISIONS, MANIFEST, MEASUREMENTS, SEGMENTS, SOURCES, arrow_type
from vividhead.plain import to_plain
from vividhead.publish import publish
from vividhead.records import Stretch
from vividhead.schemas import schemas
from vividhead.score import score_class, score_names
from vividhead.shipped import shipped
from vividhead.units import Failure, pack_key
from vividhead.view import Dataset, open_dataset

MANIFESTS = shipped("manifests")


def rows(table: Any) -> list[dict[str, Any]]:
    """An Arrow table's rows as JSON values."""
    return json.loads(json.dumps(table.to_pylist(maps_as_pydicts="strict")))  # type: ignore[no-any-return]


def check(dataset: Dataset) -> int:
    """Validate every row of every table, and the account; returns how many rows there were."""
    tables = {name: dataset.table(name) for name in ("sources", "segments", "clips", "decisions", "manifest")}
    tables |= {f"measurements.{name}": dataset.measurements(name) for name in dataset.score_names()}
    count = 0
    for name, table in tables.items():
        validator = Draft202012Validator(schemas()[f"{name}.schema.json"])
        for row in rows(table):
            validator.validate(row)
            count += 1
    Draft202012Validator(schemas()["status.schema.json"]).validate(account(dataset).plain())
    return count


def test_the_shipped_files_are_those_the_code_writes() -> None:
    assert differences(MANIFESTS) == [], "run: python -m vividhead.contract manifests"


def test_checking_tells_what_is_outdated_missing_and_left_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    (tmp_path / "README.md").write_text("by hand")
    (tmp_path / "clips.schema.json").unlink()
    (tmp_path / "measurements.gone.schema.json").write_text("{}")
    assert main(["--check", str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}: README.md is outdated",
        f"{tmp_path}: clips.schema.json is missing",
        f"{tmp_path}: measurements.gone.schema.json is left over",
    ]
    assert main([str(tmp_path)]) == 0
    assert differences(tmp_path) == []


@pytest.mark.parametrize("name", schemas())
def test_every_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(schemas()[name])


def test_every_score_has_a_schema_with_its_fields_and_their_ranges() -> None:
    for score in score_names():
        properties = schemas()[f"measurements.{score}.schema.json"]["properties"]
        assert list(properties) == [
            *(c.name for c in MEASUREMENTS),
            *score_class(score).fields,
            *score_class(score).texts,
        ]
        assert set(schemas()["manifest.schema.json"]["properties"]) >= {
            f"{score}.{field}" for field in score_class(score).fields
        }
    fraction = schemas()["measurements.speech.schema.json"]["properties"]["speech_fraction"]
    assert (fraction["type"], fraction["minimum"], fraction["maximum"]) == (["number", "null"], 0, 1)


ALL_COLUMNS = (*SOURCES, *SEGMENTS, *CLIPS, *MEASUREMENTS, *DECISIONS, *MANIFEST)


def test_every_column_has_a_type_a_meaning_and_the_unit_its_name_says() -> None:
    for column in ALL_COLUMNS:
        arrow_type(column.type)
        assert column.meaning and column.meaning[0] != " "
        assert 1 <= column.since <= SCHEMA_VERSION
        for ending, unit in {"_px": "px", "_hz": "Hz", "_deg": "°", "_s": "s", "_frames": "frames"}.items():
            assert not column.name.endswith(ending) or column.unit == unit, column
    for table in (SOURCES, SEGMENTS, CLIPS, MEASUREMENTS, DECISIONS, MANIFEST):
        names = [column.name for column in table]
        assert len(names) == len(set(names))


def test_the_readme_names_every_column_and_field() -> None:
    text = (MANIFESTS / "README.md").read_text(encoding="utf-8")
    for column in ALL_COLUMNS:
        (line,) = {
            line
            for line in text.splitlines()
            if line.startswith(f"| `{column.name}` | `{column.type}` |")
            and (f" {column.meaning.replace('|', chr(92) + '|')} |" in line)
        }
        assert line.endswith(f"| {column.since} |")
    for score in score_names():
        for field in score_class(score).fields:
            assert f"| `{score}.{field}` |" in text


@pytest.fixture
def published(tmp_path: Path) -> Dataset:
    """A hand-made dataset with a rejected clip, a skipped score, an unknown field and a failed clip."""
    written = Written(tmp_path)
    written.scan((0, 400), stretches=(Stretch(start_frame=400, end_frame=500, code="no_speech"),))
    clips = [make_clip(written.segment, at, at + 100) for at in (0, 100, 200)]
    measured = [
        *rows_of(clips[0], face_px=100, blurs=None, similarity=None), *rows_of(clips[1], blurs=10), *rows_of(clips[2]),
    ]  # fmt: skip
    written.measure(clips, measured, (Stretch(start_frame=300, end_frame=400, code="failed.corrupt"),))
    chain = written.chain()
    chain.sources = [written.source]
    chain.advance(written.segment, written.source)
    failed = {"failed": to_plain(Failure("failed.crash", "reproduce: …"))}
    written.ledger.commit("pack", pack_key(clips[2].clip_id, written.pipeline), failed, {})
    publish(tmp_path, chain, finished=True)
    (tmp_path / "run.toml").write_text(run_toml("footage", written.pipeline, chain.job.policy))
    return open_dataset(tmp_path)


def test_what_is_published_keeps_the_contract(published: Dataset) -> None:
    assert check(published) == 1 + 1 + 3 + 3 + 3 * 3


def test_the_contract_refuses_what_breaks_it(published: Dataset) -> None:
    (row, *_) = rows(published.table("clips"))
    validator = Draft202012Validator(schemas()["clips.schema.json"])
    validator.validate(row)
    for broken in ({"clip_id": "no-id"}, {"track": None}, {"start_frame": "0"}, {"more": 1}):
        with pytest.raises(ValidationError):
            validator.validate({**row, **broken})
    (reason, *_) = rows(published.table("decisions"))[0]["reasons"]
    assert reason["code"] == f"{FACE_AT_LEAST.id}:low"


def test_the_example_is_a_dataset_that_keeps_the_contract_and_adds_up() -> None:
    example = open_dataset(MANIFESTS / "example")
    assert check(example) > 20
    found = account(example)
    seconds = found.seconds()
    assert sum(seconds.values()) == pytest.approx(found.footage_s, abs=1e-6)
    assert seconds["kept"] > 0 and seconds["rejected"] > 0 and seconds["not_yet"] == 0
    assert len(example.score_names()) > 5 and set(example.score_names()) <= set(score_names())
    assert len(example.clips()) == len(rows(example.table("clips")))


def test_the_example_is_small_and_holds_no_media_and_no_path_of_a_machine() -> None:
    files = [path for path in (MANIFESTS / "example").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".toml", ".parquet"}
    assert sum(path.stat().st_size for path in files) < 300_000
    assert not any(Path(row["uri"]).is_absolute() for row in rows(open_dataset(MANIFESTS / "example").table("sources")))


def test_the_readmes_query_runs_on_the_example(monkeypatch: pytest.MonkeyPatch) -> None:
    import duckdb

    text = (MANIFESTS / "README.md").read_text(encoding="utf-8")
    query = text.split("```sql\n", 1)[1].split("```", 1)[0]
    monkeypatch.chdir(MANIFESTS.parent)
    found = duckdb.sql(query).fetchall()
    assert found and all(code.count(":") == 1 and seconds > 0 for code, seconds in found)
