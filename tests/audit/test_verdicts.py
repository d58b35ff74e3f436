"""All clips judged at once: the same as clip by clip, whatever was measured."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vividhead.audit.decisions import REASONS_READ, DecisionWriter, decision_rows
from vividhead.audit.tables import Tables
from vividhead.audit.verdicts import (
    ScoreColumns,
    Verdicts,
    aligned,
    fields_of,
    score_columns,
    score_parts,
    verdicts,
    verdicts_of,
)
from vividhead.errors import DatasetError
from vividhead.ledger import write_atomically
from vividhead.manifest import CLIPS, DECISIONS, MEASUREMENTS, parquet, read, schema, table
from vividhead.plain import to_plain
from vividhead.policy import Policy, Rule, judge
from vividhead.records import Measurement
from vividhead.schemas import field_column
from vividhead.score import score_class

SCORES = ("framing", "sharpness", "lip_sync")
FIELDS = [(score, field) for score in SCORES for field in score_class(score).fields]
LIMITS = st.none() | st.sampled_from([0.0, 1.0, 2.5])
VALUES = st.none() | st.just(math.nan) | st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.5, 2.500001, 7.0])
TEXTS = st.sampled_from(["", "silent", "too_few: é"])


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    score, field = draw(st.sampled_from(FIELDS))
    low, high = draw(LIMITS), draw(LIMITS)
    if low is not None and high is not None and low > high:
        low, high = high, low
    unmeasured: Any = draw(st.sampled_from(["reject", "accept"]))
    return Rule(
        score=score, field=field, min=low, max=high, hard=draw(st.booleans()), unmeasured=unmeasured, why="a test"
    )


@st.composite
def measurements(draw: st.DrawFn, clip_id: str, score: str) -> Measurement | None:
    """A row of one score, in any state; None for no row."""
    status: Any = draw(st.sampled_from(["measured", "measured", "unmeasurable", "failed", "skipped", None]))
    if status is None:
        return None
    fields = list(score_class(score).fields)
    values = {f: draw(VALUES) for f in fields} if status == "measured" else {}
    unknown = {f: draw(TEXTS) for f, v in values.items() if v is None and draw(st.booleans())}
    return Measurement(
        clip_id=clip_id, score=score, version=1, fingerprint="", status=status, code=draw(TEXTS), detail=draw(TEXTS),
        values=values, unknown=unknown,
    )  # fmt: skip


Rows = Mapping[str, Mapping[str, Measurement]]
"""clip_id → score → row."""


@st.composite
def rows_of_clips(draw: st.DrawFn) -> Rows:
    ids = [f"{n:020x}" for n in range(draw(st.integers(0, 6)))]
    drawn = {i: {score: draw(measurements(i, score)) for score in SCORES} for i in ids}
    return {i: {score: row for score, row in of.items() if row is not None} for i, of in drawn.items()}


def measured(rows: Rows, score: str) -> Any:
    """A score's table, as a run would publish it."""
    columns = (*MEASUREMENTS, *(field_column(f, d) for f, d in score_class(score).fields.items()))
    return table(columns, [{**to_plain(of[score]), **of[score].values} for of in rows.values() if score in of])


def written(dataset: Path, rows: Rows) -> Tables:
    """The tables of these clips, as a run would leave them."""
    (dataset / "run.toml").write_text('[filters]\ndigest = "0"\n[versions]\nschema = 1\n', encoding="utf-8")
    write_atomically(dataset / "clips.parquet", parquet(table(CLIPS[:1], [{"clip_id": i} for i in rows])))
    for score in SCORES:
        write_atomically(dataset / f"measurements/{score}/measurements.parquet", parquet(measured(rows, score)))
    return Tables(dataset)


def policy(*named: Rule) -> Policy:
    return Policy(name="drawn", rules=named)


def judged_by_column(tables: Tables, by: Policy) -> tuple[Verdicts, list[dict[str, Any]], Path]:
    ids = tables.read("clips", ["clip_id"])["clip_id"]
    fields = [f for _, f in FIELDS]
    columns = {s: score_columns(tables, s, ids, fields, REASONS_READ) for s in SCORES}
    found = verdicts_of(by, columns)
    (by_score,) = verdicts(tables, [by], ids)
    assert (by_score.kinds_RN == found.kinds_RN).all()
    assert tables.folder is not None
    with DecisionWriter(tables.folder, by.digest) as out:
        for rows, parts in score_parts(tables, fields_of([by]), ids, REASONS_READ, at_once=3):
            out.write(decision_rows(ids[rows], verdicts_of(by, parts), parts, None))
    return found, read(out.path).to_pylist(), out.path


def plain(reasons: Any) -> list[tuple[Any, ...]]:
    """NaN compares unequal to itself; a reason never holds one."""
    return [(r["code"], r["field"], r["value"], r["limit"], r["detail"]) for r in to_plain(reasons)]


@given(rows_of_clips(), st.lists(rules(), min_size=1, max_size=6, unique_by=lambda rule: rule.id))
def test_judging_columns_is_judging_clip_by_clip(rows: Rows, drawn: list[Rule]) -> None:
    by, ids = policy(*drawn), pa.chunked_array([list(rows)], pa.string())
    columns = {score: ScoreColumns(score, aligned(measured(rows, score), ids, score)) for score in SCORES}
    found = verdicts_of(by, columns)
    cells = decision_rows(ids, found, columns, None).to_pylist()
    expected = [judge(by, clip_id, of) for clip_id, of in rows.items()]
    assert found.passed_N.tolist() == [decision.kept for decision in expected]
    assert [(c["clip_id"], c["kept"]) for c in cells] == [(d.clip_id, d.kept) for d in expected]
    assert [plain(c["reasons"]) for c in cells] == [plain(d.reasons) for d in expected]


def some_rows() -> Rows:
    def row(clip_id: str, status: Any, value: float | None = None) -> Measurement:
        values = dict.fromkeys(score_class("framing").fields, value) if status == "measured" else {}
        return Measurement(clip_id=clip_id, score="framing", version=1, fingerprint="", status=status, values=values)

    return {f"{n:020x}": {"framing": row(f"{n:020x}", s, v)} for n, (s, v) in enumerate(
        [("measured", 1.0), ("measured", 3.0), ("skipped", None), ("failed", None)]
    )}  # fmt: skip


AT_LEAST_2 = Rule(score="framing", field="face_height_px_in_source", min=2.0, why="a test")
AT_MOST_9 = Rule(score="framing", field="crop_side_px_in_source", max=9.0, why="a test")


def test_decisions_have_the_published_schema_and_are_the_same_bytes_again(tmp_path: Path) -> None:
    tables = written(tmp_path, some_rows())
    _, _, path = judged_by_column(tables, policy(AT_LEAST_2))
    before = path.read_bytes()
    assert read(path).schema.equals(parquet_schema(tmp_path), check_metadata=True)
    judged_by_column(tables, policy(AT_LEAST_2))
    assert path.read_bytes() == before


def parquet_schema(folder: Path) -> Any:
    """Of decisions as a run publishes them."""
    write_atomically(folder / "published.parquet", parquet(table(DECISIONS, [])))
    return read(folder / "published.parquet").schema


def test_a_clip_that_only_skipped_scores_speak_against_is_undecided(tmp_path: Path) -> None:
    found, _, _ = judged_by_column(written(tmp_path, some_rows()), policy(AT_LEAST_2, AT_MOST_9))
    assert found.passed_N.tolist() == [False, True, False, False]
    assert found.undecided_N.tolist() == [False, False, True, False]
    assert found.n_broken_N.tolist() == [1, 0, 0, 2]
    assert found.sole_N(0).tolist() == [True, False, False, False]
    assert found.sole_N(1).tolist() == [False, False, False, False]


def test_rows_in_another_order_or_missing_are_found_by_their_clip(tmp_path: Path) -> None:
    rows = some_rows()
    tables = written(tmp_path, rows)
    path = tmp_path / "measurements/framing/measurements.parquet"
    whole = read(path)
    write_atomically(path, parquet(whole.take([1, 0, 3])))
    found, _, _ = judged_by_column(tables, policy(AT_LEAST_2))
    assert found.passed_N.tolist() == [False, True, False, False]
    assert found.undecided_N.tolist() == [False, False, True, False]
    write_atomically(path, parquet(whole.take([1, 1, 3])))
    with pytest.raises(DatasetError, match="holds a clip twice"):
        judged_by_column(tables, policy(AT_LEAST_2))


def test_parts_of_the_clips_give_the_same_rows_as_the_whole(tmp_path: Path) -> None:
    tables = written(tmp_path, some_rows())
    ids = tables.read("clips", ["clip_id"])["clip_id"]
    columns = {"framing": score_columns(tables, "framing", ids, ["face_height_px_in_source"], REASONS_READ)}
    found = verdicts_of(policy(AT_LEAST_2), columns)
    whole = decision_rows(ids, found, columns, None).to_pylist()
    parts = []
    for rows in (slice(at, at + 1) for at in range(4)):
        one = {"framing": columns["framing"].part(rows)}
        parts += decision_rows(ids[rows], found.part(rows), one, None).to_pylist()
    assert parts == whole
    assert [len(row["reasons"]) for row in whole] == [1, 0, 1, 1]
    assert schema(DECISIONS).names == list(whole[0])
