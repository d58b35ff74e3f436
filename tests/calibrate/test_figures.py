"""Curves, limits and figures of readings that were written by hand."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from vividhead.calibrate.figures import Readings, bystanders, costs, curves, thresholds
from vividhead.calibrate.lip_sync_figures import lip_sync_figures
from vividhead.calibrate.records import UNTOUCHED, Good, Reading
from vividhead.calibrate.senses import directions
from vividhead.policy import Policy, Rule
from vividhead.records import Measurement

SHARP, OFFSET, CONFIDENCE = "sharpness.blurs_per_face_p10", "lip_sync.offset_ms", "lip_sync.confidence"
RULES = (
    Rule(score="framing", field="face_height_px_in_source", min=160, why="a test"),
    Rule(score="sharpness", field="blurs_per_face_p10", min=55, why="a test"),
    Rule(score="lip_sync", field="offset_ms", min=-100, max=100, why="a test"),
    Rule(score="lip_sync", field="confidence", min=0.5, why="a test"),
)


def row(score: str, **values: float | None) -> Measurement:
    return Measurement(clip_id="", score=score, version=1, fingerprint="", status="measured", values=values)


def reading(clip: str, family: str, level: float, *rows: Measurement, cuts: int = 0) -> Reading:
    return Reading(
        clip=clip, family=family, level=level, measurements=rows, cost_ms={"sharpness": 10.0}, n_frames=50, cuts=cuts,
        face_share=1.0,
    )  # fmt: skip


def good(name: str, face_px: float = 200.0) -> Good:
    return Good(
        name=name, source_id=f"{name}-source", speaker=name, n_frames=50, side_px=400, face_px_in_source=face_px
    )


def data(readings: Sequence[Reading], goods: Sequence[Good]) -> Readings:
    by_family: dict[str, list[Reading]] = {}
    for one in readings:
        by_family.setdefault(one.family, []).append(one)
    return Readings(goods, by_family, Policy(name="by-hand", rules=RULES), precision=0.98, seed=0)


def blurred(clips: str = "abcd", best: float = 120.0) -> list[Reading]:
    """Clips whose sharpness falls with every level: 100, 80, 50, 20 of the best; the first one best of all."""
    found = []
    for k, clip in enumerate(clips):
        found.append(reading(clip, UNTOUCHED, 0, row("sharpness", blurs_per_face_p10=best - k)))
        for level, value in ((0.5, 100.0), (1, 80.0), (2, 50.0), (4, 20.0)):
            found.append(reading(clip, "defocus", level, row("sharpness", blurs_per_face_p10=value - k)))
    return found


def test_a_curve_has_every_level_and_tells_good_from_harmful() -> None:
    (curve,) = (c for c in curves(data(blurred(), [good(c) for c in "abcd"])) if c.family == "defocus")
    assert curve.field == SHARP
    assert [level.level for level in curve.levels] == [0, 0.5, 1, 2, 4]
    assert [level.harmful for level in curve.levels] == [False, False, False, True, True]
    assert [level.median for level in curve.levels] == [118.5, 98.5, 78.5, 48.5, 18.5]
    assert [level.refused for level in curve.levels] == [0, 0, 0, 1, 1]
    assert curve.auc.value == 1 and curve.monotone.value == 1


def test_the_limit_lies_between_good_and_harmful_and_tells_what_a_dataset_loses() -> None:
    lost = {"mine": {SHARP: np.array([100.0, 40.0, 60.0, np.nan])}}
    (found,) = thresholds(data(blurred(), [good(c) for c in "abcd"]), lost)
    assert (found.field, found.sense, found.reached) == (SHARP, "low", True)
    assert found.wanted.value == pytest.approx((117 + 50) / 2)
    assert (found.precision, found.kept_good.value) == (1.0, 1.0)
    assert (found.shipped, found.shipped_precision, found.shipped_kept_good) == (55, 1.0, 1.0)
    assert found.dropped_of_datasets == {"mine": (0.75, 0.5)}


def test_small_faces_have_no_say_in_limits_on_pictures() -> None:
    readings = [*blurred(), *blurred("e", best=10.0)]
    (found,) = thresholds(data(readings, [*(good(c) for c in "abcd"), good("e", face_px=90)]), {})
    assert found.kept_good.value == 1.0
    (found,) = thresholds(data(readings, [good(c) for c in "abcde"]), {})
    assert found.kept_good.value == 0.8


def test_what_is_unmeasured_is_the_worst_of_all_and_a_cut_is_told() -> None:
    blind = [reading(clip, "defocus", 4, row("sharpness", blurs_per_face_p10=None), cuts=1) for clip in "abcd"]
    readings = [one for one in blurred() if one.level != 4] + blind
    (curve,) = (c for c in curves(data(readings, [good(c) for c in "abcd"])) if c.family == "defocus")
    assert curve.levels[-1].unmeasured == 4 and curve.levels[-1].median is None
    assert (curve.levels[-1].refused, curve.levels[-1].parted, curve.levels[-2].parted) == (1, 1, 0)
    assert curve.auc.value == 1


def test_other_clips_than_those_spoilt_have_no_say_in_a_curve() -> None:
    readings = [*blurred(), reading("e", UNTOUCHED, 0, row("sharpness", blurs_per_face_p10=10.0))]
    (curve,) = (c for c in curves(data(readings, [good(c) for c in "abcde"])) if c.family == "defocus")
    assert curve.levels[0].clips == 4 and curve.levels[0].median == 118.5
    assert curve.auc.value == 1


@pytest.mark.parametrize(("unmeasured", "kept", "lost"), [("reject", 0.75, 0.75), ("accept", 1.0, 0.5)])
def test_a_shipped_rule_that_accepts_the_unmeasured_drops_no_such_clip(
    unmeasured: Literal["reject", "accept"], kept: float, lost: float
) -> None:
    readings = blurred()
    readings[0] = replace(readings[0], measurements=(row("sharpness", blurs_per_face_p10=None),))
    found = data(readings, [good(c) for c in "abcd"])
    rules = tuple(replace(rule, unmeasured=unmeasured) for rule in RULES)
    of_dataset = {"mine": {SHARP: np.array([100.0, 40.0, 30.0, np.nan])}}
    (limit,) = thresholds(replace(found, policy=replace(found.policy, rules=rules)), of_dataset)
    assert (limit.shipped_kept_good, limit.dropped_of_datasets["mine"][1]) == (kept, lost)


def test_a_limit_says_what_it_does_to_speakers_left_out() -> None:
    readings = blurred()
    at = next(k for k, one in enumerate(readings) if (one.clip, one.family, one.level) == ("a", "defocus", 2))
    readings[at] = reading("a", "defocus", 2, row("sharpness", blurs_per_face_p10=100.0))
    (found,) = thresholds(data(readings, [good(c) for c in "abcd"]), {})
    assert (found.precision, found.kept_good.value) == (1.0, 1.0)
    # The limit of b, c and d lets one harmful reading of a pass, of eight in all.
    assert (found.held_out_precision, found.held_out_kept_good) == (pytest.approx(1 / (1 + 1 / 8)), 1.0)


def heard(clip: str, family: str, level: float, offset_ms: float | None, confidence: float) -> Reading:
    peak = confidence / 2
    return reading(
        clip, family, level, row("lip_sync", offset_ms=offset_ms, confidence=confidence, peak=peak, coverage=1.0)
    )


def talks() -> list[Reading]:
    """Three clips read within 10 ms, a fourth that jumps at +5 frames; another's voice is believed once in four."""
    found = []
    for k, clip in enumerate("abcd"):
        found.append(heard(clip, UNTOUCHED, 0, 10.0, 0.9))
        for level in (-5, 5):
            jumps = clip == "d" and level == 5
            found.append(heard(clip, "audio_shift", level, 10 + level * 40 + (300 if jumps else 8), 0.9))
        found.append(heard(clip, "other_voice", 1, None if k else 20.0, 0.1 if k else 0.8))
    return found


def test_errors_are_against_the_untouched_clip_moved_by_the_truth() -> None:
    (curve,) = (c for c in curves(data(talks(), [good(c) for c in "abcd"])) if c.family == "audio_shift")
    by_level = {level.level: level for level in curve.levels}
    assert by_level[-5].error_median == pytest.approx(8) and by_level[-5].within == 1
    assert by_level[5].within == 0.75 and by_level[5].error_p95 == pytest.approx(256.2)


def test_lip_sync_counts_offsets_and_wrong_sound_that_is_believed() -> None:
    found = lip_sync_figures(data(talks(), [good(c) for c in "abcd"]))
    assert set(found) == {"all", "never fitted on", "shorter"}
    everything = found["all"]
    assert everything.clips == 4 and everything.kept_good == 1
    assert everything.within_1_frame.value == 7 / 8
    assert everything.false_accepts == {"other_voice": 0.25} == everything.false_confident
    assert everything.peak_auc.value == 1
    assert [(b.said, b.true, b.readings) for b in everything.reliability] == [(0.1, 0.0, 3), (0.88, 0.733, 13)]


def test_an_offset_where_the_untouched_clip_has_none_is_held_against_zero() -> None:
    readings = talks()
    readings[0] = heard("a", UNTOUCHED, 0, None, 0.4)
    at = next(k for k, one in enumerate(readings) if (one.clip, one.level) == ("a", 5))
    right = lip_sync_figures(data(readings, [good(c) for c in "abcd"]))["all"].reliability[-1]
    readings[at] = heard("a", "audio_shift", 5, -400.0, 0.9)
    wrong = lip_sync_figures(data(readings, [good(c) for c in "abcd"]))["all"].reliability[-1]
    assert wrong.readings == right.readings and wrong.true < right.true


def test_a_rule_of_two_limits_is_bad_away_from_its_middle() -> None:
    rule = Rule(score="exposure", field="face_luma_median", min=20, max=230, why="a test")
    way = directions(Policy(name="by-hand", rules=(rule,)))["exposure.face_luma_median"]
    assert way.badness(125) == 0 and way.badness(10) > (way.shipped or 0) and way.badness(235) > (way.shipped or 0)
    assert way.badness(20) == way.shipped == way.badness(230)


def test_costs_are_for_a_second_and_bystanders_are_those_not_concerned() -> None:
    readings = blurred()
    readings += [replace(one, family="over_exposure", level=3) for one in readings if one.family == "defocus"]
    found = data(readings, [good(c) for c in "abcd"])
    assert costs(found) == {"sharpness": 5.0}
    assert set(bystanders(found)[SHARP]) == {"over_exposure"}
