"""Following and silence, on openings and sounds of known truth."""

import numpy as np
import pytest

from vividhead.flashhead.evaluate.mouth import (
    Floats,
    following,
    loudness_of,
    opening_of,
    rms_of,
    silence_of,
    silent_frames,
)
from vividhead.records import SAMPLES_PER_FRAME

FRAMES = 200


def sound_of(levels_T: Floats, seed: int = 0) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    """Noise as loud, frame by frame, as asked."""
    noise_TS = np.random.default_rng(seed).standard_normal((len(levels_T), SAMPLES_PER_FRAME))
    return (noise_TS * levels_T[:, None]).astype(np.float32).ravel()


def syllables(seed: int) -> Floats:
    """Levels that rise and fall as syllables do."""
    rough_T = np.random.default_rng(seed).uniform(0, 1, FRAMES + 8)
    return np.asarray(0.1 * np.convolve(rough_T, np.hanning(11)[1:-1] / 5, "valid"))


def mesh_of(opening_T: Floats, eyes_px: float = 80.0) -> "np.ndarray[tuple[int, int, int], np.dtype[np.float32]]":
    mesh_TNC = np.zeros((len(opening_T), 478, 3), np.float32)
    mesh_TNC[:, 33, 0], mesh_TNC[:, 263, 0] = -eyes_px / 2, eyes_px / 2
    for low in (14, 178, 402):
        mesh_TNC[:, low, 1] = opening_T * eyes_px
    return mesh_TNC


def test_an_opening_is_in_distances_of_the_eyes_and_unknown_without_a_mesh() -> None:
    mesh_TNC = mesh_of(np.array([0.0, 0.1, 0.2]))
    mesh_TNC[2] = np.nan
    turned_TNC = mesh_TNC.copy()
    turned_TNC[:, 263, 0], turned_TNC[:, 263, 2] = 8, 64  # 80 px away still, most of it in depth
    for seen_TNC in (mesh_TNC, turned_TNC):
        opening_T = opening_of(seen_TNC)
        assert opening_T[:2] == pytest.approx([0.0, 0.1])
        assert np.isnan(opening_T[2])


def test_a_mouth_that_opens_with_the_sound_follows_it_and_not_another() -> None:
    levels_T = syllables(1)
    opening_T = 0.3 * levels_T / levels_T.max()
    own, other = following(opening_T, sound_of(levels_T)), following(opening_T, sound_of(syllables(2)))
    assert own.best_r.value is not None
    assert other.best_r.value is not None
    assert own.best_r.value > 0.9
    assert other.best_r.value < 0.5
    assert own.best_lag_frames.value == 0


@pytest.mark.parametrize("late", [-4, 3])
def test_a_lag_is_positive_where_the_picture_is_later(late: int) -> None:
    levels_T = syllables(3)
    found = following(np.roll(levels_T, late), sound_of(levels_T))
    assert found.best_lag_frames.value == late


def test_frames_without_a_mesh_do_not_count() -> None:
    levels_T = syllables(4)
    opening_T = levels_T.copy()
    opening_T[50:90] = np.nan
    found = following(opening_T, sound_of(levels_T))
    assert found.best_r.value is not None
    assert found.best_r.value > 0.9


@pytest.mark.parametrize(
    ("opening_T", "levels_T", "code"),
    [
        (np.full(FRAMES, 0.1), syllables(5), "mouth_still"),
        (np.full(FRAMES, np.nan), syllables(5), "face_mesh_lost"),
        (syllables(5), np.zeros(FRAMES), "silent"),
    ],
)
def test_what_cannot_be_correlated_says_why_and_has_no_number(opening_T: Floats, levels_T: Floats, code: str) -> None:
    found = following(opening_T, sound_of(levels_T))
    assert (found.best_r.status, found.best_r.value, found.best_r.code) == ("unmeasurable", None, code)
    assert found.r_at_lag == ()


def test_loudness_grows_more_slowly_than_the_level() -> None:
    levels_T = np.full(20, 0.01)
    levels_T[10:] = 0.1
    loud_T = loudness_of(sound_of(levels_T))
    assert loud_T[15] / loud_T[5] == pytest.approx(10**0.6, rel=0.1)
    assert rms_of(sound_of(levels_T))[15] == pytest.approx(0.1, rel=0.1)


def test_silence_begins_when_the_mouth_has_had_time_to_shut() -> None:
    levels_T = np.full(60, 0.1)
    levels_T[20:40] = 0.0
    assert np.flatnonzero(silent_frames(sound_of(levels_T))).tolist() == list(range(25, 40))


def test_a_mouth_that_shuts_in_silence_is_told_from_one_that_does_not() -> None:
    levels_T = np.full(100, 0.1)
    levels_T[30:70] = 0.0
    shut_T = np.where(levels_T > 0, 0.2, 0.01)
    shut, open_ = (silence_of(opening_T, sound_of(levels_T)) for opening_T in (shut_T, np.full(100, 0.2)))
    assert shut.silent_to_sounding.value == pytest.approx(0.05)
    assert open_.silent_to_sounding.value == pytest.approx(1.0)
    assert shut.silent_s == 35 / 25


def test_a_talk_without_a_pause_has_no_silence_to_measure() -> None:
    found = silence_of(np.full(100, 0.2), sound_of(np.full(100, 0.1)))
    assert (found.silent_opening.code, found.silent_to_sounding.code) == ("no_silence", "no_silence")
    assert found.sounding_opening.value == pytest.approx(0.2)
