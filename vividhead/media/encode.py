"""Write a clip: H.264 + AAC for viewing, FLAC for training, both on the clip grid, the same bytes every time."""

import io
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av import AudioFrame, VideoFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.filter import Graph
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vividhead.media.colour import to_bt709, weights_of
from vividhead.media.upright import chain
from vividhead.records import GRID_FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

AAC_SAMPLES = 1024
"""What one AAC packet holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeOptions:
    """How clips are encoded; see `[pack]` in pipelines/*.toml."""

    side_px: int
    crf: int
    preset: str
    gop_frames: int
    aac_kbps: int


def _cropper(picture: VideoFrame, crop: tuple[int, int, int, int], side_px: int) -> Graph:
    x0, y0, x1, y1 = crop
    return chain(
        picture,
        Fraction(1, GRID_FPS),
        [
            ("crop", f"{x1 - x0}:{y1 - y0}:{x0}:{y0}:exact=1"),
            ("scale", f"{side_px}:{side_px}:flags=bicubic+accurate_rnd+bitexact"),
            ("format", "yuv420p"),
        ],
    )


def add_streams(out: OutputContainer, options: EncodeOptions) -> tuple[VideoStream, AudioStream]:
    """H.264 on the grid, with one thread and closed GOPs, BT.709 and saying so; and AAC, 16 kHz mono."""
    film = out.add_stream("libx264", rate=GRID_FPS)
    film.width = film.height = options.side_px
    film.pix_fmt = "yuv420p"
    context = film.codec_context
    context.thread_count = 1
    context.color_range = context.colorspace = context.color_primaries = context.color_trc = 1
    film.options = {
        "crf": str(options.crf), "preset": options.preset, "flags": "+bitexact+cgop",
        "x264-params": f"keyint={options.gop_frames}:min-keyint={options.gop_frames}:scenecut=0:open-gop=0",
    }  # fmt: skip
    voice = out.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
    voice.bit_rate = options.aac_kbps * 1000
    voice.options = {"flags": "+bitexact"}
    return film, voice


class ClipWriter:
    """Encodes one clip, picture by picture: H.264 with one thread and closed GOPs, AAC, in an mp4.

    No dates or host names in the file: the same input gives the same bytes.
    """

    def __init__(
        self, crop_xyxy_px: tuple[int, int, int, int], audio_S: NDArray[np.float32], options: EncodeOptions
    ) -> None:
        """Take the still crop in source pixels and the clip's 16 kHz mono sound."""
        self._crop, self._options = crop_xyxy_px, options
        self._sound = audio_frames(audio_S, "fltp", AAC_SAMPLES)
        self._said: AudioFrame | None = next(self._sound, None)
        self._folder = tempfile.TemporaryDirectory(prefix="vividhead-")  # faststart reads the file back by name
        self._path = Path(self._folder.name) / "clip.mp4"
        container_options = {"fflags": "+bitexact", "movflags": "+faststart"}
        self._out = av.open(str(self._path), "w", format="mp4", options=container_options)
        self._film, self._voice = add_streams(self._out, options)
        self._graph: Graph | None = None
        self._colorspace: int | None = None
        self.n_frames = 0

    def add(self, picture: VideoFrame) -> None:
        """Encode the next grid frame: an upright yuv420p picture of the source. It is not changed."""
        if self._graph is None or picture.colorspace != self._colorspace:  # else the scaler converts to the old one
            self._graph = _cropper(picture, self._crop, self._options.side_px)
            self._colorspace = picture.colorspace
        self._graph.push(picture)
        cropped = self._graph.pull()
        assert isinstance(cropped, VideoFrame)
        cropped = to_bt709(cropped, weights_of(picture))
        cropped.pts, cropped.time_base = self.n_frames, Fraction(1, GRID_FPS)
        cropped.pict_type = 0
        self._out.mux(self._film.encode(cropped))
        self.n_frames += 1
        self._say(self.n_frames * SAMPLES_PER_FRAME)

    def _say(self, until_sample: float) -> None:
        """Encode the sound up to there: players want it beside the pictures, not after them."""
        while self._said is not None and (self._said.pts or 0) < until_sample:
            self._out.mux(self._voice.encode(self._said))
            self._said = next(self._sound, None)

    def finish(self) -> bytes:
        """Write what is left; return the mp4."""
        self._say(math.inf)
        self._out.mux(self._film.encode(None))
        self._out.mux(self._voice.encode(None))
        self._out.close()
        with self._folder:
            return self._path.read_bytes()


def flac(audio_S: NDArray[np.float32]) -> bytes:
    """16-bit FLAC, 16 kHz mono, with exactly the samples given (rounded to 1/32768)."""
    file = io.BytesIO()
    with av.open(file, "w", format="flac", options={"fflags": "+bitexact"}) as out:
        voice = out.add_stream("flac", rate=SAMPLE_RATE_HZ, layout="mono", options={"flags": "+bitexact"})
        for block in audio_frames(audio_S, "s16", 4096):
            out.mux(voice.encode(block))
        out.mux(voice.encode(None))
    return file.getvalue()


def audio_frames(audio_S: NDArray[np.float32], kind: str, size: int, first: int = 0) -> Iterator[AudioFrame]:
    """Cut 16 kHz mono sound into frames of `size` samples and a shorter last one; `first` is its first one's number."""
    samples = audio_S
    if kind == "s16":
        samples = np.clip(np.rint(audio_S * 32768), -32768, 32767).astype(np.int16)
    for at in range(0, len(samples), size):
        block = AudioFrame.from_ndarray(np.ascontiguousarray(samples[None, at : at + size]), kind, "mono")
        block.sample_rate, block.pts, block.time_base = SAMPLE_RATE_HZ, first + at, Fraction(1, SAMPLE_RATE_HZ)
        yield block
