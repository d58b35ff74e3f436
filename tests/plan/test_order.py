"""The order of scores in which saying no is cheapest."""

import pytest
from hand_made import FACE_AT_LEAST, SCORES, SHARP, make_clip, make_segment, make_source, policy, rows_of

from vividhead.plan.order import cheapest_order
from vividhead.plan.trial import Trial, TriedClip

SEGMENT = make_segment(make_source())


def clips(*blurs_and_faces: tuple[float, float]) -> list[TriedClip]:
    found = []
    for number, (blurs, face_px) in enumerate(blurs_and_faces):
        clip = make_clip(SEGMENT, 100 * number, 100 * number + 100)
        rows = {row.score: row for row in rows_of(clip, face_px=face_px, blurs=blurs)}
        found.append(TriedClip(clip.duration_s, rows))
    return found


def spending(seconds: float, **ms_per_s: float) -> list[Trial]:
    spent = {name: ms * seconds / 1000 for name, ms in ms_per_s.items()}
    return [
        Trial(uri="a", duration_s=20, kept_s=0, packed_bytes=0, outcome="kept", cpu_s={}, score_cpu_s=spent)
    ]  # fmt: skip


def test_what_refuses_most_for_its_cost_comes_first() -> None:
    four = clips((10, 300), (10, 300), (100, 300), (100, 100))  # two blurred, one small
    found = cheapest_order(spending(16, framing=10, sharpness=12, identity=100), four, SCORES, policy())
    assert [(c.score, c.refuses) for c in found.costs] == [("framing", 0.25), ("sharpness", 0.5), ("identity", 0)]
    assert found.cheapest == ("sharpness", "framing", "identity")
    assert found.cpu_ms_per_s_now == pytest.approx((10 * 4 + 12 * 3 + 100 * 1) / 4)
    assert found.cpu_ms_per_s_cheapest == pytest.approx((12 * 4 + 10 * 2 + 100 * 1) / 4)


def test_a_score_that_refuses_only_what_another_refuses_follows_with_the_rest() -> None:
    three = clips((10, 100), (10, 300), (100, 300))
    found = cheapest_order(spending(12, framing=30, sharpness=12, identity=100), three, SCORES, policy())
    assert found.cheapest == ("sharpness", "framing", "identity")
    assert [c.refuses for c in found.costs] == pytest.approx([1 / 3, 2 / 3, 0])


def test_rules_that_are_not_hard_refuse_nothing_early() -> None:
    from dataclasses import replace

    soft = policy(replace(FACE_AT_LEAST, hard=False), replace(SHARP, hard=False))
    found = cheapest_order(spending(4, framing=1, sharpness=2, identity=3), clips((10, 100)), SCORES, soft)
    assert [c.refuses for c in found.costs] == [0, 0, 0]
    assert found.cpu_ms_per_s_now == found.cpu_ms_per_s_cheapest == pytest.approx(6.0)


def test_without_a_candidate_nothing_is_known() -> None:
    found = cheapest_order([], [], SCORES, policy())
    assert found.clips == 0 and found.cheapest == ("framing", "sharpness", "identity")
