"""Each kind of damage does what it says, by the amount it says, and nothing else."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead.calibrate.perturbations import FAMILIES, MARGIN_FRAMES, Family, Scene
from vividhead.records import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME
from vividhead.score import score_class

FRAMES, SIDE = 76, 96
FAMILY = {family.name: family for family in FAMILIES}


def make_scene(seed: int) -> Scene:
    """A drawn picture that moves a little, and sound in which every sample differs."""
    rng = np.random.default_rng(seed)
    still = cv2.resize(rng.integers(40, 200, (24, 24, 3), dtype=np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    frames = np.stack([np.roll(still, k // 8, axis=1) for k in range(FRAMES)])
    heard_S = rng.uniform(-0.5, 0.5, (FRAMES + 2 * MARGIN_FRAMES) * SAMPLES_PER_FRAME).astype(np.float32)
    mouth = np.full((FRAMES, 2), (48, 60), np.float32)
    return Scene(frames_THWC=frames, heard_S=heard_S, face=(24, 20, 72, 68), mouth_xy_T2=mouth)


MINE, THEIRS = make_scene(1), make_scene(2)


def made(name: str, level: float) -> Scene:
    family = FAMILY[name]
    return family.make(MINE, THEIRS, level, np.random.default_rng(0))


def change(scene: Scene) -> NDArray[np.float64]:
    """Mean change of each frame in levels."""
    return np.abs(scene.frames_THWC.astype(float) - MINE.frames_THWC).mean(axis=(1, 2, 3))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_is_pure_and_changes_what_it_says(family: Family) -> None:
    before = MINE.frames_THWC.copy(), MINE.heard_S.copy()
    for level in (family.levels[0], family.levels[-1]):
        first, again = (family.make(MINE, THEIRS, level, np.random.default_rng(7)) for _ in range(2))
        assert np.array_equal(first.frames_THWC, again.frames_THWC)
        assert np.array_equal(first.heard_S, again.heard_S)
        assert first.frames_THWC.dtype == np.uint8 and first.heard_S.dtype == np.float32
        assert len(first.audio_S) == first.n_frames * SAMPLES_PER_FRAME
        assert np.abs(first.audio_S).max() <= 1
        if family.changes == "sound":
            assert first.frames_THWC is MINE.frames_THWC
        if family.changes == "pictures":
            assert np.array_equal(first.heard_S, MINE.heard_S)
    assert np.array_equal(before[0], MINE.frames_THWC) and np.array_equal(before[1], MINE.heard_S)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_names_fields_and_levels_that_there_are(family: Family) -> None:
    for field in (*family.concerns, *family.watches, *(truth.field for truth in family.truth)):
        score, _, name = field.partition(".")
        assert name in score_class(score).fields
    assert set(family.harmful) <= set(family.levels)
    assert len(set(family.levels)) == len(family.levels)


def test_pictures_that_come_later_hear_what_is_said_later_on() -> None:
    start = (MARGIN_FRAMES + 3) * SAMPLES_PER_FRAME
    assert np.array_equal(made("audio_shift", 3).audio_S, MINE.heard_S[start : start + FRAMES * SAMPLES_PER_FRAME])
    half = round((MARGIN_FRAMES - 0.5) * SAMPLES_PER_FRAME)
    assert np.array_equal(made("audio_shift", -0.5).audio_S[:100], MINE.heard_S[half : half + 100])


def test_sound_is_not_moved_beyond_what_is_known() -> None:
    with pytest.raises(ValueError, match="16 frames to either side"):
        MINE.sound_at(17)


def test_drifting_sound_is_in_time_in_the_middle_alone() -> None:
    drifted, middle = made("audio_drift", 4).audio_S, len(MINE.audio_S) // 2
    assert drifted[middle] == pytest.approx(MINE.audio_S[middle], abs=0.05)
    first = (MARGIN_FRAMES - 2) * SAMPLES_PER_FRAME
    assert drifted[0] == pytest.approx(MINE.heard_S[first], abs=0.01)


@pytest.mark.parametrize("level", [0.01, 0.2])
def test_so_much_of_the_sound_is_clipped(level: float) -> None:
    assert np.mean(np.abs(made("clipped_sound", level).audio_S) >= 0.999) == pytest.approx(level, abs=0.002)


@pytest.mark.parametrize("name", ["music", "sound_noise", "second_voice"])
def test_what_is_added_is_as_loud_as_said(name: str) -> None:
    quiet = Scene(frames_THWC=MINE.frames_THWC, heard_S=MINE.heard_S / 50, face=MINE.face, mouth_xy_T2=MINE.mouth_xy_T2)
    both = FAMILY[name].make(quiet, THEIRS, 10, np.random.default_rng(0)).audio_S
    added = both - quiet.audio_S
    assert 10 * np.log10(np.mean(added**2) / np.mean(quiet.audio_S**2)) == pytest.approx(10, abs=0.1)


def test_nothing_is_left_above_the_band() -> None:
    power = np.abs(np.fft.rfft(made("band_limit", -2).audio_S)) ** 2
    hz = np.fft.rfftfreq(len(MINE.audio_S), 1 / SAMPLE_RATE_HZ)
    assert power[hz > 2100].sum() < 1e-4 * power[hz < 1900].sum()


@pytest.mark.parametrize(("name", "levels"), [
    ("defocus", (1, 2, 4)), ("motion_blur", (2, 4, 8)), ("false_resolution", (-40, -20, -10)), ("h264", (23, 37, 51)),
])  # fmt: skip
def test_more_of_it_leaves_less_detail(name: str, levels: tuple[float, ...]) -> None:
    detail = [cv2.Laplacian(made(name, level).frames_THWC[9], cv2.CV_64F).var() for level in levels]
    assert detail == sorted(detail, reverse=True) and detail[-1] < detail[0]


def test_a_stop_of_light_doubles_what_is_linear() -> None:
    before, after = (scene.frames_THWC[0, 50, 50].astype(float) / 255 for scene in (MINE, made("under_exposure", -1)))
    assert after**2.2 == pytest.approx(before**2.2 / 2, rel=0.06)


def test_other_light_comes_from_one_side_and_only_in_the_second_half() -> None:
    relit = made("relit", 2)
    assert not change(relit)[: FRAMES // 2].any()
    before, after = (scene.frames_THWC[-1].astype(float)[..., 1] for scene in (MINE, relit))
    assert (after[:, :24] / before[:, :24]).mean() == pytest.approx(2 ** (-1 / 2.2), rel=0.02)
    assert after[:, 72:].mean() > 1.1 * before[:, 72:].mean()


def test_a_turned_picture_keeps_the_middle_of_the_face_and_narrows_around_it() -> None:
    dot = np.zeros((FRAMES, SIDE, SIDE, 3), np.uint8)
    dot[:, 43:46, 47:50] = dot[:, 43:46, 67:70] = 255
    scene = Scene(frames_THWC=dot, heard_S=MINE.heard_S, face=MINE.face, mouth_xy_T2=MINE.mouth_xy_T2)
    turned = FAMILY["turned"].make(scene, THEIRS, 30, np.random.default_rng(0)).frames_THWC
    assert np.array_equal(turned[0], dot[0])
    assert turned[-1, 44, 48, 0] > 100
    columns = np.flatnonzero(turned[-1].max(axis=(0, 2)) > 100)
    assert 60 < columns.max() < 67


def test_the_talker_becomes_somebody_else_in_the_middle() -> None:
    cut = made("identity_cut", 1)
    changed = change(cut) > 1
    assert not changed[: FRAMES // 2].any() and changed[FRAMES // 2 :].all()
    faded = change(made("identity_fade", 0.5))
    assert faded[0] < 1 < faded[FRAMES // 2] < faded[-1]


def test_the_second_face_is_there_for_so_long() -> None:
    beside = made("second_face", 0.25).frames_THWC
    assert beside.shape[2] == 2 * SIDE
    empty = (beside[:, :, SIDE:] == beside[-1, 0, -1]).all(axis=(1, 2, 3))
    assert (~empty).sum() == round(0.25 * FRAMES)


@pytest.mark.parametrize("name", ["hand_over_mouth", "object_over_mouth"])
def test_the_mouth_is_covered_for_so_long(name: str) -> None:
    covered = (made(name, 0.5).frames_THWC[:, 60, 48] != MINE.frames_THWC[:, 60, 48]).any(axis=1)
    assert covered.sum() == FRAMES // 2
    assert not change(made(name, 0.5))[0]


def test_captions_stay_in_their_part_of_the_picture() -> None:
    same = (made("captions", 0.3).frames_THWC == MINE.frames_THWC).all(axis=(0, 2, 3))
    assert same[: SIDE // 2].all() and not same[SIDE * 3 // 4 :].all()


def test_a_jump_takes_picture_and_sound_out_together() -> None:
    jumped = made("jump_cut", 5)
    assert jumped.n_frames == FRAMES - 5
    at = (FRAMES - 5) // 2
    assert np.array_equal(jumped.frames_THWC[at], MINE.frames_THWC[at + 5])
    here, there = (k * SAMPLES_PER_FRAME for k in (at, at + 5))
    assert np.array_equal(jumped.audio_S[here : here + 9], MINE.audio_S[there : there + 9])


def test_a_photo_without_motion_differs_by_noise_alone() -> None:
    still = made("still_photo", 0).frames_THWC.astype(float)
    assert np.abs(still - MINE.frames_THWC[0]).mean() < 3
    assert np.abs(np.diff(still, axis=0)).mean() > 0.5
