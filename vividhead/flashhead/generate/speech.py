"""Speech from any file with sound that FFmpeg reads: 16 kHz mono, whole or block by block.

Axes: S audio samples at 16 kHz.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vividhead.errors import MediaError
from vividhead.media import all_sound
from vividhead.records import SAMPLE_RATE_HZ

_WAY_OUT = {
    "failed.no_audio": "give a file with an audio track",
    "failed.empty": "give the file anew",
    "failed.vanished": "check the path",
    "failed.truncated": "give the file anew: it is cut off or damaged",
}
_ELSE = "give sound in a format that FFmpeg reads: WAV, MP3, FLAC, Opus, AAC, or a video with sound"


class SpeechError(MediaError):
    """A file that nobody can speak from: what is wrong with it, and what to give instead."""


def speech_blocks(path: str | Path, block_s: float = 10.0) -> Iterator[NDArray[np.float32]]:
    """Yield the file's sound as float32, -1 … 1, in blocks of `block_s` seconds and a shorter last one.

    The file is read once, forward, and memory does not grow with its length. In all there are as many samples as the
    file has sound, at least one; nothing is padded. Raises SpeechError, at the latest when the first block is asked
    for, where there is nothing to read.
    """
    size = max(1, round(block_s * SAMPLE_RATE_HZ))
    held: list[NDArray[np.float32]] = []
    n_held = 0
    for samples_S in _said(Path(path)):
        held.append(samples_S)
        n_held += len(samples_S)
        if n_held >= size:
            together_S = np.concatenate(held)
            whole = n_held // size * size
            yield from together_S[:whole].reshape(-1, size)
            held, n_held = [together_S[whole:]], n_held - whole
    if n_held:
        yield np.concatenate(held)


def read_speech(path: str | Path) -> NDArray[np.float32]:
    """The file's whole sound: `speech_blocks` in one piece, 64 kB for each second."""
    return np.concatenate(list(speech_blocks(path)))


def _said(path: Path) -> Iterator[NDArray[np.float32]]:
    try:
        yield from all_sound(path)
    except MediaError as fault:
        do = _WAY_OUT.get(fault.code, _ELSE)
        raise SpeechError(fault.code, f"{path} cannot be spoken from: {fault.detail}; {do}") from fault
