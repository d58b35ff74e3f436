"""A tiny folder of footage that comes to every kind of end, under names that are hard to carry about."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from vividhead.testing import Actor, fitted, room_tone, speak, talking_head, write_video

SOUND_HZ = 48_000
KEPT_S, SMALL_S, SILENT_S = 4.8, 4.0, 3.2
LEAST_FACE_PX = 100
"""A limit on the face's height under which `small` passes; the default filters refuse it."""
REFUSED = "framing.face_height_px_in_source:low"


@dataclass(frozen=True, slots=True)
class Film:
    """The folder and its files: one kept, one too small, one without speech twice, two that are no videos."""

    folder: Path

    @property
    def kept(self) -> Path:
        return self.folder / 'it\'s "kept"\n漢.mp4'

    @property
    def small(self) -> Path:
        return self.folder / "small.mp4"

    @property
    def silent(self) -> Path:
        return self.folder / "silent.mkv"

    @property
    def twin(self) -> Path:
        """The bytes of `silent` again, later in the alphabet."""
        return self.folder / "silent_twin.mkv"

    @property
    def empty(self) -> Path:
        return self.folder / "empty.mp4"

    @property
    def text(self) -> Path:
        """A text whose name is no UTF-8."""
        return self.folder / os.fsdecode(b"text \xff.mp4")

    @property
    def duration_s(self) -> float:
        """Seconds that the account must sum to."""
        return KEPT_S + SMALL_S + 2 * SILENT_S


def make_film(parent: Path) -> Film:
    """Make the footage in a folder whose path holds quotes, a line break, `..` and letters beyond ASCII."""
    (parent / "aside").mkdir()
    film = Film(parent / "aside" / ".." / "Außen \"take\"\n'1'")
    film.folder.mkdir()
    gulls = "We counted eleven gulls over the harbour, and the baker waved from her window."
    large = Actor(speech=speak(gulls, rate_hz=SOUND_HZ))
    take = talking_head(large, duration_s=KEPT_S, seed=3)
    write_video(film.kept, take.frames(), audio=take.audio_S, audio_rate_hz=SOUND_HZ)
    tomatoes = "My neighbour grows tomatoes on the roof, and every evening he carries water up."
    small = Actor(speech=speak(tomatoes, rate_hz=SOUND_HZ), face_px=118.0)
    take = talking_head(small, duration_s=SMALL_S, size_px=(480, 360), seed=4)
    write_video(film.small, take.frames(), audio=take.audio_S, audio_rate_hz=SOUND_HZ)
    take = talking_head(Actor(speech=None), duration_s=SILENT_S, size_px=(320, 240), seed=5)
    hiss_S = fitted(room_tone(SOUND_HZ, 5), round(SILENT_S * SOUND_HZ))
    write_video(film.silent, take.frames(), audio=hiss_S, audio_rate_hz=SOUND_HZ)
    shutil.copyfile(film.silent, film.twin)
    film.empty.touch()
    film.text.write_text("1. interview\n2. the harbour at seven\n", encoding="utf-8")
    return film
