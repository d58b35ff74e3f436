"""About two minutes of footage with known truth, made from one portrait and synthetic speech.

Some files must be kept; each of the others must be turned down for one reason, which is stated with it.
"""

import shutil
from collections.abc import Callable, Collection
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vividhead.errors import UsageError
from vividhead.records import GRID_FPS
from vividhead.testing.cast import LOOKS, SENTENCES
from vividhead.testing.containers import SoundFormat, write_video
from vividhead.testing.portrait import coffee_cup
from vividhead.testing.speech import VOICES, Speech, chords, fitted, room_tone, speak
from vividhead.testing.talking_head import Actor, Take, panned, talking_head

SOUND_HZ = 48_000
SHIFT_FRAMES = 6
SHOT_FRAMES = 55
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


def demo_sources(folder: Path) -> list[DemoSource]:
    """What `make_demo_footage` writes into `folder` and what is to become of it; writes nothing."""
    return [
        DemoSource(
            path=folder / plan.name, duration_s=plan.duration_s, expect=plan.expect,
            because=frozenset(plan.because), story=plan.story, offset_frames=plan.offset_frames,
        )
        for plan in _PLANS
    ]  # fmt: skip


def make_demo_footage(
    folder: Path, seed: int = 0, *, only: Collection[str] | None = None, workers: int = 1
) -> list[DemoSource]:
    """Write the demo files (or those named in `only`) into `folder`, made if need be, by `workers` processes.

    The same seed gives the same bytes; another one other sentences, people and movements.
    """
    if unknown := set(only or ()) - {plan.name for plan in _PLANS}:
        names = ", ".join(plan.name for plan in _PLANS)
        raise UsageError(f"no demo file is called {', '.join(sorted(unknown))}; there are {names}")
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [plan for plan in _PLANS if only is None or plan.name in only]
    originals = [plan.name for plan in wanted if plan.expect != "duplicate"]
    make = partial(_make, folder, seed)
    if workers > 1:
        with ProcessPoolExecutor(workers, get_context("spawn"), cv2.setNumThreads, (1,)) as pool:
            list(pool.map(make, originals))
    else:
        for name in originals:
            make(name)
    for plan in wanted:
        if plan.expect == "duplicate":
            make(plan.name)
    made = {plan.name for plan in wanted}
    return [source for source in demo_sources(folder) if source.path.name in made]


def _make(folder: Path, seed: int, name: str) -> None:
    plan = next(plan for plan in _PLANS if plan.name == name)
    plan.make(_Studio(seed, folder / name, plan.duration_s))


@dataclass(frozen=True, slots=True)
class _Studio:
    """Where one file is made: the seed all footage hangs on, the file and its length."""

    seed: int
    path: Path
    duration_s: float

    def sentence(self, which: int) -> Speech:
        which += self.seed
        return speak(SENTENCES[which % len(SENTENCES)], voice=VOICES[which % 3], rate_hz=SOUND_HZ)

    def actor(self, which: int) -> Actor:
        """One of the ordinary people: a sentence, an appearance, a face of about 200 px."""
        return Actor(speech=self.sentence(which), look=LOOKS[(which + self.seed) % len(LOOKS)])

    def seed_of(self, which: int) -> int:
        return 1000 * self.seed + which

    def record(self, which: int, *, blur_sigma_px: float = 0.0) -> Take:
        """An ordinary recording of person `which`."""
        return talking_head(
            self.actor(which), duration_s=self.duration_s, size_px=NARROW, seed=self.seed_of(which),
            blur_sigma_px=blur_sigma_px,
        )  # fmt: skip

    def write(self, take: Take, audio_S: NDArray[np.float32] | None = None) -> None:
        """Write a take at 25 frames per second, with its own sound unless given another."""
        sound_S = take.audio_S if audio_S is None else audio_S
        write_video(self.path, take.frames(), audio=sound_S, audio_rate_hz=SOUND_HZ)


def _ordinary(which: int) -> Callable[[_Studio], None]:
    return lambda studio: studio.write(studio.record(which))


def _bookshelf(studio: _Studio) -> None:
    actor = replace(studio.actor(1), face_px=200.0, nose_at=(0.46, 0.5))
    take = talking_head(actor, duration_s=studio.duration_s, fps=30, size_px=WIDE, seed=studio.seed_of(1))
    write_video(studio.path, take.frames(), fps=30, audio=take.audio_S, audio_rate_hz=SOUND_HZ)


def _phone(studio: _Studio) -> None:
    rng = np.random.default_rng(studio.seed_of(2))
    steps_s = rng.choice([1 / 30, 1 / 30, 1 / 30, 2 / 30], int(studio.duration_s * 30))
    clock_s = np.concatenate([[0.0], np.cumsum(steps_s)])
    times_s = [float(t) for t in clock_s[clock_s < studio.duration_s]]
    take = talking_head(
        studio.actor(2), duration_s=studio.duration_s, times_s=times_s, size_px=NARROW, seed=studio.seed_of(2)
    )
    write_video(
        studio.path, take.frames(), times_s=times_s, audio=take.audio_S, audio_rate_hz=SOUND_HZ,
        sound=SoundFormat(codec="libopus"),
    )  # fmt: skip


def _late_sound(studio: _Studio) -> None:
    take = studio.record(5)
    shift = SHIFT_FRAMES * SOUND_HZ // GRID_FPS
    studio.write(take, fitted(take.audio_S, len(take.audio_S), shift=shift))


def _other_sentence(studio: _Studio) -> None:
    take = studio.record(6)
    hiss_S = room_tone(len(take.audio_S), studio.seed_of(6))
    studio.write(take, fitted(studio.sentence(8).samples_S, len(take.audio_S)) + hiss_S)


def _out_of_focus(studio: _Studio) -> None:
    studio.write(studio.record(7, blur_sigma_px=7.0))


def _far_away(studio: _Studio) -> None:
    actor = replace(studio.actor(8), face_px=70.0, nose_at=(0.5, 0.62))
    studio.write(talking_head(actor, duration_s=studio.duration_s, size_px=NARROW, seed=studio.seed_of(8)))


def _two_people(studio: _Studio) -> None:
    left = replace(studio.actor(9), nose_at=(0.3, 0.5), face_px=170.0)
    right = replace(studio.actor(10), nose_at=(0.72, 0.5), face_px=160.0, speech=None)
    studio.write(talking_head(left, right, duration_s=studio.duration_s, size_px=WIDE, seed=studio.seed_of(9)))


def _hard_cuts(studio: _Studio) -> None:
    """Two people in turn, 2.2 s each, while one voice goes on."""
    speech = studio.sentence(11)
    first = replace(studio.actor(11), speech=speech, nose_at=(0.4, 0.56))
    second = replace(studio.actor(13), speech=speech, nose_at=(0.62, 0.52), face_px=150.0)
    n_frames = round(studio.duration_s * GRID_FPS)
    shots = [
        talking_head(
            (first, second)[shot % 2], duration_s=studio.duration_s, size_px=NARROW,
            seed=studio.seed_of(11 + shot % 2),
            times_s=[frame / GRID_FPS for frame in range(start, min(start + SHOT_FRAMES, n_frames))],
        )
        for shot, start in enumerate(range(0, n_frames, SHOT_FRAMES))
    ]  # fmt: skip
    pictures = chain.from_iterable(shot.frames() for shot in shots)
    write_video(studio.path, pictures, audio=shots[0].audio_S, audio_rate_hz=SOUND_HZ)


def _silence(studio: _Studio) -> None:
    take = studio.record(12)
    studio.write(take, room_tone(len(take.audio_S), studio.seed_of(12)))


def _music(studio: _Studio) -> None:
    studio.write(studio.record(13), chords(studio.duration_s, studio.seed_of(13), rate_hz=SOUND_HZ))


def _no_face(studio: _Studio) -> None:
    n_samples = round(studio.duration_s * SOUND_HZ)
    audio_S = fitted(studio.sentence(14).samples_S, n_samples) + room_tone(n_samples, studio.seed_of(14))
    pictures = panned(coffee_cup(), round(studio.duration_s * GRID_FPS), NARROW, studio.seed_of(14))
    write_video(studio.path, pictures, audio=audio_S, audio_rate_hz=SOUND_HZ)


def _cut_off(studio: _Studio) -> None:
    """An upload that stopped: MP4 keeps its index at the end, so that the beginning alone cannot be read."""
    studio.write(studio.record(15))
    whole = studio.path.read_bytes()
    studio.path.write_bytes(whole[: len(whole) * 6 // 10])


def _text(studio: _Studio) -> None:
    studio.path.write_text("Shooting list\n1. interview\n2. the harbour at seven\n" * 20, encoding="utf-8")


def _copy(studio: _Studio) -> None:
    original = studio.path.with_name(_PLANS[0].name)
    if not original.exists():
        raise UsageError(f"{studio.path.name} is a copy: make {original.name} with it")
    shutil.copyfile(original, studio.path)


@dataclass(frozen=True, slots=True)
class _Plan:
    """One file of the demo: its truth and its maker."""

    name: str
    duration_s: float
    expect: Expectation
    because: tuple[str, ...]
    story: str
    make: Callable[[_Studio], None]
    offset_frames: int = 0


_LATE = f"the sound comes {SHIFT_FRAMES} frames late"
_CUT_OFF = "the last 40 % are missing, with the file's index"
_PLANS = (
    _Plan("kept_interview.mp4", 10, "kept", (), "an ordinary interview, H.264 and AAC", _ordinary(0)),
    _Plan("kept_bookshelf.mov", 8, "kept", (), "30 frames per second, off centre", _bookshelf),
    _Plan("kept_phone.mkv", 9, "kept", (), "a phone's variable frame rate, Matroska and Opus", _phone),
    _Plan("kept_Gespräch.webm", 8, "kept", (), "VP9 and Opus, a name that is not ASCII", _ordinary(3)),
    _Plan("kept_broadcast.ts", 8, "kept", (), "a transport stream, whose clock starts late", _ordinary(4)),
    _Plan("late_sound.mp4", 9, "rejected", ("lip_sync.offset_ms",), _LATE, _late_sound, SHIFT_FRAMES),
    _Plan("other_sentence.mp4", 9, "rejected", ("lip_sync.",), "the sound of another text", _other_sentence),
    _Plan("out_of_focus.mp4", 6, "rejected", ("sharpness.",), "the camera is out of focus", _out_of_focus),
    _Plan("far_away.mp4", 6, "rejected", ("framing.",), "the face is 70 pixels high", _far_away),
    _Plan("two_people.mp4", 6, "rejected", ("other_faces.",), "a face beside the speaker", _two_people),
    _Plan("hard_cuts.mp4", 8.8, "rejected", ("too_short",), "cuts between people every 2.2 s", _hard_cuts),
    _Plan("silence.mp4", 6, "rejected", ("no_speech",), "the microphone was off", _silence),
    _Plan("music.mp4", 6, "rejected", ("no_speech",), "music in place of speech", _music),
    _Plan("no_face.mp4", 6, "rejected", ("no_face",), "a voice over a cup of coffee", _no_face),
    _Plan("cut_off.mp4", 3, "failed", ("failed.unreadable",), _CUT_OFF, _cut_off),
    _Plan("notes.mp4", 0, "failed", ("failed.unreadable",), "a text file named .mp4", _text),
    _Plan("kept_interview_copy.mp4", 10, "duplicate", ("duplicate.",), "the interview, byte for byte", _copy),
)
