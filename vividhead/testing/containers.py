"""Write video files as the world makes them: any container and codec, odd clocks, rotation, fields, channels.

Everything here is deterministic: one encoder thread and no dates, versions or random ids in the file.

Axes: H W C picture, S audio samples, and channels of sound as the second axis of (S, channels).
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.codec.context import Flags
from av.filter import Graph
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
FieldOrder = Literal["progressive", "top_first", "bottom_first"]

_VIDEO_CODEC_OF = {"webm": "libvpx-vp9", "mpg": "mpeg2video", "avi": "mpeg4"}
_AUDIO_CODEC_OF = {"webm": "libopus", "mpg": "mp2", "avi": "pcm_s16le", "flac": "flac", "wav": "pcm_s16le"}
_FORMAT_OF = {"mkv": "matroska", "mpg": "vob", "ts": "mpegts", "m4v": "mp4"}
_LAYOUT_OF = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1"}
_QUICK_OPTIONS = {
    "libx264": {"preset": "ultrafast", "crf": "23"},
    "libx265": {
        "preset": "ultrafast",
        "crf": "22",
        "x265-params": "log-level=none:pools=none:frame-threads=1",
    },
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "4M"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "24", "b": "0"},
    "libsvtav1": {"preset": "12", "crf": "28", "svtav1-params": "lp=1"},
    "mpeg1video": {"b": "6M"},
    "mpeg2video": {"b": "8M"},
    "mpeg4": {"b": "6M"},
}
# AVColorTransferCharacteristic, AVColorPrimaries, AVColorSpace
_COLOUR_TAGS = {"bt709": (1, 1, 1), "pq": (16, 9, 9), "hlg": (18, 9, 9)}
_FINE_CLOCK_HZ = 90_000


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFormat:
    """How pictures are coded and labelled. Codec None: the container's usual one (H.264 for most)."""

    codec: str | None = None
    """FFmpeg's encoder name: libx264, libx265, libvpx-vp9, libsvtav1, mpeg1video, mpeg2video, mpeg4 ..."""
    pixel_format: str = "yuv420p"
    """`yuv420p10le` for 10 bit."""
    keyframe_every: int = 50
    """Most frames from one key frame to the next."""
    rotation_deg: int = 0
    """Clockwise turn a player must make to show the coded picture upright."""
    sample_aspect: tuple[int, int] = (1, 1)
    field_order: FieldOrder = "progressive"
    """If not progressive, pictures come at twice the frame rate and are woven in pairs as fields."""
    transfer: Literal["bt709", "pq", "hlg"] | None = None
    """Colour tags; `pq` and `hlg` claim HDR in BT.2020. The pictures' values are coded as they are."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Further options of the encoder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundFormat:
    """How sound is coded. Codec None: the container's usual one (AAC for most)."""

    codec: str | None = None
    start_s: float = 0.0
    """When the first sample is to be heard, in seconds since the first picture's time."""
    bit_rate: int = 128_000


def write_video(
    path: Path,
    frames: Iterable[Picture] | None,
    *,
    fps: Fraction | int = 25,
    times_s: Sequence[float] | None = None,
    video: VideoFormat | None = None,
    audio: NDArray[np.float32] | None = None,
    audio_rate_hz: int = 16_000,
    sound: SoundFormat | None = None,
) -> Path:
    """Write RGB `frames` (H, W, 3) and `audio` (S,) or (S, channels 1..6) to `path`; return it.

    The suffix names the container. `times_s` gives each frame's own time in seconds (variable frame rate) in
    place of `fps`. Either of `frames` and `audio` may be None.
    """
    os.environ.setdefault("SVT_LOG", "1")  # else SVT-AV1 tells its whole configuration on stderr
    suffix = path.suffix.lstrip(".").lower()
    container_format = _FORMAT_OF.get(suffix, suffix)
    with av.open(str(path), "w", format=container_format, options={"fflags": "+bitexact"}) as container:
        packets: list[Iterator[Any]] = []
        if frames is not None:
            pictures = iter(frames)
            first = next(pictures)
            stream = _video_stream(container, suffix, first, Fraction(fps), video or VideoFormat(), times_s)
            packets.append(
                _video_packets(stream, chain([first], pictures), Fraction(fps), video or VideoFormat(), times_s)
            )
        if audio is not None:
            spec = sound or SoundFormat()
            audio_SC = audio[:, None] if audio.ndim == 1 else audio
            audio_stream = _audio_stream(container, suffix, audio_SC.shape[1], audio_rate_hz, spec)
            packets.append(_audio_packets(audio_stream, audio_SC, audio_rate_hz, spec))
        for packet in _by_time(packets):
            container.mux(packet)
    return path


def _video_stream(
    container: Any,
    suffix: str,
    first: Picture,
    fps: Fraction,
    spec: VideoFormat,
    times_s: Sequence[float] | None,
) -> Any:
    codec = spec.codec or _VIDEO_CODEC_OF.get(suffix, "libx264")
    options = {**_QUICK_OPTIONS.get(codec, {}), **spec.options}
    if spec.field_order != "progressive" and codec == "libx264":
        options["x264-params"] = "tff=1" if spec.field_order == "top_first" else "bff=1"
    stream = container.add_stream(codec, rate=fps, options=options)
    stream.height, stream.width = first.shape[:2]
    stream.pix_fmt = spec.pixel_format
    context = stream.codec_context
    context.thread_count = 1
    context.gop_size = spec.keyframe_every
    context.sample_aspect_ratio = Fraction(*spec.sample_aspect)
    context.flags |= Flags.bitexact
    if spec.field_order != "progressive":
        context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        context.field_order = 2 if spec.field_order == "top_first" else 3
    if times_s is not None:
        context.time_base = Fraction(1, _FINE_CLOCK_HZ)
    if spec.transfer:
        context.color_trc, context.color_primaries, context.colorspace = _COLOUR_TAGS[spec.transfer]
        context.color_range = 1
    if spec.rotation_deg:
        stream.set_display_rotation(-spec.rotation_deg)  # FFmpeg counts counter-clockwise
    return stream


def _video_packets(
    stream: Any,
    pictures: Iterator[Picture],
    fps: Fraction,
    spec: VideoFormat,
    times_s: Sequence[float] | None,
) -> Iterator[Any]:
    clock = Fraction(1, _FINE_CLOCK_HZ) if times_s is not None else 1 / fps
    for index, picture in enumerate(_woven(pictures, spec.field_order)):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = index if times_s is None else round(times_s[index] * _FINE_CLOCK_HZ)
        frame.time_base = clock
        yield from stream.encode(_marked(frame, spec.field_order))
    yield from stream.encode(None)


def _marked(frame: Any, order: FieldOrder) -> Any:
    """The frame with its field order written on it: encoders trust that more than their own options."""
    if order == "progressive":
        return frame
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    mode = "tff" if order == "top_first" else "bff"
    graph.link_nodes(source, graph.add("setfield", f"mode={mode}"), graph.add("buffersink")).configure()
    graph.push(frame)
    return graph.pull()


def _woven(pictures: Iterator[Picture], order: FieldOrder) -> Iterator[Picture]:
    """Pairs of pictures as one: the earlier one's lines are the even ones if the top field comes first."""
    if order == "progressive":
        yield from pictures
        return
    earlier_row = 0 if order == "top_first" else 1
    while len(pair := list(islice(pictures, 2))) == 2:
        frame = pair[1].copy()
        frame[earlier_row::2] = pair[0][earlier_row::2]
        yield frame


def _audio_stream(container: Any, suffix: str, n_channels: int, rate_hz: int, spec: SoundFormat) -> Any:
    codec = spec.codec or _AUDIO_CODEC_OF.get(suffix, "aac")
    options = {"aac_coder": "fast"} if codec == "aac" else {}
    stream = container.add_stream(codec, rate=rate_hz, layout=_LAYOUT_OF[n_channels], options=options)
    if not codec.startswith(("pcm", "flac")):
        stream.bit_rate = spec.bit_rate * max(1, n_channels // 2)
    stream.codec_context.flags |= Flags.bitexact
    return stream


def _audio_packets(stream: Any, audio_SC: NDArray[np.float32], rate_hz: int, spec: SoundFormat) -> Iterator[Any]:
    """Code in blocks of a tenth of a second; the encoder's own resampler cuts them to its frames."""
    interleaved = np.round(np.clip(audio_SC, -1, 1) * 32767).astype(np.int16)
    first_pts = round(spec.start_s * rate_hz)
    block = rate_hz // 10
    for start in range(0, len(interleaved), block):
        part = np.ascontiguousarray(interleaved[start : start + block]).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(part, format="s16", layout=_LAYOUT_OF[audio_SC.shape[1]])
        frame.sample_rate = rate_hz
        frame.time_base = Fraction(1, rate_hz)
        frame.pts = first_pts + start
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _by_time(streams: Sequence[Iterator[Any]]) -> Iterator[Any]:
    """Packets of all streams in the order of their decoding times, so that players need no seeking."""
    waiting = [(packets, next(packets, None)) for packets in streams]
    while waiting := [(packets, packet) for packets, packet in waiting if packet is not None]:
        at = min(range(len(waiting)), key=lambda k: _decoding_time(waiting[k][1]))
        packets, packet = waiting[at]
        yield packet
        waiting[at] = packets, next(packets, None)


def _decoding_time(packet: Any) -> Fraction:
    moment = packet.dts if packet.dts is not None else packet.pts
    return Fraction(0) if moment is None else Fraction(moment) * packet.time_base
