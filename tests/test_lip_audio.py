from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vividhead import lip_audio
from vividhead.errors import VividHeadError
from vividhead.lip_audio import LAGS_L, LIPS_P, STILL_P, LipAudioMap
from vividhead.scores.lip_sync import MAP

Floats = NDArray[np.float64]
T = 150


@pytest.fixture(scope="module")
def shipped() -> LipAudioMap:
    return LipAudioMap.load(MAP)


def mesh_of(still_PC: Floats, lips_TPC: Floats) -> Floats:
    """A mesh of which only the points that are looked at are set."""
    mesh_TNC = np.zeros((len(lips_TPC), 478, 3))
    mesh_TNC[:, STILL_P] = still_PC
    mesh_TNC[:, LIPS_P] = lips_TPC
    return mesh_TNC


def moving_lips(seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    rest_PC = rng.normal((0, 0.9, 0), 0.2, (len(LIPS_P), 3))
    return rest_PC + 0.03 * rng.normal(size=(T, len(LIPS_P), 3))


@settings(max_examples=25, deadline=None)
@given(
    turn_deg=st.tuples(*[st.floats(-25, 25)] * 3), scale=st.floats(20, 90),
    place=st.tuples(*[st.floats(-200, 200)] * 3), sway=st.floats(0, 15),
)  # fmt: skip
def test_where_a_head_is_and_looks_changes_no_lip_measure(
    turn_deg: tuple[float, float, float], scale: float, place: tuple[float, float, float], sway: float
) -> None:
    still_PC = LipAudioMap.load(MAP).still_PC
    mesh_TNC = mesh_of(still_PC, moving_lips(0))
    swing_T3 = np.array(turn_deg) + sway * np.sin(np.arange(T) / 9)[:, None]
    turns = Rotation.from_euler("xyz", swing_T3, degrees=True).as_matrix()
    carried = scale * np.einsum("tij,tnj->tni", turns, mesh_TNC) + np.array(place)
    before, after = (
        lip_audio.lip_measures(lip_audio.frontal(lip_audio.bridged(m)[0], still_PC)) for m in (mesh_TNC, carried)
    )
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_lip_measures_are_in_eye_corner_distances(shipped: LipAudioMap) -> None:
    lips_TPC = np.zeros((3, len(LIPS_P), 3))
    lips_TPC[:, LIPS_P.index(308), 0] = [0.5, 0.6, 0.7]
    lips_TPC[:, LIPS_P.index(14), 1] = [0.0, 0.1, 0.2]
    points, _ = lip_audio.bridged(80 * mesh_of(shipped.still_PC, lips_TPC))
    measures_TF = lip_audio.lip_measures(lip_audio.frontal(points, shipped.still_PC))
    np.testing.assert_allclose(measures_TF[:, 1], [0.5, 0.6, 0.7], atol=1e-5)
    np.testing.assert_allclose(measures_TF[:, 2], [0.0, 0.1, 0.2], atol=1e-5)


def test_gaps_are_filled_in_straight_lines_and_only_short_ones_are_used() -> None:
    mesh_TNC = np.broadcast_to(np.arange(30.0)[:, None, None], (30, 478, 3)).copy()
    for gap in (slice(0, 2), slice(5, 10), slice(14, 20), slice(28, 30)):
        mesh_TNC[gap] = np.nan
    points, used_T = lip_audio.bridged(mesh_TNC)
    np.testing.assert_allclose(points[:, 0, 0], np.clip(np.arange(30), 2, 27))
    assert list(np.flatnonzero(~used_T)) == [0, 1, *range(14, 20), 28, 29]


@pytest.mark.parametrize("known", [[], [7]])
def test_hardly_any_mesh_is_no_fault(known: list[int]) -> None:
    mesh_TNC = np.full((20, 478, 3), np.nan)
    mesh_TNC[known] = 1.0
    _, used_T = lip_audio.bridged(mesh_TNC)
    assert list(np.flatnonzero(used_T)) == known


def test_slow_drift_is_taken_off_and_syllables_stay() -> None:
    time_s = np.arange(500) / 25
    drift, syllables = time_s[:, None] * 3, np.sin(2 * np.pi * 4 * time_s)[:, None]
    middle = slice(50, -50)
    assert np.abs(lip_audio.high_passed(drift)[middle]).max() < 1e-9
    assert lip_audio.high_passed(syllables)[middle].std() > 0.7 * syllables.std()


@settings(max_examples=30, deadline=None)
@given(lag=st.integers(-15, 15), seed=st.integers(0, 99))
def test_the_curve_is_highest_at_the_lag_of_the_picture(lag: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    long_TD = rng.normal(size=(T + 30, 4))
    voice_TD, lips_TD = long_TD[15 : 15 + T], long_TD[15 - lag : 15 - lag + T]
    noisy = lips_TD + 0.8 * rng.normal(size=lips_TD.shape)
    curve_L = lip_audio.lag_correlations(noisy, voice_TD, np.ones(T, bool)).sum(axis=1)
    assert LAGS_L[curve_L.argmax()] == lag


def test_frames_not_used_do_not_count() -> None:
    rng = np.random.default_rng(1)
    voice_TD = rng.normal(size=(T, 2))
    lips_TD, used_T = voice_TD.copy(), np.ones(T, bool)
    lips_TD[40:80], used_T[40:80] = 50 * rng.normal(size=(40, 2)), False
    at_zero = lip_audio.lag_correlations(lips_TD, voice_TD, used_T)[15]
    np.testing.assert_allclose(at_zero, np.arctanh(0.999) * np.sqrt((T - 40) / T))


def test_still_lips_agree_with_nothing() -> None:
    still_TD, voice_TD = np.ones((T, 2)), np.random.default_rng(0).normal(size=(T, 2))
    assert np.abs(lip_audio.lag_correlations(still_TD, voice_TD, np.ones(T, bool))).max() < 1e-3


def test_a_parabola_finds_the_lag_between_frames(shipped: LipAudioMap) -> None:
    curve_L = 0.5 - 0.01 * (LAGS_L - 2.3) ** 2
    assert lip_audio.read_curve(shipped, curve_L, 200).lag_frames == pytest.approx(2.3)
    rising = np.linspace(0, 0.5, len(LAGS_L))
    assert lip_audio.read_curve(shipped, rising, 200).lag_frames == 15


@settings(max_examples=50, deadline=None)
@given(peak=st.floats(-1, 2), frames=st.integers(50, 1500))
def test_confidence_rises_with_the_peak(peak: float, frames: int) -> None:
    shipped = LipAudioMap.load(MAP)
    low, high = (lip_audio.confidence_of(shipped, p, frames) for p in (peak, peak + 0.05))
    assert 0 <= low <= high <= 1
    assert lip_audio.confidence_of(shipped, 0.0, frames) < 0.05


def test_a_high_tone_lies_in_a_higher_mel_band_than_a_low_one() -> None:
    seconds_S = np.arange(16_000) / 16_000
    bands = [
        int(lip_audio.voice_spectra(np.sin(2 * np.pi * hz * seconds_S))[0].mean(axis=0).argmax())
        for hz in (150, 500, 1500, 4000, 7000)
    ]
    assert bands == sorted(set(bands))


def test_a_hum_is_voiced_and_hiss_is_not() -> None:
    seconds_S = np.arange(16_000) / 16_000
    hum = sum(np.sin(2 * np.pi * 130 * k * seconds_S) for k in range(1, 8))
    hiss = np.random.default_rng(0).normal(size=16_000)
    assert np.median(lip_audio.voice_spectra(hum)[1]) > 0.5
    assert np.median(lip_audio.voice_spectra(hiss)[1]) < 0.35


def test_sound_of_a_frame_stays_in_that_frame() -> None:
    audio_S = np.random.default_rng(0).normal(0, 1e-3, T * 640)
    audio_S[60 * 640 : 61 * 640] *= 1000
    energy_T = lip_audio.voice_features(audio_S)[:, lip_audio.VOICE_CONTEXT_FRAMES * 19 + 16]
    assert energy_T.argmax() == 60


def test_context_is_what_lies_around_a_frame() -> None:
    padded = lip_audio.with_context(np.arange(1.0, 5.0)[:, None], 1)
    assert padded.tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 0]]


def test_a_map_survives_its_file(shipped: LipAudioMap, tmp_path: Path) -> None:
    told = replace(shipped, provenance={"clips": [{"licence": "CC-BY-4.0", "note": "schön"}]})
    told.save(tmp_path / "map.npz")
    again = LipAudioMap.load(tmp_path / "map.npz")
    assert again.provenance == told.provenance
    assert all(np.array_equal(getattr(told, k), getattr(again, k)) for k in LipAudioMap.array_names())


def test_the_same_map_gives_the_same_bytes(shipped: LipAudioMap, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        shipped.save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_file_that_is_no_map_is_refused_with_the_way_to_make_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", still_PC=np.zeros((39, 3)))
    with pytest.raises(VividHeadError, match=r"other\.npz: not a lip-sync map.*vividhead\.fit_lip_sync"):
        LipAudioMap.load(tmp_path / "other.npz")
