"""The acceptance run on footage whose truth is known: what the default filters must make of it."""

import os
import re
from pathlib import Path

import pytest
from outcomes import (
    ASKED,
    LARGE_FACE_RULE,
    SHIFTED,
    SHIFTS_FRAMES,
    Outcomes,
    expected_offset_ms,
    in_sync,
    markdown,
    outcomes,
)

from vividhead.records import GRID_FPS

ROOT = Path(__file__).parent.parent
FOOTAGE = Path(os.environ.get("VIVIDHEAD_SHARED", ROOT.parent / "shared")) / "footage"
LEAST_KEPT_SHARE = 0.7
FRAME_MS = 1000 / GRID_FPS

REJECTED = {
    "stage_cuts": {"too_short", "no_face"},
    "portrait_mute": {"source.no_audio"},
    "bottles_noface": {"source.no_audio"},
    "two_faces_12fps": {"source.no_audio"},
    "hand_gesture_mute": {"source.no_audio"},
    "still_face_music": {"no_speech"},
}
"""What may be said of each file that is no talking head: its shots are short, it is mute …"""
SMALL = {name for name, asked in ASKED.items() if asked == "rejected for resolution"}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    if not (FOOTAGE / "footage.csv").is_file():
        pytest.skip(f"no {FOOTAGE}/footage.csv; set VIVIDHEAD_SHARED to the folder that holds footage/")
    return outcomes(FOOTAGE, tmp_path_factory.mktemp("outcomes"))


@pytest.mark.parametrize("name", [name for name, asked in ASKED.items() if asked == "kept"])
def test_a_good_talking_head_is_kept(found: Outcomes, name: str) -> None:
    assert found.files[name].kept_share >= LEAST_KEPT_SHARE, found.files[name]


def test_a_talking_head_of_odd_frame_rate_is_kept_unless_its_sync_is_unknown(found: Outcomes) -> None:
    file = found.files["suit_oddfps"]
    unknown = "lip_sync.offset_ms:unmeasurable" in file.reasons
    assert unknown or file.kept_share >= LEAST_KEPT_SHARE, file


def test_no_clip_spans_a_hard_cut_between_two_speakers(found: Outcomes) -> None:
    clips = found.files["two_speakers_hardcut"].clips
    assert clips
    frame_s = 1 / GRID_FPS
    assert not [c for c in clips if c.start_s < 4.0 - frame_s and c.end_s > 4.0 + frame_s]


@pytest.mark.parametrize("name", REJECTED)
def test_footage_of_no_talking_head_is_rejected_for_a_true_reason(found: Outcomes, name: str) -> None:
    file = found.files[name]
    assert (file.outcome, file.kept_s) == ("rejected", 0)
    assert max(file.reasons, key=lambda code: file.reasons[code]) in REJECTED[name]
    assert set(file.reasons) <= REJECTED[name] | {"no_picture"}, "the last frame may be without a picture"


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_small_face_is_rejected_for_resolution_alone(found: Outcomes, name: str) -> None:
    file = found.files[name]
    assert (file.outcome, set(file.reasons)) == ("rejected", {f"{LARGE_FACE_RULE}:low"})


def test_lowering_the_line_on_resolution_measures_only_the_clips_it_had_refused(found: Outcomes) -> None:
    assert found.lowered.measured == SMALL
    assert set(found.lowered.units) == {"more", "pack"}
    kept_now = {name for name, file in found.lowered.files.items() if file.kept_s > 0}
    kept_before = {name for name, file in found.files.items() if file.kept_s > 0}
    assert found.lowered.units["pack"] == len(kept_now - kept_before)


def test_lowering_the_line_on_resolution_keeps_the_small_faces_in_sync(found: Outcomes) -> None:
    shares = {name: found.lowered.files[name].kept_share for name in SMALL & in_sync(FOOTAGE)}
    assert shares and all(share >= LEAST_KEPT_SHARE for share in shares.values()), shares


def test_lowering_the_line_on_resolution_changes_nothing_else(found: Outcomes) -> None:
    assert {name for name, file in found.lowered.files.items() if file != found.files[name]} == SMALL


def test_a_change_of_filters_that_needs_no_skipped_measurement_makes_nothing_anew(found: Outcomes) -> None:
    assert (dict(found.raised.units), found.raised.measured) == ({}, frozenset())
    assert found.raised.files["portrait_kitchen"].outcome == "rejected"
    assert found.raised.files[SHIFTED].outcome == "kept"


@pytest.mark.parametrize("frames", SHIFTS_FRAMES)
def test_sound_shifted_against_the_lips_is_rejected_for_its_offset(found: Outcomes, frames: int) -> None:
    file = found.shifted[frames]
    assert (file.outcome, file.kept_s) == ("rejected", 0)
    assert f"lip_sync.offset_ms:{'low' if frames > 0 else 'high'}" in file.reasons


@pytest.mark.parametrize("frames", SHIFTS_FRAMES)
def test_the_offset_read_follows_the_shift_within_a_frame(found: Outcomes, frames: int) -> None:
    read, expected = found.shifted[frames].clips[0].offset_ms, expected_offset_ms(found, frames)
    assert read is not None and expected is not None
    assert abs(read - expected) <= FRAME_MS


def test_the_document_says_what_the_run_does(found: Outcomes) -> None:
    said = (ROOT / "docs" / "outcomes.md").read_text(encoding="utf-8").splitlines()
    assert [_without_numbers(line) for line in said] == [_without_numbers(line) for line in markdown(found)]


def _without_numbers(line: str) -> str:
    """Readings differ in their last digits between machines."""
    return re.sub(r"-?\d+(\.\d+)?", "#", line)
