"""About two minutes of footage with known truth, made from one portrait and synthetic speech.

Some files must be kept; each of the others must be turned down for one reason, which is stated with it.
"""

import shutil
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vividhead.records import GRID_FPS
from vividhead.testing.cast import LOOKS, SENTENCES
from vividhead.testing.containers import SoundFormat, VideoFormat, write_video
from vividhead.testing.portrait import coffee_cup
from vividhead.testing.speech import VOICES, Speech, chords, fitted, room_tone, speak
from vividhead.testing.talking_head import Actor, Take, panned, talking_head

SOUND_HZ = 48_000
SHIFT_FRAMES = 6
NARROW, WIDE = (640, 480), (960, 640)

Expectation = Literal["kept", "rejected", "failed", "duplicate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSource:
    """One file of demo footage and what a right curation makes of it."""

    path: Path
    duration_s: float
    """What was recorded; of a broken file, what it would have held."""
    expect: Expectation
    because: frozenset[str]
    """Beginnings of reason codes, one of which must appear; empty for kept footage."""
    story: str
    """What is the matter with it, for people."""
    offset_frames: int = 0
    """Truth: how many grid frames the sound comes after the mouth (before it, if negative)."""


def make_demo_footage(folder: Path, seed: int = 0) -> list[DemoSource]:
    """Write all demo files into `folder` (made if need be); the same seed gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    studio = _Studio(folder, seed)
    return [make(studio) for make in _MAKERS]


@dataclass(frozen=True, slots=True)
class _Studio:
    """Where footage is put, and the seed all of it hangs on."""

    folder: Path
    seed: int

    def sentence(self, which: int) -> Speech:
        which += self.seed
        return speak(SENTENCES[which % len(SENTENCES)], voice=VOICES[which % 3], rate_hz=SOUND_HZ)

    def actor(self, which: int) -> Actor:
        """One of the ordinary people: a sentence, an appearance, a face of about 200 px."""
        return Actor(speech=self.sentence(which), look=LOOKS[(which + self.seed) % len(LOOKS)])

    def seed_of(self, which: int) -> int:
        return 1000 * self.seed + which

    def write(
        self, name: str, take: Take, *, audio_S: NDArray[np.float32] | None = None,
        video: VideoFormat | None = None, sound: SoundFormat | None = None, fps: Fraction | int = GRID_FPS,
        times_s: tuple[float, ...] | None = None,
    ) -> Path:  # fmt: skip
        """Write a take, with its own sound unless told otherwise."""
        return write_video(
            self.folder / name, take.frames(), fps=fps, times_s=times_s, video=video,
            audio=take.audio_S if audio_S is None else audio_S, audio_rate_hz=SOUND_HZ, sound=sound,
        )  # fmt: skip


def _kept(path: Path, duration_s: float, story: str) -> DemoSource:
    return DemoSource(path=path, duration_s=duration_s, expect="kept", because=frozenset(), story=story)


def _rejected(path: Path, duration_s: float, story: str, *because: str, offset_frames: int = 0) -> DemoSource:
    return DemoSource(
        path=path, duration_s=duration_s, expect="rejected", because=frozenset(because), story=story,
        offset_frames=offset_frames,
    )  # fmt: skip


def _interview(studio: _Studio) -> DemoSource:
    take = talking_head(studio.actor(0), duration_s=10, size_px=NARROW, seed=studio.seed_of(0))
    return _kept(studio.write("kept_interview.mp4", take), 10, "an ordinary interview, H.264 and AAC")


def _bookshelf(studio: _Studio) -> DemoSource:
    actor = replace(studio.actor(1), face_px=200.0, nose_at=(0.46, 0.5))
    take = talking_head(actor, duration_s=8, fps=30, size_px=WIDE, seed=studio.seed_of(1))
    path = studio.write("kept_bookshelf.mov", take, fps=30)
    return _kept(path, 8, "30 frames per second, off centre")


def _phone(studio: _Studio) -> DemoSource:
    rng = np.random.default_rng(studio.seed_of(2))
    steps_s = rng.choice([1 / 30, 1 / 30, 1 / 30, 2 / 30], 9 * 30)
    times_s = np.concatenate([[0.0], np.cumsum(steps_s)])
    times_s = tuple(float(t) for t in times_s[times_s < 9])
    take = talking_head(
        studio.actor(2), duration_s=9, times_s=times_s, size_px=NARROW, seed=studio.seed_of(2)
    )
    path = studio.write("kept_phone.mkv", take, times_s=times_s, sound=SoundFormat(codec="libopus"))
    return _kept(path, 9, "a phone's variable frame rate in Matroska, with Opus sound")


def _umlaut(studio: _Studio) -> DemoSource:
    take = talking_head(studio.actor(3), duration_s=8, size_px=NARROW, seed=studio.seed_of(3))
    return _kept(studio.write("kept_Gespräch.webm", take), 8, "VP9 and Opus, a name that is not ASCII")


def _broadcast(studio: _Studio) -> DemoSource:
    take = talking_head(studio.actor(4), duration_s=8, size_px=NARROW, seed=studio.seed_of(4))
    return _kept(studio.write("kept_broadcast.ts", take), 8, "a transport stream, whose clock starts late")


def _late_sound(studio: _Studio) -> DemoSource:
    take = talking_head(studio.actor(5), duration_s=9, size_px=NARROW, seed=studio.seed_of(5))
    shift = SHIFT_FRAMES * SOUND_HZ // GRID_FPS
    audio_S = fitted(take.audio_S, len(take.audio_S), shift=shift)
    path = studio.write("late_sound.mp4", take, audio_S=audio_S)
    return _rejected(
        path,
        9,
        f"the sound comes {SHIFT_FRAMES} frames late",
        "lip_sync.offset_ms",
        offset_frames=SHIFT_FRAMES,
    )


def _other_sentence(studio: _Studio) -> DemoSource:
    take = talking_head(studio.actor(6), duration_s=9, size_px=NARROW, seed=studio.seed_of(6))
    other = studio.sentence(8)
    audio_S = fitted(other.samples_S, len(take.audio_S)) + room_tone(len(take.audio_S), studio.seed_of(6))
    path = studio.write("other_sentence.mp4", take, audio_S=audio_S)
    return _rejected(path, 9, "the sound is of another sentence", "lip_sync.")


def _out_of_focus(studio: _Studio) -> DemoSource:
    take = talking_head(
        studio.actor(7), duration_s=6, size_px=NARROW, seed=studio.seed_of(7), blur_sigma_px=4.5
    )
    return _rejected(studio.write("out_of_focus.mp4", take), 6, "the camera is out of focus", "sharpness.")


def _far_away(studio: _Studio) -> DemoSource:
    actor = replace(studio.actor(8), face_px=70.0, nose_at=(0.5, 0.62))
    take = talking_head(actor, duration_s=6, size_px=NARROW, seed=studio.seed_of(8))
    return _rejected(studio.write("far_away.mp4", take), 6, "the face is 75 pixels high", "framing.")


def _two_people(studio: _Studio) -> DemoSource:
    left = replace(studio.actor(9), nose_at=(0.3, 0.5), face_px=170.0)
    right = replace(studio.actor(10), nose_at=(0.72, 0.5), face_px=160.0, speech=None)
    take = talking_head(left, right, duration_s=6, size_px=WIDE, seed=studio.seed_of(9))
    return _rejected(
        studio.write("two_people.mp4", take), 6, "a second face beside the speaker", "other_faces."
    )


def _hard_cuts(studio: _Studio) -> DemoSource:
    """Two people in turn, 2.2 s each: every shot is too short for a clip."""
    speech = studio.sentence(11)
    first = replace(studio.actor(11), speech=speech, nose_at=(0.4, 0.56))
    second = replace(studio.actor(13), speech=speech, nose_at=(0.62, 0.52), face_px=150.0)
    shot_frames = 55
    shots = [
        talking_head(
            (first, second)[k % 2], duration_s=8.8, size_px=NARROW, seed=studio.seed_of(11 + k % 2),
            times_s=[frame / GRID_FPS for frame in range(k * shot_frames, (k + 1) * shot_frames)],
        )
        for k in range(4)
    ]  # fmt: skip
    path = write_video(
        studio.folder / "hard_cuts.mp4", chain.from_iterable(shot.frames() for shot in shots),
        audio=shots[0].audio_S, audio_rate_hz=SOUND_HZ,
    )  # fmt: skip
    return _rejected(path, 8.8, "a cut between two people every 2.2 s", "too_short")


def _silence(studio: _Studio) -> DemoSource:
    take = talking_head(studio.actor(12), duration_s=6, size_px=NARROW, seed=studio.seed_of(12))
    hiss_S = room_tone(len(take.audio_S), studio.seed_of(12))
    path = studio.write("silence.mp4", take, audio_S=hiss_S)
    return _rejected(path, 6, "the microphone was off", "no_speech")


def _music(studio: _Studio) -> DemoSource:
    take = talking_head(studio.actor(13), duration_s=6, size_px=NARROW, seed=studio.seed_of(13))
    chords_S = chords(6, studio.seed_of(13), rate_hz=SOUND_HZ)
    return _rejected(
        studio.write("music.mp4", take, audio_S=chords_S), 6, "music in place of speech", "no_speech"
    )


def _no_face(studio: _Studio) -> DemoSource:
    speech = studio.sentence(14)
    audio_S = fitted(speech.samples_S, 6 * SOUND_HZ) + room_tone(6 * SOUND_HZ, studio.seed_of(14))
    pictures = panned(coffee_cup(), 6 * GRID_FPS, NARROW, studio.seed_of(14))
    path = write_video(studio.folder / "no_face.mp4", pictures, audio=audio_S, audio_rate_hz=SOUND_HZ)
    return _rejected(path, 6, "a voice over a cup of coffee", "no_face")


def _cut_off(studio: _Studio) -> DemoSource:
    """An upload that stopped: MP4 keeps its index at the end, so that the beginning alone cannot be read."""
    take = talking_head(studio.actor(15), duration_s=3, size_px=NARROW, seed=studio.seed_of(15))
    path = studio.write("cut_off.mp4", take)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    return DemoSource(
        path=path, duration_s=3, expect="failed", because=frozenset({"failed.unreadable"}),
        story="the last 40 % of the file are missing, with its index",
    )  # fmt: skip


def _text(studio: _Studio) -> DemoSource:
    path = studio.folder / "notes.mp4"
    path.write_text("Shooting list\n1. interview\n2. the harbour at seven\n" * 20, encoding="utf-8")
    return DemoSource(
        path=path, duration_s=0, expect="failed", because=frozenset({"failed.unreadable"}),
        story="a text file named .mp4",
    )  # fmt: skip


def _copy(studio: _Studio) -> DemoSource:
    path = studio.folder / "kept_interview_copy.mp4"
    shutil.copyfile(studio.folder / "kept_interview.mp4", path)
    return DemoSource(
        path=path, duration_s=10, expect="duplicate", because=frozenset({"duplicate"}),
        story="the interview once more, byte for byte",
    )  # fmt: skip


_MAKERS = (
    _interview, _bookshelf, _phone, _umlaut, _broadcast, _late_sound, _other_sentence, _out_of_focus,
    _far_away, _two_people, _hard_cuts, _silence, _music, _no_face, _cut_off, _text, _copy,
)  # fmt: skip
