"""Write generated pictures and sound as one mp4 while they come, both exactly as long; and read its tags.

pictures |0 |1 |2 |3 |4 |5 |6 |7 |…        40 ms each, from 0
samples  |0 … 639|640 …                    640 to a picture, from 0
packets    |pad|0 … 1023|1024 … 2047|…     the encoder's first packet is its own lead-in: an edit list hides it,
                                           and the last one is said to be as short as the sound that is left
"""

from collections.abc import Mapping
from pathlib import Path

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from vividhead.media.encode import AAC_SAMPLES, EncodeOptions, add_streams, audio_frames
from vividhead.media.opening import open_media
from vividhead.media.still import FromRgb
from vividhead.records import SAMPLES_PER_FRAME


class TalkWriter:
    """H.264 and AAC as clips have them, picture by picture; memory stays flat, the same input gives the same bytes."""

    def __init__(self, path: Path, options: EncodeOptions, tags: Mapping[str, str]) -> None:
        """Begin the mp4 file `path`; `tags` are its metadata, under whatever names."""
        movflags = "+faststart+use_metadata_tags"  # without the latter, mp4 drops names it does not know
        self._out = av.open(f"file:{path}", "w", format="mp4", options={"fflags": "+bitexact", "movflags": movflags})
        self._out.metadata.update(tags)
        self._film, self._voice = add_streams(self._out, options)
        self._picture_of = FromRgb()
        self._unsaid_S = np.zeros(0, np.float32)
        self._said = 0
        self.n_frames = 0

    def add(self, frames_THWC: NDArray[np.uint8], audio_S: NDArray[np.float32]) -> None:
        """Encode RGB pictures and the 640 samples (16 kHz, -1 … 1) of each."""
        for frame_HWC, samples_S in zip(frames_THWC, audio_S.reshape(-1, SAMPLES_PER_FRAME), strict=True):
            picture = self._picture_of(frame_HWC)
            picture.pts, picture.pict_type = self.n_frames, 0
            self._out.mux(self._film.encode(picture))
            self.n_frames += 1
            self._unsaid_S = np.concatenate([self._unsaid_S, samples_S])
            self._say(len(self._unsaid_S) // AAC_SAMPLES * AAC_SAMPLES)

    def _say(self, n_samples: int) -> None:
        """Encode so much of the sound that waits for a packet to be full."""
        for block in audio_frames(self._unsaid_S[:n_samples], "fltp", AAC_SAMPLES, first=self._said):
            self._out.mux(self._voice.encode(block))
        self._said += n_samples
        self._unsaid_S = self._unsaid_S[n_samples:]

    def finish(self) -> None:
        """Encode what is left and close the file."""
        self._say(len(self._unsaid_S))
        self._out.mux(self._film.encode(None))
        self._out.mux(self._voice.encode(None))
        self._out.close()

    def abandon(self) -> None:
        """Close the file, which is then of no use, whatever state it is in."""
        try:
            self._out.close()
        except (av.error.FFmpegError, OSError):
            return


def tags_of(path: Path) -> dict[str, str]:
    """A media file's metadata. Raises MediaError when it is none."""
    with open_media(path, "sound") as container:
        return dict(container.metadata)
