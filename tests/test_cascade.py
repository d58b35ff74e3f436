"""Which scores run, which are skipped, and when a new policy wants more."""

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hand_made import (
    FACE_AT_LEAST,
    ONE_PERSON,
    SCORES,
    SHARP,
    face_at_least,
    make_clip,
    make_row,
    make_segment,
    make_source,
    policy,
    rows_of,
)
from hypothesis import given
from hypothesis import strategies as st

from vividhead import score
from vividhead.cascade import in_cost_order, is_known, looks_hopeless, run_scores, wants_more
from vividhead.policy import Policy, broken_hard, judge
from vividhead.records import Measurement

CLIP = make_clip(make_segment(make_source()), 0, 100)
Rows = dict[str, Measurement]


def rows(**given: Any) -> Rows:
    return {row.score: row for row in rows_of(CLIP, **given)}


def run(
    truth: Mapping[str, Measurement], have: Mapping[str, Measurement], judged_by: Policy, exhaustive: bool = False
) -> tuple[Rows, list[str]]:
    """Run the cascade where measuring gives `truth`; its rows, and the scores that were measured, in order."""
    asked: list[str] = []

    def measure(name: str, media: object) -> Measurement:
        asked.append(name)
        return truth[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score, "measure", measure)
        media: Any = SimpleNamespace(clip=CLIP)
        return run_scores(SCORES, media, have, judged_by, exhaustive), asked


def statuses(found: Rows) -> dict[str, str]:
    return {name: row.status for name, row in found.items()}


def test_scores_run_from_the_cheapest_to_the_dearest() -> None:
    assert in_cost_order(["identity", "framing", "sharpness"]) == ["framing", "sharpness", "identity"]
    found, asked = run(rows(), {}, policy())
    assert asked == ["framing", "sharpness", "identity"]
    assert list(found) == list(SCORES)


def test_a_broken_hard_rule_skips_all_that_is_dearer() -> None:
    found, asked = run(rows(face_px=100), {}, policy())
    assert asked == ["framing"]
    assert statuses(found) == {"framing": "measured", "sharpness": "skipped", "identity": "skipped"}
    assert {row.clip_id for row in found.values()} == {CLIP.clip_id}
    assert [reason.code for reason in judge(policy(), CLIP.clip_id, found).reasons] == [
        "framing.face_height_px_in_source:low",
        "sharpness.blurs_per_face_p10:skipped",
        "identity.worst_similarity_to_medoid:skipped",
    ]


def test_a_broken_soft_rule_skips_nothing() -> None:
    soft = policy(replace(FACE_AT_LEAST, hard=False), SHARP, ONE_PERSON)
    assert run(rows(face_px=100), {}, soft)[1] == list(SCORES)


def test_an_exhaustive_run_measures_on() -> None:
    found, asked = run(rows(face_px=100), {}, policy(), exhaustive=True)
    assert asked == list(SCORES)
    assert set(statuses(found).values()) == {"measured"}


def test_what_is_known_is_not_measured_again() -> None:
    have = rows(face_px=100, blurs=None, similarity=None)
    found, asked = run(rows(face_px=1), have, face_at_least(90))
    assert asked == ["sharpness", "identity"]
    assert found["framing"] is have["framing"]


def test_skipped_is_not_known_and_other_versions_are_not() -> None:
    row = make_row(CLIP, "framing", face_height_px_in_source=100)
    assert is_known(row)
    assert is_known(make_row(CLIP, "framing", "unmeasurable", "no_face"))
    assert is_known(make_row(CLIP, "framing", "failed", "ValueError"))
    assert not is_known(make_row(CLIP, "framing", "skipped"))
    assert not is_known(replace(row, version=row.version + 1))
    assert not is_known(None)


def test_what_another_model_file_measured_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    row = replace(make_row(CLIP, "active_speaker"), fingerprint="finetuning_TalkSet.model/0123 (licence MIT)")
    monkeypatch.setattr(score, "model_in_use", lambda name: "finetuning_TalkSet.model/0123 (licence MIT)")
    assert is_known(row)
    monkeypatch.setattr(score, "model_in_use", lambda name: "finetuning_TalkSet.model/4567 (licence MIT)")
    assert not is_known(row)
    monkeypatch.setattr(score, "model_in_use", lambda name: "")
    assert is_known(row), "the model is gone: what it said holds"


def test_a_score_of_an_older_version_is_measured_again() -> None:
    have = rows()
    have["sharpness"] = replace(have["sharpness"], version=0)
    assert wants_more(SCORES, have, policy(), exhaustive=False)
    assert run(rows(), have, policy())[1] == ["sharpness"]


def test_more_is_wanted_only_where_a_hard_rule_no_longer_stops() -> None:
    stopped = rows(face_px=100, blurs=None, similarity=None)
    assert not wants_more(SCORES, stopped, face_at_least(160), exhaustive=False)
    assert not wants_more(SCORES, stopped, face_at_least(101), exhaustive=False)
    assert wants_more(SCORES, stopped, face_at_least(100), exhaustive=False)
    assert wants_more(SCORES, stopped, face_at_least(160), exhaustive=True)
    stopped_later = rows(face_px=100, blurs=10, similarity=None)
    assert not wants_more(SCORES, stopped_later, face_at_least(50), exhaustive=False)


def test_nothing_more_is_wanted_of_a_clip_that_is_fully_measured() -> None:
    for limit in (50, 160, 500):
        assert not wants_more(SCORES, rows(), face_at_least(limit), exhaustive=False)


@pytest.mark.parametrize(
    ("face_px", "hard", "exhaustive", "hopeless"),
    [(100, True, False, True), (160, True, False, False), (100, False, False, False), (100, True, True, False)],
)
def test_a_clip_looks_hopeless_when_a_hard_rule_on_its_boxes_would_refuse_what_there_is_of_it(
    face_px: float, hard: bool, exhaustive: bool, hopeless: bool
) -> None:
    asked: list[str] = []

    def measure(name: str, media: object) -> Measurement:
        asked.append(name)
        return rows(face_px=face_px, blurs=1)[name]

    judged_by = policy(replace(FACE_AT_LEAST, hard=hard), SHARP, ONE_PERSON)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score, "measure", measure)
        media: Any = SimpleNamespace(clip=CLIP)
        assert looks_hopeless(SCORES, media, judged_by, exhaustive) is hopeless
    assert asked == ([] if exhaustive else ["framing"]), "no score that reads pictures"


FACE_PX, BLURS, LIKENESS = st.integers(100, 300), st.integers(0, 80), st.integers(0, 10).map(lambda tenth: tenth / 10)
TRUTH = st.builds(rows, face_px=FACE_PX, blurs=BLURS, similarity=LIKENESS)
POLICY = st.tuples(FACE_PX, BLURS, LIKENESS, st.lists(st.booleans(), min_size=3, max_size=3)).map(
    lambda drawn: policy(
        *(
            replace(rule, min=limit, hard=hard)
            for rule, limit, hard in zip((FACE_AT_LEAST, SHARP, ONE_PERSON), drawn[:3], drawn[3], strict=True)
        )
    )
)


@given(TRUTH, POLICY, POLICY)
def test_a_second_policy_measures_what_it_would_have_and_decides_as_if_it_had_been_the_first(
    truth: Rows, first: Policy, second: Policy
) -> None:
    before, _ = run(truth, {}, first)
    assert not wants_more(SCORES, before, first, exhaustive=False)
    after, asked = run(truth, before, second)
    assert bool(asked) == wants_more(SCORES, before, second, exhaustive=False)
    assert not any(is_known(before[name]) for name in asked)
    assert not wants_more(SCORES, after, second, exhaustive=False)
    afresh, _ = run(truth, {}, second)
    assert judge(second, CLIP.clip_id, after).kept == judge(second, CLIP.clip_id, afresh).kept
    assert broken_hard(second, after) == broken_hard(second, afresh)
