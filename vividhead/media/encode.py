"""Write a clip: H.264 + AAC for viewing, FLAC for training, both on the clip grid, the same bytes every time."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av import AudioFrame, VideoFrame
from av.filter import Graph
from numpy.typing import NDArray

from vividhead.records import GRID_FPS, SAMPLE_RATE_HZ


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
    graph = Graph()
    buffer = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format, time_base=Fraction(1, GRID_FPS)
    )
    cut = graph.add("crop", f"{x1 - x0}:{y1 - y0}:{x0}:{y0}:exact=1")
    scale = graph.add("scale", f"{side_px}:{side_px}:flags=bicubic+accurate_rnd:out_color_matrix=bt709:out_range=tv")
    shape = graph.add("format", "yuv420p")
    sink = graph.add("buffersink")
    for left, right in ((buffer, cut), (cut, scale), (scale, shape), (shape, sink)):
        left.link_to(right)
    graph.configure()
    return graph


def write_clip(
    pictures: Iterable[VideoFrame],
    crop_xyxy_px: tuple[int, int, int, int],
    audio_S: NDArray[np.float32],
    options: EncodeOptions,
) -> tuple[bytes, bytes, int]:
    """Encode upright yuv420p `pictures` (one per grid frame) and their 16 kHz mono sound.

    Returns (mp4 bytes, flac bytes, frames written). One x264 thread, closed GOPs, no dates or host names in the
    file: the same input gives the same bytes.
    """
    file = io.BytesIO()
    bitexact = {"fflags": "+bitexact", "movflags": "+faststart"}
    with av.open(file, "w", format="mp4", options=bitexact) as out:
        film = out.add_stream("libx264", rate=GRID_FPS)
        film.width = film.height = options.side_px
        film.pix_fmt = "yuv420p"
        film.codec_context.thread_count = 1
        film.codec_context.color_range = 1
        film.codec_context.colorspace = film.codec_context.color_primaries = film.codec_context.color_trc = 1
        film.options = {
            "crf": str(options.crf), "preset": options.preset, "flags": "+bitexact+cgop",
            "x264-params": f"keyint={options.gop_frames}:min-keyint={options.gop_frames}:scenecut=0:open-gop=0",
        }  # fmt: skip
        voice = out.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
        voice.bit_rate = options.aac_kbps * 1000
        voice.options = {"flags": "+bitexact"}
        graph: Graph | None = None
        count = 0
        for picture in pictures:
            graph = graph or _cropper(picture, crop_xyxy_px, options.side_px)
            picture.pts, picture.time_base = count, Fraction(1, GRID_FPS)
            graph.push(picture)
            cropped = graph.pull()
            assert isinstance(cropped, VideoFrame)
            cropped.pts, cropped.time_base = count, Fraction(1, GRID_FPS)
            out.mux(film.encode(cropped))
            count += 1
        out.mux(film.encode(None))
        for block in _audio_frames(audio_S, "fltp", 1024):
            out.mux(voice.encode(block))
        out.mux(voice.encode(None))
    return file.getvalue(), flac(audio_S), count


def flac(audio_S: NDArray[np.float32]) -> bytes:
    """16-bit FLAC, 16 kHz mono, with exactly the samples given (rounded to 1/32768)."""
    file = io.BytesIO()
    with av.open(file, "w", format="flac", options={"fflags": "+bitexact"}) as out:
        voice = out.add_stream("flac", rate=SAMPLE_RATE_HZ, layout="mono", options={"flags": "+bitexact"})
        for block in _audio_frames(audio_S, "s16", 4096):
            out.mux(voice.encode(block))
        out.mux(voice.encode(None))
    return file.getvalue()


def _audio_frames(audio_S: NDArray[np.float32], kind: str, size: int) -> Iterable[AudioFrame]:
    samples = audio_S
    if kind == "s16":
        samples = np.clip(np.rint(audio_S * 32768), -32768, 32767).astype(np.int16)  # type: ignore[assignment]
    for at in range(0, len(samples), size):
        block = AudioFrame.from_ndarray(np.ascontiguousarray(samples[None, at : at + size]), kind, "mono")
        block.sample_rate, block.pts, block.time_base = SAMPLE_RATE_HZ, at, Fraction(1, SAMPLE_RATE_HZ)
        yield block
