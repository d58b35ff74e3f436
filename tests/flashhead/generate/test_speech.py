"""Speech from files of all kinds: as long as they say, in place, and refused in words where there is none."""

import tracemalloc
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media.truth import beep, numbered, onsets_s
from numpy.typing import NDArray

from vividhead.flashhead.generate.speech import SpeechError, read_speech, speech_blocks
from vividhead.testing import SoundFormat, write_video

BEEP_S = (0.5, 1.7)


def beeps(rate_hz: int, channels: int = 1) -> NDArray[np.float32]:
    """2.3 seconds with two beeps."""
    first, second = (beep(2.3, at_s, rate_hz, channels) for at_s in BEEP_S)
    return first + second


def pcm_wav(path: Path, samples_S: NDArray[np.int16], rate_hz: int) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(samples_S.tobytes())
    return path


@pytest.mark.parametrize(
    ("name", "codec", "rate_hz", "channels"),
    [
        ("a.wav", None, 16_000, 1), ("a.wav", None, 44_100, 2), ("a.wav", "pcm_f32le", 48_000, 6),
        ("a.flac", None, 96_000, 2), ("a.mp3", "libmp3lame", 44_100, 2), ("a.mp3", "libmp3lame", 22_050, 1),
        ("a.ogg", "libopus", 48_000, 1), ("a.ac3", "ac3", 48_000, 6),
        ("a.aiff", "pcm_s16be", 32_000, 1), ("a.au", "pcm_s16be", 8_000, 1), ("a.caf", "pcm_s16le", 11_025, 2),
        ("a.adts", "aac", 24_000, 1),
    ],
)  # fmt: skip
def test_sound_files_of_all_kinds_are_read_whole_and_in_place(
    name: str, codec: str | None, rate_hz: int, channels: int, tmp_path: Path
) -> None:
    path = write_video(
        tmp_path / name, None, audio=beeps(rate_hz, channels), audio_rate_hz=rate_hz, sound=SoundFormat(codec=codec)
    )
    speech_S = read_speech(path)
    assert speech_S.dtype == np.float32
    assert np.abs(speech_S).max() <= 1
    padding_s = 0.15 if codec in ("aac", "ac3", "libmp3lame", "libopus") else 0.002  # raw streams keep the codec's own
    assert 2.298 <= len(speech_S) / 16_000 <= 2.3 + padding_s
    late_s = 0.08 if name in ("a.adts", "a.ac3") else 0.004
    assert onsets_s(speech_S) == [pytest.approx(at_s + late_s / 2, abs=late_s) for at_s in BEEP_S]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.mov", "a.avi"])
def test_a_video_gives_its_sound(name: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / name, numbered(range(57)), audio=beeps(48_000, 2), audio_rate_hz=48_000)
    speech_S = read_speech(path)
    assert len(speech_S) / 16_000 == pytest.approx(2.3, abs=0.15)
    assert onsets_s(speech_S) == [pytest.approx(at_s, abs=0.004) for at_s in BEEP_S]


def test_16_khz_mono_passes_unchanged(tmp_path: Path) -> None:
    samples_S = np.random.default_rng(0).integers(-32768, 32767, 40_001).astype(np.int16)
    speech_S = read_speech(pcm_wav(tmp_path / "a.wav", samples_S, 16_000))
    assert np.array_equal(speech_S * 32768, samples_S)


def test_blocks_are_of_the_length_asked_for_and_together_the_whole(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.flac", None, audio=beeps(44_100), audio_rate_hz=44_100)
    whole_S = read_speech(path)
    for block_s in (0.04, 0.5, 1.0, 60.0):
        blocks = list(speech_blocks(path, block_s))
        assert {len(block) for block in blocks[:-1]} <= {round(block_s * 16_000)}
        assert 0 < len(blocks[-1]) <= round(block_s * 16_000)
        assert np.array_equal(np.concatenate(blocks), whole_S)


def test_a_pause_without_packets_is_as_long_as_it_was(tmp_path: Path) -> None:
    """As in recorded calls, which send nothing while nobody speaks."""
    path = tmp_path / "call.mkv"
    with av.open(str(path), "w") as out:
        voice = out.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for start_s in (3, 9):  # the first stamp of a file need not be 0
            frame = av.AudioFrame.from_ndarray((beep(1.0, 0.0, 16_000)[None] * 32767).astype(np.int16), "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 16_000, start_s * 16_000, Fraction(1, 16_000)
            out.mux(voice.encode(frame))
        out.mux(voice.encode(None))
    speech_S = read_speech(path)
    assert len(speech_S) == 7 * 16_000
    assert onsets_s(speech_S) == [pytest.approx(0, abs=0.001), pytest.approx(6, abs=0.001)]


def test_a_wrong_stamp_makes_no_hours_of_silence(tmp_path: Path) -> None:
    path = tmp_path / "leap.mkv"
    with av.open(str(path), "w") as out:
        voice = out.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for start_s in (0, 50_000, 50_001):
            frame = av.AudioFrame.from_ndarray(np.full((1, 16_000), 1000, np.int16), "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 16_000, start_s * 16_000, Fraction(1, 16_000)
            out.mux(voice.encode(frame))
        out.mux(voice.encode(None))
    assert len(read_speech(path)) == 3 * 16_000


def test_what_is_no_number_is_silence(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as out:
        voice = out.add_stream("pcm_f32le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.array([[np.nan, np.inf, -np.inf, 0.25] * 400], np.float32), "flt", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
        out.mux(voice.encode(frame))
        out.mux(voice.encode(None))
    assert read_speech(path)[:4].tolist() == [0, 1, -1, 0.25]


def test_a_long_file_is_read_in_flat_memory(tmp_path: Path) -> None:
    path = pcm_wav(tmp_path / "long.wav", np.zeros(10 * 60 * 8_000, np.int16), 8_000)
    tracemalloc.start()
    n_samples = sum(len(block) for block in speech_blocks(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_samples == pytest.approx(10 * 60 * 16_000, abs=16)
    assert peak < 4_000_000, "a block of ten seconds is 640 kB; the whole would be 38 MB"


def silent_video(path: Path) -> Path:
    return write_video(path, numbered(range(5)))


def no_samples(path: Path) -> Path:
    return pcm_wav(path, np.zeros(0, np.int16), 16_000)


def empty(path: Path) -> Path:
    path.touch()
    return path


def prose(path: Path) -> Path:
    path.write_text("Good evening. " * 200)
    return path


def playlist(path: Path) -> Path:
    """Which would make FFmpeg open other files."""
    path.write_text("ffconcat version 1.0\nfile '/etc/passwd'\n")
    return path


@pytest.mark.parametrize(
    ("make", "name", "code", "says"),
    [
        (silent_video, "mute.mp4", "failed.no_audio", "the file has no sound; give a file with an audio track"),
        (no_samples, "none.wav", "failed.truncated", "none of its sound can be decoded"),
        (empty, "empty.wav", "failed.empty", "the file has no bytes"),
        (prose, "prose.mp3", "failed.unreadable", "not a readable sound file"),
        (playlist, "list.wav", "failed.unreadable", "not a readable sound file"),
        (lambda path: path, "gone.wav", "failed.vanished", "is not there"),
    ],
)  # fmt: skip
def test_what_nobody_can_speak_from_is_refused_in_words(make, name, code, says, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = make(tmp_path / name)
    with pytest.raises(SpeechError) as caught:
        read_speech(path)
    assert caught.value.code == code
    assert f"{path} cannot be spoken from: " in str(caught.value)
    assert says in str(caught.value)
    assert caught.value.exit_code == 4


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpeechError, match="not a file but a folder"):
        next(speech_blocks(tmp_path))
