import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead import lip_audio
from vividhead.errors import UsageError
from vividhead.fit_lip_sync.__main__ import main
from vividhead.fit_lip_sync.coefficients import fit_map, frontal_still_points
from vividhead.fit_lip_sync.held_out import Trial, fit, fit_confidence, held_out_maps
from vividhead.fit_lip_sync.talks import Prepared, Talk, labelled_talks, read_talks
from vividhead.lip_audio import LIPS_P, STILL_LEFT, STILL_MIDLINE, STILL_P, STILL_RIGHT, LagReading, LipAudioMap
from vividhead.scores.lip_sync import MAP

SECONDS = 8
Floats = NDArray[np.float64]


def toy_talk(seed: int, *, late_frames: float = 0.0, fitted: bool = True) -> Talk:
    """A mouth of forty-three points that opens with the bursts of a buzzing voice."""
    rng = np.random.default_rng(seed)
    instants_s = np.arange(-1, SECONDS + 1, 0.01)
    burst_s, opening = -1.0, np.zeros(len(instants_s))
    while burst_s < SECONDS + 1:
        opening += rng.uniform(0.4, 1) * np.exp(-(((instants_s - burst_s) / 0.055) ** 2))
        burst_s += rng.uniform(0.12, 0.6)
    seconds_S = np.arange(SECONDS * 16_000) / 16_000
    open_S = np.interp(seconds_S, instants_s, opening)
    buzz_S = sum(np.sin(2 * np.pi * 120 * k * seconds_S + k) / k for k in range(1, 20))
    audio_S = 0.1 * open_S * buzz_S + 0.001 * rng.normal(size=len(seconds_S))
    open_T = np.interp((np.arange(SECONDS * 25) + 0.5 - late_frames) / 25, instants_s, opening)
    return Talk(
        name=f"toy{seed}", sha256=f"{seed:064x}", speaker=f"toy{seed}",
        licence="none", source_repo="here", fitted=fitted,
        landmarks_TNC=_mouth(open_T, rng), audio_S=audio_S.astype(np.float32),
    )  # fmt: skip


def _mouth(open_T: Floats, rng: np.random.Generator) -> NDArray[np.float32]:
    around = np.linspace(0, 2 * np.pi, len(LIPS_P), endpoint=False)
    rest_PC = np.stack([0.28 * np.cos(around), 0.9 + 0.05 * np.sin(around), 0 * around], axis=1)
    mesh_TNC = np.zeros((len(open_T), 478, 3))
    mesh_TNC[:, STILL_P] = LipAudioMap.load(MAP).still_PC
    mesh_TNC[:, LIPS_P] = rest_PC
    lower = [p for p, angle in zip(LIPS_P, around, strict=True) if np.sin(angle) > 0]
    mesh_TNC[:, lower, 1] += 0.1 * open_T[:, None]
    return (60 * mesh_TNC + 128 + rng.normal(0, 0.05, mesh_TNC.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def toy_map() -> LipAudioMap:
    return fit_map([Prepared.of(toy_talk(seed)) for seed in range(4)])[0]


@pytest.mark.parametrize("late_frames", [-6, 0, 3.5])
def test_a_fitted_map_reads_the_lag_of_someone_new(toy_map: LipAudioMap, late_frames: float) -> None:
    new = toy_talk(17, late_frames=late_frames)
    told = lip_audio.read_lag(toy_map, new.landmarks_TNC, new.audio_S)
    assert told.lag_frames == pytest.approx(late_frames, abs=0.3)
    assert told.peak > 0.5


def test_a_fitted_map_hears_that_a_voice_is_not_the_mouth_s(toy_map: LipAudioMap) -> None:
    told = lip_audio.read_lag(toy_map, toy_talk(17).landmarks_TNC, toy_talk(18).audio_S)
    assert told.peak < 0.3


def test_clips_that_are_off_are_set_right_in_the_fit() -> None:
    talks = [toy_talk(seed, late_frames=late) for seed, late in enumerate((2, 0, 0, -2, 0))]
    _, lags = fit_map([Prepared.of(t) for t in talks])
    assert lags == [2, 0, 0, -2, 0]


def test_the_average_face_is_symmetric_and_looks_ahead() -> None:
    still_PC = frontal_still_points([Prepared.of(toy_talk(0))])
    place = {p: still_PC[i] for i, p in enumerate(STILL_P)}
    for right, left in zip(STILL_RIGHT, STILL_LEFT, strict=True):
        np.testing.assert_allclose(place[right] * (-1, 1, 1), place[left], atol=1e-6)
    assert all(abs(place[p][0]) < 1e-6 for p in STILL_MIDLINE)
    assert np.linalg.norm(place[33] - place[263]) == pytest.approx(1)


def test_the_figures_are_of_speakers_held_out_and_travel_with_the_map(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vividhead.fit_lip_sync.held_out.WINDOWS_S", (None,))
    monkeypatch.setattr("vividhead.fit_lip_sync.held_out.OTHER_VOICES", 3)
    map_, report = fit([toy_talk(seed, fitted=seed < 3) for seed in range(4)])
    assert list(map_.provenance["held_out"]) == ["fitted, whole", "check, whole"]
    assert map_.provenance["held_out"]["check, whole"]["rel1"] == 1
    assert [clip["in_coefficients"] for clip in map_.provenance["clips"]] == [True, True, True, False]
    assert sum(line.startswith("| toy") for line in report) == 4
    new, other = toy_talk(17), toy_talk(18)
    assert lip_audio.read_lag(map_, new.landmarks_TNC, new.audio_S).confidence > 0.9
    assert lip_audio.read_lag(map_, new.landmarks_TNC, other.audio_S).confidence < 0.5


def trial(speaker: int, own_peak: float, wrong_peak: float) -> Trial:
    """Three seconds of a toy whose voice is read with these peaks, its lag always right."""
    true = {shift: LagReading(float(shift), own_peak, 0.0) for shift in (0, -12, -6, 6, 12)}
    return Trial(
        talk=toy_talk(speaker), window_s=3, used_frames=75, true=true, wrong=[LagReading(5.0, wrong_peak, 0.0)] * 10
    )


def test_a_speaker_s_confidence_is_judged_by_what_the_others_taught(toy_map: LipAudioMap) -> None:
    others = [trial(1, 0.6, 0.2), trial(2, 0.5, 0.1)]
    easy, hard = (held_out_maps([trial(0, *peaks), *others], toy_map) for peaks in ((0.9, 0.0), (0.1, 0.6)))
    np.testing.assert_array_equal(easy["toy0"].confidence, hard["toy0"].confidence)
    np.testing.assert_array_equal(easy["toy0"].confidence, fit_confidence(others))
    assert not np.allclose(easy["toy1"].confidence, hard["toy1"].confidence)


def test_one_speaker_alone_cannot_be_held_out() -> None:
    with pytest.raises(UsageError, match="one speaker alone"):
        fit([toy_talk(0)])


def test_sound_outside_a_talk_is_silence() -> None:
    talk = toy_talk(0)
    heard = talk.heard(-2, 5)
    assert not heard[: 2 * 640].any()
    assert np.array_equal(heard[2 * 640 :], talk.audio_S[: 3 * 640])
    assert not talk.heard(SECONDS * 25 + 3, 4).any()


def test_only_in_sync_footage_of_one_face_is_read(tmp_path: Path) -> None:
    with (tmp_path / "footage.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "has_audio", "faces", "in_sync"])
        table.writerows([["a.mp4", "no", "1", "yes"], ["b.mp4", "yes", "2", "yes"], ["c.mp4", "yes", "1", "no"]])
    assert read_talks(tmp_path, fitted=True) == []


def test_a_folder_without_labels_is_refused_with_what_to_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "--out", str(tmp_path / "map.npz")]) == 2
    assert "footage.csv: not there; write one with the columns" in capsys.readouterr().err
    assert not (tmp_path / "map.npz").exists()


def test_labels_without_a_column_are_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "footage.csv").write_text("path,faces,in_sync\na.mp4,1,yes\n", encoding="utf-8")
    with pytest.raises(UsageError, match="lacks the columns has_audio"):
        labelled_talks(tmp_path / "footage.csv")


def test_only_one_face_that_talks_in_sync_is_taken_from_labels(tmp_path: Path) -> None:
    rows = ["a.mp4,yes,1,yes", "b.mp4,yes,2,yes", "c.mp4,no,1,yes", "d.mp4,yes,1,no"]
    text = "\n".join(["path,has_audio,faces,in_sync", *rows])
    (tmp_path / "footage.csv").write_text(text, encoding="utf-8")
    assert [row["path"] for row in labelled_talks(tmp_path / "footage.csv")] == ["a.mp4"]
