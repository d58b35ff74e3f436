"""Opening a stranger's file: what is let in, which streams are meant, and where to begin reading."""

import errno
import math
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypeVar

import av
import av.error
from av import Packet
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from vividhead.errors import MediaError
from vividhead.records import Source

S = TypeVar("S", bound=Stream)

CONTAINERS = "mov,matroska,avi,mpeg,mpegts,mpegvideo,flv,live_flv,asf,ogg,mxf,h264,hevc,m4v,ivf,obu,wav,mp3,aac,flac,dv"
"""Demuxers we let loose on a stranger's file: no playlists, no text formats, nothing that opens other files."""
SOUND_CONTAINERS = (
    f"{CONTAINERS},aiff,au,caf,w64,nut,amr,amrnb,amrwb,ac3,eac3,dts,truehd,mlp,wv,ape,tta,tak,mpc,mpc8,rm,dsf,oma,voc,"
    "gsm,adx,g722,loas,sbc,iff"
)
"""The same for files of which only the sound is wanted."""

MAX_PIXELS = 1 << 26
"""8192 × 8192: a header that promises larger pictures is a mistake or a trap, and no decoder is let near it."""


@contextmanager
def faults_of(path: Path) -> Iterator[None]:
    """Turn what the system says of a file into MediaError, where it is about the file and not about the machine."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as fault:
        raise MediaError("failed.vanished", f"{path} is not there (any more)") from fault
    except PermissionError as fault:
        raise MediaError("failed.no_permission", f"{path} may not be read by this user") from fault
    except OSError as fault:
        if fault.errno not in (errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR, errno.ENXIO):
            raise
        raise MediaError("failed.unreadable", fault.strerror or str(fault)) from fault


def regular_file(path: Path) -> os.stat_result:
    """Size and times of a file, or MediaError: opening a pipe, say, would wait for its other end for ever."""
    with faults_of(path):
        about = path.stat()
        if stat.S_ISREG(about.st_mode):
            return about
        if stat.S_ISDIR(about.st_mode):
            os.scandir(path).close()  # a folder that may not be listed says so
    raise MediaError("failed.unreadable", "not a file but a folder, a pipe or a device")


def open_media(path: Path, wanted: Literal["video", "sound"] = "video") -> InputContainer:
    """Open a file for reading, or raise MediaError saying in a closed code why not.

    The name is never taken for an address, a pattern or an option, whatever characters it is made of.
    """
    if regular_file(path).st_size == 0:
        raise MediaError("failed.empty", "the file has no bytes")
    containers = CONTAINERS if wanted == "video" else SOUND_CONTAINERS
    options = {"format_whitelist": containers, "protocol_whitelist": "file", "max_pixels": str(MAX_PIXELS)}
    try:
        with faults_of(path):
            return av.open(f"file:{path}", options=options, metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as fault:
        raise MediaError("failed.unreadable", f"not a readable {wanted} file: {type(fault).__name__}") from fault


def video_stream(container: InputContainer) -> VideoStream | None:
    """The stream with the footage: FFmpeg's best one that is no cover picture. Its decoder uses one thread."""
    still = av.stream.Disposition.attached_pic
    films = [s for s in container.streams.video if not s.disposition & still]
    best = container.streams.best("video")
    film = best if best in films else (films[0] if films else None)
    if film is None:
        return None
    if film.codec_context is None:
        raise MediaError("failed.unsupported_codec", "there is no decoder for its pictures")
    film.codec_context.thread_count = 1
    film.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    return film


def audio_stream(container: InputContainer) -> AudioStream | None:
    """The stream with the sound that goes with the footage, if there is one that can be decoded."""
    heard = [s for s in container.streams.audio if s.codec_context is not None]
    best = container.streams.best("audio", related=container.streams.best("video"))
    voice = best if best in heard else (heard[0] if heard else None)
    if voice is not None:
        voice.codec_context.thread_count = 1
    return voice


def seek(container: InputContainer, stream: VideoStream | AudioStream, source: Source, at_s: Fraction) -> bool:
    """Go to a key packet at or before this time in the source, as well as the container can; False if it cannot."""
    if stream.time_base is None:
        return False
    place = math.floor((at_s + Fraction(*source.zero_s_in_container)) / stream.time_base)
    try:
        container.seek(place, stream=stream, backward=True)
    except av.error.FFmpegError:
        return False
    return True


def packets_of(container: InputContainer, streams: Sequence[S]) -> "Iterator[Packet[S] | None]":
    """All packets of these streams and the empty ones that end them; None where reading broke off."""
    packets: Iterator[Any] = container.demux(streams)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, IndexError):  # the latter: PyAV ends streams too that broken data made it see
            return
        except av.error.FFmpegError:
            yield None
            return
        yield packet


def stamp_of(packet: "Packet[S]") -> int | None:
    """When the packet is due, in its stream's ticks; None for the empty ones."""
    return packet.pts if packet.pts is not None else packet.dts
