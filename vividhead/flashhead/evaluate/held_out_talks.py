"""Held-out clips speak: their pictures as portraits, their sound driving them, through the streaming engine.

    portrait of clip 0   |= clip 1 =| 2 s of nothing |==== clip 2 ====| 2 s of nothing |= clip 0 =| …  cut at the end
    portrait of clip 1   |==== clip 2 ====| 2 s of nothing |= clip 0 =| …

Other clips' sound, for comparison, is made in the same way of clips that are not spoken.

Axes: H W picture, C channel (RGB), S audio samples at 16 kHz.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vividhead.errors import UsageError
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.evaluate.boundaries import BoundaryMeter
from vividhead.flashhead.evaluate.records import Boundaries
from vividhead.flashhead.generate.engine import Engine
from vividhead.flashhead.generate.stream import silence
from vividhead.flashhead.generate.talk import provenance_of, spoken
from vividhead.flashhead.generate.talk_file import TalkFile
from vividhead.flashhead.held_out import held_out
from vividhead.flashhead.model.flashhead import FlashHead
from vividhead.flashhead.signing import own_signer_if_any
from vividhead.flashhead.training_options import Data
from vividhead.loader.checks import check_side, packed_side_px
from vividhead.loader.folder import Folder
from vividhead.loader.members import MemberCache
from vividhead.media.window import window_pictures, window_sound
from vividhead.records import GRID_FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

PAUSE_FRAMES = 2 * GRID_FPS
"""Between two clips' sounds: where it is seen whether the mouth shuts."""
OTHERS = 3
"""So many other sounds a talk is held against, if the dataset has as many clips."""

Samples = NDArray[np.float32]


class ClipFolder:
    """The kept clips of a dataset, one at a time."""

    def __init__(self, where: str) -> None:
        """Open the dataset at a path or address. Raises DatasetError where there is none."""
        self._folder = Folder(where)
        rows = self._folder.manifest()
        self._members = MemberCache(self._folder, rows, ("mp4", "flac"), limit_bytes=0)
        names = rows["clip_id"].to_pylist()
        self._row_of = {name: row for row, name in enumerate(names)}
        self._frames_of = dict(zip(names, rows["n_frames"].to_pylist(), strict=True))
        self.source_of: dict[str, str] = dict(zip(names, rows["source_id"].to_pylist(), strict=True))

    @property
    def clip_ids(self) -> list[str]:
        """All of them, in an order that is theirs alone."""
        return sorted(self._row_of, key=lambda clip: hashlib.sha256(clip.encode()).digest())

    def portrait_HWC(self, clip: str, side_px: int) -> NDArray[np.uint8]:
        """The clip's first picture."""
        check_side(side_px, packed_side_px(self._folder), self._folder.where)
        mp4 = self._members.members(self._row_of[clip])["mp4"]
        first_HWC: NDArray[np.uint8] = window_pictures(mp4, [0], side_px)[0]
        return first_HWC

    @property
    def side_px(self) -> int:
        """Side of the packed pictures."""
        return packed_side_px(self._folder)

    def n_frames(self, clip: str) -> int:
        """Length of a clip."""
        return int(self._frames_of[clip])

    def stretches(self, clips: Sequence[str], side_px: int, n_frames: int) -> Iterator[NDArray[np.uint8]]:
        """All the clips' pictures (T, H, W, C), so many at a time, none over the end of a clip."""
        for clip in clips:
            mp4 = self._members.members(self._row_of[clip])["mp4"]
            for start in range(0, self.n_frames(clip), n_frames):
                yield window_pictures(mp4, range(start, min(start + n_frames, self.n_frames(clip))), side_px)

    def sound_S(self, clip: str) -> Samples:
        """All the clip's sound."""
        n_samples = self._frames_of[clip] * SAMPLES_PER_FRAME
        return window_sound(self._members.members(self._row_of[clip])["flac"], 0, n_samples)

    def in_turns(self, clips: Sequence[str], n_samples: int) -> Iterator[Samples]:
        """Their sounds in this order, over and over, a pause after each; in all exactly so many samples."""
        left = n_samples
        for clip in cycle(clips):
            for piece_S in (self.sound_S(clip), silence(PAUSE_FRAMES)):
                yield piece_S[:left]
                left -= len(piece_S)
                if left <= 0:
                    return

    def other_sounds(self, left_out: Sequence[str], n_samples: int) -> dict[str, Samples]:
        """Sounds by the ids of the clips they are made of, none of them among those `left_out`."""
        rest = [clip for clip in self.clip_ids if clip not in set(left_out)]
        if not rest:
            raise UsageError(
                f"{self._folder.where} holds no clip with another sound to compare with: curate more footage"
            )
        sounds = {}
        for first in range(min(OTHERS, len(rest))):
            clips = rest[first::OTHERS]
            other_S = np.concatenate(list(self.in_turns(clips, n_samples)))
            sounds[" ".join(self._needed(clips, n_samples))] = other_S
        return sounds

    def _needed(self, clips: Sequence[str], n_samples: int) -> list[str]:
        """Those of the clips that so many samples reach."""
        used, total = [], 0
        for clip in clips:
            if total >= n_samples:
                break
            used.append(clip)
            total += (self._frames_of[clip] + PAUSE_FRAMES) * SAMPLES_PER_FRAME
        return used


def held_out_clips(dataset: str, config: FlashHeadConfig) -> list[str]:
    """The clips that training with this configuration keeps for validation, or would keep if it kept any."""
    share = config.data.held_out or Data().held_out
    clips = held_out(dataset, config, share).judged_by
    if not clips:
        raise UsageError(f"{dataset} holds a single clip: nothing is held out, and no other sound to compare with")
    return clips


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutTalk:
    """A talk that was generated."""

    path: Path
    portrait: str
    spoken: tuple[str, ...]
    boundaries: Boundaries


def generate(
    model: FlashHead, clips: ClipFolder, held: Sequence[str], which: int, minutes: float, path: Path, *,
    seed: int, teacher: bool, told: Callable[[int, int], None],
) -> HeldOutTalk:  # fmt: skip
    """Let held-out clip `which` speak for so long, and write it to `path`."""
    side, n_samples = model.config.stream.side_px, round(minutes * 60 * SAMPLE_RATE_HZ)
    order = [held[(which + 1 + k) % len(held)] for k in range(len(held))]
    stream = Engine(model, teacher=teacher).open(clips.portrait_HWC(held[which], side), seed, as_it_is=True)
    meter, done = BoundaryMeter(), 0
    with TalkFile(path, side, provenance_of(model, seed, teacher), own_signer_if_any()) as film:
        for chunk in spoken(stream, clips.in_turns(order, n_samples)):
            film.add(chunk.frames_THWC, chunk.pcm_S)
            meter.add(chunk.frames_THWC)
            done += len(chunk.frames_THWC)
            told(done, n_samples // SAMPLES_PER_FRAME)
    return HeldOutTalk(path=path, portrait=held[which], spoken=tuple(order), boundaries=meter.read())
