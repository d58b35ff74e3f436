import csv
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead import score
from vividhead.fit_lip_sync.talks import clips_of
from vividhead.lip_audio import LipAudioMap
from vividhead.records import SAMPLES_PER_FRAME
from vividhead.score import Unknown, Unmeasurable
from vividhead.scores.lip_sync import MAP
from vividhead.testing.cast import SENTENCES
from vividhead.testing.media import ArrayClipMedia
from vividhead.testing.speech import chords, speak
from vividhead.testing.talking_head import Actor, talking_head

SECONDS = 6
FRAME_MS = 40
Mesh = NDArray[np.float32]
Sound = NDArray[np.float32]
Seen = tuple[Mesh, Sound]


@pytest.fixture(scope="module")
def talker() -> Seen:
    """Mesh and sound of a drawn head whose mouth follows the phonemes of its synthetic voice."""
    speech = speak(SENTENCES[0], rate_hz=16_000)
    take = talking_head(Actor(speech=speech, face_px=150.0), duration_s=SECONDS, size_px=(320, 320))
    clip = ArrayClipMedia(np.stack(list(take.frames())), audio_S=take.audio_S.astype(np.float32))
    return clip.landmarks_TNC, clip.audio_S


def read(mesh_TNC: Mesh, audio_S: Sound) -> dict[str, float | Unknown]:
    clip = SimpleNamespace(landmarks_TNC=mesh_TNC, audio_S=audio_S)
    return dict(score.loaded_score("lip_sync").measure(clip))


def delayed(audio_S: Sound, frames: float) -> Sound:
    """The sound so many grid frames later (negative: earlier), silence where there is none."""
    by = round(frames * SAMPLES_PER_FRAME)
    moved = np.zeros_like(audio_S)
    moved[max(by, 0) : len(audio_S) + min(by, 0)] = audio_S[max(-by, 0) : len(audio_S) - max(by, 0)]
    return moved


def test_lips_that_follow_their_voice_read_near_zero(talker: Seen) -> None:
    told = read(*talker)
    assert abs(told["offset_ms"]) < 40
    assert told["confidence"] > 0.95
    assert told["coverage"] == 1


@pytest.mark.parametrize("late_frames", [-12, -8, -3, 3, 8, 12])
def test_sound_that_comes_late_lowers_the_offset_by_as_much(talker: Seen, late_frames: int) -> None:
    mesh_TNC, audio_S = talker
    told = read(mesh_TNC, delayed(audio_S, late_frames))
    assert told["offset_ms"] == pytest.approx(read(*talker)["offset_ms"] - late_frames * FRAME_MS, abs=15)
    assert told["confidence"] > 0.9


@pytest.mark.parametrize("late_frames", [-0.75, -0.25, 0.5])
def test_parts_of_a_frame_are_read(talker: Seen, late_frames: float) -> None:
    mesh_TNC, audio_S = talker
    told = read(mesh_TNC, delayed(audio_S, late_frames))
    assert told["offset_ms"] == pytest.approx(read(*talker)["offset_ms"] - late_frames * FRAME_MS, abs=6)


def test_another_sentence_leaves_the_offset_unknown(talker: Seen) -> None:
    other = speak(SENTENCES[1], rate_hz=16_000).samples_S[: SECONDS * 16_000]
    told = read(talker[0], np.asarray(other, np.float32))
    assert told["offset_ms"] == Unknown("low_confidence")
    assert told["confidence"] < 0.3


def test_music_leaves_the_offset_unknown(talker: Seen) -> None:
    told = read(talker[0], np.asarray(chords(SECONDS, 0, rate_hz=16_000), np.float32))
    assert told["offset_ms"] == Unknown("low_confidence")
    assert told["confidence"] < 0.2


def test_a_closed_mouth_under_a_voice_leaves_the_offset_unknown(talker: Seen) -> None:
    mesh_TNC, audio_S = talker
    jitter = np.random.default_rng(0).normal(0, 0.2, mesh_TNC.shape)
    told = read((mesh_TNC[:1] + jitter).astype(np.float32), audio_S)
    assert told["offset_ms"] == Unknown("low_confidence")


def test_loudness_changes_nothing(talker: Seen) -> None:
    mesh_TNC, audio_S = talker
    loud, soft = read(mesh_TNC, audio_S), read(mesh_TNC, audio_S * np.float32(0.1))
    assert soft["offset_ms"] == pytest.approx(loud["offset_ms"], abs=0.1)
    assert soft["confidence"] == pytest.approx(loud["confidence"], abs=1e-3)


@pytest.mark.parametrize("left_over", [0.0, 1e-4])
def test_silence_is_unmeasurable_not_out_of_sync(talker: Seen, left_over: float) -> None:
    mesh_TNC, audio_S = talker
    with pytest.raises(Unmeasurable) as why:
        read(mesh_TNC, np.float32(0.25) + audio_S * np.float32(left_over))
    assert why.value.code == "silent"


def test_short_gaps_in_the_mesh_are_bridged(talker: Seen) -> None:
    mesh_TNC, audio_S = talker
    holed = mesh_TNC.copy()
    holed[np.arange(len(holed)) % 25 < 4] = np.nan
    told, whole = read(holed, audio_S), read(*talker)
    assert told["offset_ms"] == pytest.approx(whole["offset_ms"], abs=15)
    assert told["coverage"] == pytest.approx(0.84)


def test_a_long_gap_in_the_mesh_does_not_count(talker: Seen) -> None:
    mesh_TNC, audio_S = talker
    holed = mesh_TNC.copy()
    holed[40:90] = np.nan
    told, whole = read(holed, audio_S), read(*talker)
    assert told["offset_ms"] == pytest.approx(whole["offset_ms"], abs=25)
    assert 0.5 < told["confidence"] < whole["confidence"]


@pytest.mark.parametrize("kept", [0, 40, 74])
def test_too_few_frames_with_a_mesh_are_unmeasurable(talker: Seen, kept: int) -> None:
    mesh_TNC, audio_S = talker
    holed = mesh_TNC.copy()
    holed[kept:] = np.nan
    with pytest.raises(Unmeasurable) as why:
        read(holed, audio_S)
    assert why.value.code == "face_mesh_lost"
    assert f"{kept} of 150" in why.value.detail


def test_the_fingerprint_tells_one_map_from_another() -> None:
    assert score.loaded_score("lip_sync").fingerprint.startswith("lip_sync_map/")


def test_the_shipped_map_says_where_it_comes_from() -> None:
    told = LipAudioMap.load(MAP).provenance
    assert all(clip["licence"] and clip["source_repo"] for clip in told["clips"])
    assert sum(clip["seconds"] for clip in told["clips"] if clip["in_coefficients"]) > 60
    assert all({"rel1", "abs3", "auc"} <= set(row) for row in told["held_out"].values())
    assert MAP.stat().st_size < 40_000


SHARED = Path(os.environ.get("VIVIDHEAD_SHARED", Path(__file__).parents[2].parent / "shared")) / "footage"


def named(stem: str) -> Path:
    """The file of that stem, or whose sha256 begins so (files named after a person)."""
    labels = SHARED / "footage.csv"
    if len(stem) == 8 and labels.is_file():
        with labels.open(newline="", encoding="utf-8") as file:
            return next(
                (SHARED / row["path"] for row in csv.DictReader(file) if row["sha256"].startswith(stem)), SHARED / stem
            )
    return SHARED / f"{stem}.mp4"


@pytest.fixture(scope="module")
def footage() -> Callable[[str], Seen]:
    """Mesh and sound of shared footage by its stem, through decoding, tracking and cropping as in a run."""

    @cache
    def seen(stem: str) -> Seen:
        path = named(stem)
        if not path.is_file():
            pytest.skip(f"no {path}; set VIVIDHEAD_SHARED to the folder that holds footage/")
        media = next(clips_of(path))
        return media.landmarks_TNC, media.audio_S

    return seen


@pytest.mark.parametrize("stem", ["radio34", "3f8df935", "portrait_kitchen"])
def test_footage_in_sync_reads_in_sync(footage: Callable[[str], Seen], stem: str) -> None:
    told = read(*footage(stem))
    assert abs(told["offset_ms"]) <= 100
    assert told["confidence"] > 0.9


@pytest.mark.slow
def test_a_tall_phone_picture_in_sync_reads_in_sync(footage: Callable[[str], Seen]) -> None:
    told = read(*footage("portrait_sofa"))
    assert abs(told["offset_ms"]) <= 100
    assert told["confidence"] > 0.9


@pytest.mark.parametrize("late_frames", [-12, -8, -5, 5, 8, 12])
def test_footage_with_shifted_sound_reads_the_shift(footage: Callable[[str], Seen], late_frames: int) -> None:
    mesh_TNC, audio_S = footage("radio34")
    told, true = read(mesh_TNC, delayed(audio_S, late_frames)), read(mesh_TNC, audio_S)
    assert told["offset_ms"] == pytest.approx(true["offset_ms"] - late_frames * FRAME_MS, abs=FRAME_MS)
    assert abs(told["offset_ms"]) > 100
    assert told["confidence"] > 0.9


def test_music_over_a_still_face_leaves_the_offset_unknown(footage: Callable[[str], Seen]) -> None:
    told = read(*footage("still_face_music"))
    assert told["offset_ms"] == Unknown("low_confidence")


def test_one_speaker_s_lips_do_not_match_another_s_voice(footage: Callable[[str], Seen]) -> None:
    (mesh_TNC, _), (_, audio_S) = footage("radio34"), footage("3f8df935")
    assert read(mesh_TNC, audio_S)["offset_ms"] == Unknown("low_confidence")
    (mesh_TNC, _), (_, audio_S) = footage("3f8df935"), footage("radio34")
    assert read(mesh_TNC, audio_S)["offset_ms"] == Unknown("low_confidence")
