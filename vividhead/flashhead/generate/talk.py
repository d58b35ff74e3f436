"""A portrait and a recording to a talking-head file: the engine with one stream and no hurry."""

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vividhead.faces import hushed
from vividhead.flashhead.generate.engine import Engine
from vividhead.flashhead.generate.portrait import PortraitError, prepare_portrait
from vividhead.flashhead.generate.speech import speech_blocks
from vividhead.flashhead.generate.stream import Chunk, Stream
from vividhead.flashhead.generate.talk_file import Provenance, TalkFile
from vividhead.flashhead.model.flashhead import FlashHead
from vividhead.flashhead.signing import Signer
from vividhead.flashhead.watermark import all_marked
from vividhead.media import declared_sound_s
from vividhead.records import GRID_FPS

Samples = NDArray[np.float32]
Picture = NDArray[np.uint8]
Told = Callable[[int, int | None, float], None]
"""Hears how many pictures are made, of how many where that is known, and how many a second."""


@dataclass(frozen=True, slots=True)
class Talk:
    """What was made."""

    n_frames: int
    took_s: float

    @property
    def duration_s(self) -> float:
        """Length of the video."""
        return self.n_frames / GRID_FPS

    @property
    def fps(self) -> float:
        """Pictures a second while it was made, reading and encoding included."""
        return self.n_frames / self.took_s if self.took_s else 0.0


def talk(
    model: FlashHead,
    portrait: Path,
    audio: Path,
    out: Path,
    seed: int = 0,
    told: Told = lambda done, total, fps: None,
    *,
    teacher: bool = False,
    signer: Signer | None = None,
) -> Talk:
    """Write `out`, an mp4 in which the portrait speaks the recording; pictures and sound are exactly as long.

    Sound is read and pictures are written as they come: memory does not grow with the length. A file of that name is
    replaced when the new one is whole. `teacher`: see `Engine`; `signer` signs how the file was made. Raises
    PortraitError, SpeechError or StorageError.
    """
    side = model.config.stream.side_px
    face_HWC = _quietly_prepared(portrait, side)
    provenance = replace(provenance_of(model, seed, teacher), portrait_sha256=_digest_of(portrait))
    blocks = speech_blocks(audio)
    first = next(blocks)  # what cannot be read is refused before anything is written
    length_s = declared_sound_s(audio)
    total = None if length_s is None else math.ceil(length_s * GRID_FPS)
    began, n_frames = time.monotonic(), 0
    stream = Engine(model, teacher=teacher).open(face_HWC, seed, as_it_is=True)
    with TalkFile(out, side, provenance, signer) as film:
        for chunk in spoken(stream, chain([first], blocks)):
            film.add(all_marked(chunk.frames_THWC), chunk.pcm_S)
            n_frames += len(chunk.frames_THWC)
            told(n_frames, total, n_frames / (time.monotonic() - began))
    return Talk(n_frames, time.monotonic() - began)


def _quietly_prepared(portrait: Path, side_px: int) -> Picture:
    """The portrait, without what MediaPipe writes to standard error, also where the portrait is refused."""
    with hushed():
        try:
            return prepare_portrait(portrait, side_px)
        except PortraitError as fault:
            refused = fault
    raise refused


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def provenance_of(model: FlashHead, seed: int, teacher: bool = False) -> Provenance:
    """What a generated file says of itself."""
    return Provenance(
        model=model.config.name,
        checkpoint_sha256=model.checkpoint_sha256,
        seed=seed,
        random_weights=model.random_weights,
        teacher=teacher,
    )


def spoken(stream: Stream, blocks: Iterable[Samples]) -> Iterator[Chunk]:
    """All chunks of a recording, each as soon as its sound is read."""
    for block_S in blocks:
        stream.push_pcm(block_S)
        yield from _ready(stream)
    stream.flush()
    yield from _ready(stream)


def _ready(stream: Stream) -> Iterator[Chunk]:
    while stream.is_speaking and (chunk := stream.next_chunk()) is not None:
        yield chunk
