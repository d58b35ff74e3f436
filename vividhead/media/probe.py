"""What is in a file: streams, size, true duration, and the clock that pictures and sound share."""

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from vividhead.errors import MediaError
from vividhead.records import GRID_FPS

CONTAINERS = (
    "mov,matroska,avi,mpeg,mpegts,mpegvideo,flv,live_flv,asf,ogg,mxf,h264,hevc,m4v,ivf,obu,wav,mp3,aac,flac,dv"
)
"""Demuxers we let loose on a stranger's file: no playlists, no text formats, nothing that opens other files."""

HDR_TRANSFERS = {16: "PQ (SMPTE ST 2084)", 18: "HLG (ARIB STD-B67)"}
"""`color_trc` codes of ITU-T H.273 whose pictures are no SDR pictures without tone mapping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One file's streams. `zero` is the container time, in seconds, of grid frame 0.

    The grid is laid so that the first picture falls exactly on a grid frame; footage begins at the container's
    start (at most 40 ms of sound before it belongs to no grid frame).
    """

    container: str
    duration_s: float
    n_frames: int
    zero: Fraction
    video_codec: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    fps: float | None = None
    pixel_format: str | None = None
    rotation_deg: int = 0
    """Counter-clockwise turn that sets the coded picture upright: 0, 90, 180 or 270."""
    sample_aspect: tuple[int, int] = (1, 1)
    interlaced: bool = False
    hdr: str | None = None
    audio_codec: str | None = None
    audio_rate_hz: int | None = None
    audio_channels: int | None = None


def open_media(path: Path) -> InputContainer:
    """Open a file for reading, or raise MediaError saying in a closed code why not."""
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    try:
        return av.open(f"file:{path}", options=options, metadata_errors="replace")
    except FileNotFoundError as fault:
        raise MediaError("failed.vanished", f"{path} is not there (any more)") from fault
    except PermissionError as fault:
        raise MediaError("failed.no_permission", f"{path} may not be read") from fault
    except (av.error.FFmpegError, ValueError) as fault:
        detail = f"not a readable video file: {fault.__class__.__name__}"
        raise MediaError("failed.unreadable", detail) from fault


def video_stream(container: InputContainer) -> VideoStream | None:
    """The stream with the footage: FFmpeg's best one that is no cover picture."""
    still = av.stream.Disposition.attached_pic
    films = [s for s in container.streams.video if not s.disposition & still]
    best = container.streams.best("video")
    return best if best in films else (films[0] if films else None)


def probe(path: Path) -> Probe:
    """Read a file's headers, its packets' times (no pictures but the first) and its first picture.

    Raises MediaError when it is no readable media file.
    """
    if path.stat().st_size == 0:
        raise MediaError("failed.empty", "the file has no bytes")
    with open_media(path) as container:
        film = video_stream(container)
        voice = container.streams.best("audio")
        streams = [s for s in (film, voice) if s is not None]
        if not streams:
            raise MediaError("failed.unreadable", "neither a video nor an audio stream")
        start, end, film_start = _extent(container, streams, film)
        declared_s = Fraction(container.duration or 0, av.time_base)
        if container.start_time is not None:
            start = min(start, Fraction(container.start_time, av.time_base))
        duration = max(end - start, declared_s)
        if duration <= 0:
            raise MediaError("failed.zero_duration", "the streams hold no time")
        zero = film_start - Fraction(math.floor((film_start - start) * GRID_FPS), GRID_FPS)
        n_frames = math.floor((start + duration - zero) * GRID_FPS + Fraction(1, 2))
        sound = {}
        if voice is not None:
            sound = {
                "audio_codec": voice.codec_context.name,
                "audio_rate_hz": voice.codec_context.sample_rate,
                "audio_channels": voice.codec_context.channels,
            }
        base = {"container": container.format.name, "duration_s": float(duration), "zero": zero}
        picture = {} if film is None else _picture(path)
        return Probe(**base, n_frames=n_frames, **sound, **picture)  # type: ignore[arg-type]


def _extent(
    container: InputContainer, streams: list[av.stream.Stream], film: VideoStream | None
) -> tuple[Fraction, Fraction, Fraction]:
    """Start and end of all packets and start of the pictures, in container seconds, by demuxing alone."""
    starts: dict[int, Fraction] = {}
    end = Fraction(0)
    try:
        for packet in container.demux(streams):
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is None or packet.time_base is None:
                continue
            time = stamp * packet.time_base
            lasts = (packet.duration or 0) * packet.time_base
            if not lasts and packet.stream is film and film.average_rate:
                lasts = 1 / film.average_rate
            index = packet.stream.index
            starts[index] = min(starts.get(index, time), time)
            end = max(end, time + lasts)
    except av.error.FFmpegError:
        pass  # a torn tail: what it should have held is missed and accounted for when pictures are read
    if not starts:
        raise MediaError("failed.truncated", "the headers are there, the data is not")
    for stream in streams:  # edit lists may begin a stream later than its first packet
        if stream.start_time is not None and stream.time_base is not None and stream.index in starts:
            starts[stream.index] = stream.start_time * stream.time_base
    start = min(starts.values())
    film_start = starts.get(film.index, start) if film is not None else start
    return start, end, film_start


def _picture(path: Path) -> dict[str, object]:
    """The upright size, rotation, interlacing and colour of the first pictures."""
    with open_media(path) as container:
        film = video_stream(container)
        assert film is not None
        context = film.codec_context
        if max(context.width, context.height) > 16384:
            raise MediaError("failed.absurd_size", f"the header says {context.width}×{context.height} pixels")
        frames = []
        try:
            for frame in container.decode(film):
                frames.append(frame)
                if len(frames) == 4:
                    break
        except av.error.FFmpegError as fault:
            if not frames:
                raise MediaError("failed.undecodable", f"{context.name}: {type(fault).__name__}") from fault
        if not frames:
            raise MediaError("failed.truncated", "no picture could be decoded")
        first = frames[0]
        aspect = film.sample_aspect_ratio or Fraction(1)
        if not Fraction(1, 4) <= aspect <= 4:
            aspect = Fraction(1)
        rotation_deg = round(first.rotation / 90) * 90 % 360
        width, height = upright_size(first.width, first.height, aspect, rotation_deg)
        rate = film.average_rate or film.guessed_rate or Fraction(GRID_FPS)
        return {
            "video_codec": context.name,
            "width_px": width,
            "height_px": height,
            "fps": float(rate),
            "pixel_format": first.format.name,
            "rotation_deg": rotation_deg,
            "sample_aspect": (aspect.numerator, aspect.denominator),
            "interlaced": any(frame.interlaced_frame for frame in frames),
            "hdr": HDR_TRANSFERS.get(int(first.color_trc)),
        }


def upright_size(width: int, height: int, aspect: Fraction, rotation_deg: int) -> tuple[int, int]:
    """Even width and height of the picture with square pixels (the longer axis is stretched) and turned upright."""
    if aspect > 1:
        width = round(width * aspect)
    elif aspect < 1:
        height = round(height / aspect)
    width, height = width // 2 * 2, height // 2 * 2
    return (height, width) if rotation_deg in (90, 270) else (width, height)
