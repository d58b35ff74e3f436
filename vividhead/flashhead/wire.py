"""Version 1 of the streaming protocol, byte by byte: what client and server say to each other over a WebSocket.

Text messages are JSON objects with a `type`. Binary messages are sound and portraits on their way up, pictures with
exactly their sound on their way down. docs/serving.md explains both; all numbers are little-endian.

Axes: S samples.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from vividhead.errors import VividHeadError
from vividhead.records import GRID_FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

VERSION: Final = 1
PATH: Final = "/v1/stream"
SUBPROTOCOL: Final = "vividhead.v1"

PCM, PORTRAIT, MEDIA = 0x01, 0x02, 0x81
"""First byte of a binary message; 0x80 is set on the way down."""
_UP = struct.Struct("<BBHI")
"""kind, version, zero, sample rate in Hz (portraits: zero); then s16le mono samples, or a PNG, JPEG or WebP file."""
_DOWN = struct.Struct("<BBBBIQHHIII")
"""kind, version, codec, flags, epoch, first picture's number, pictures, side in px, rate in Hz, samples, dropped."""
UP_BYTES, DOWN_BYTES = _UP.size, _DOWN.size
IDLE, LAST = 1, 2
"""Flags: silence that nobody pushed; nothing that was pushed is left unsaid after this."""

Codec = Literal["jpeg", "webp", "vp8", "vp9", "i420"]
CODECS: Mapping[Codec, int] = {"jpeg": 1, "webp": 2, "vp8": 3, "vp9": 4}
"""As they stand in a message; `i420`, planes as they are, never leaves the server."""
MIN_RATE_HZ, MAX_RATE_HZ = 4000, 384000
MAX_PCM_BYTES, MAX_PORTRAIT_BYTES, MAX_TEXT_BYTES = 1 << 20, 8 << 20, 1 << 14

CLOSE_DONE, CLOSE_REFUSED, CLOSE_FAILED, CLOSE_RESTART, CLOSE_FULL = 1000, 1008, 1011, 1012, 1013
"""WebSocket close codes that the server uses: said stop; broke a rule; our fault; draining; come back later."""


class WireError(VividHeadError):
    """A message that is none of the protocol's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """Pictures and exactly the sound that belongs to them: 640 samples of 16 kHz to a picture."""

    codec: Codec
    pictures: Sequence[bytes]
    """Files of that kind, in order of time; packets of VP8 or VP9, of which the first needs none before it."""
    pcm_S: NDArray[np.int16]
    """16 kHz mono."""
    epoch: int
    """How often the stream had been interrupted when this was made."""
    start_frame: int
    """Number of the first picture since the stream was opened; it is due `start_frame` / 25 s after picture 0."""
    side_px: int
    idle: bool
    """Whether this is rest: a client drops what it has not shown of it as soon as speech arrives."""
    last: bool
    """Whether nothing that was pushed is left unsaid after this."""
    dropped: int = 0
    """Pictures so far that the server did not send, as the client was too slow to take them."""

    @property
    def end_frame(self) -> int:
        """Number of the picture after the last."""
        return self.start_frame + len(self.pictures)

    @property
    def duration_s(self) -> float:
        """Its length."""
        return len(self.pictures) / GRID_FPS


@dataclass(frozen=True, slots=True)
class Pcm:
    """Sound to be spoken."""

    samples_S: NDArray[np.int16]
    rate_hz: int

    @property
    def duration_s(self) -> float:
        """Its length."""
        return self.samples_S.size / self.rate_hz


@dataclass(frozen=True, slots=True)
class PortraitFile:
    """A picture to speak with."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """A text message: its type and the rest of its object."""

    type: str
    fields: Mapping[str, Any]


def pcm_bytes(samples_S: NDArray[np.int16], rate_hz: int) -> bytes:
    """A message of sound on its way up."""
    return _UP.pack(PCM, VERSION, 0, rate_hz) + samples_S.astype("<i2").tobytes()


def portrait_bytes(file: bytes) -> bytes:
    """A portrait on its way up."""
    return _UP.pack(PORTRAIT, VERSION, 0, 0) + file


def parse_up(data: bytes) -> Pcm | PortraitFile:
    """A binary message from a client. Raises WireError."""
    if len(data) < UP_BYTES:
        raise WireError(f"a binary message of {len(data)} bytes: it begins with {UP_BYTES} of head")
    kind, version, zero, rate_hz = _UP.unpack_from(data)
    _check_version(version)
    if zero:
        raise WireError("bytes 2 and 3 of a binary message are zero in version 1")
    body = data[UP_BYTES:]
    if kind == PORTRAIT:
        if rate_hz or not 0 < len(body) <= MAX_PORTRAIT_BYTES:
            raise WireError(f"a portrait of {len(body)} bytes and rate {rate_hz}: 1 … {MAX_PORTRAIT_BYTES}, rate 0")
        return PortraitFile(body)
    if kind != PCM:
        raise WireError(f"a binary message of kind {kind}: {PCM} (sound) and {PORTRAIT} (portrait) go up")
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise WireError(f"sound at {rate_hz} Hz: {MIN_RATE_HZ} … {MAX_RATE_HZ}")
    if len(body) % 2 or len(body) > MAX_PCM_BYTES:
        raise WireError(f"{len(body)} bytes of sound: an even number up to {MAX_PCM_BYTES}")
    return Pcm(np.frombuffer(body, "<i2").astype(np.int16), rate_hz)


def media_bytes(media: Media) -> bytes:
    """Pictures and sound on their way down."""
    flags = IDLE * media.idle | LAST * media.last
    head = _DOWN.pack(
        MEDIA, VERSION, CODECS[media.codec], flags, media.epoch, media.start_frame, len(media.pictures),
        media.side_px, SAMPLE_RATE_HZ, media.pcm_S.size, media.dropped,
    )  # fmt: skip
    sizes = np.array([len(picture) for picture in media.pictures], "<u4").tobytes()
    return b"".join((head, sizes, *media.pictures, media.pcm_S.astype("<i2").tobytes()))


def parse_media(data: bytes) -> Media:
    """A binary message from a server. Raises WireError."""
    if len(data) < DOWN_BYTES:
        raise WireError(f"a binary message of {len(data)} bytes: it begins with {DOWN_BYTES} of head")
    kind, version, codec_id, flags, epoch, start_frame, count, side_px, rate_hz, n_samples, dropped = _DOWN.unpack_from(
        data
    )
    _check_version(version)
    codecs = {number: name for name, number in CODECS.items()}
    if kind != MEDIA or codec_id not in codecs or rate_hz != SAMPLE_RATE_HZ or n_samples != count * SAMPLES_PER_FRAME:
        raise WireError(f"a binary message of kind {kind}, codec {codec_id}, {count} pictures, {n_samples} samples")
    at = DOWN_BYTES + 4 * count
    if len(data) < at:
        raise WireError(f"the sizes of {count} pictures do not fit into {len(data)} bytes")
    pictures = []
    for size in np.frombuffer(data, "<u4", count, DOWN_BYTES).tolist():
        pictures.append(data[at : at + size])
        at += size
    if len(data) != at + 2 * n_samples:
        raise WireError(f"{len(data)} bytes, where the head and the sizes say {at + 2 * n_samples}")
    return Media(
        codec=codecs[codec_id], pictures=pictures, pcm_S=np.frombuffer(data, "<i2", n_samples, at).astype(np.int16),
        epoch=epoch, start_frame=start_frame, side_px=side_px, idle=bool(flags & IDLE), last=bool(flags & LAST),
        dropped=dropped,
    )  # fmt: skip


def text_of(kind: str, **fields: Any) -> str:
    """A text message."""
    return json.dumps({"type": kind, **fields}, allow_nan=False)


def parse_text(text: str) -> Said:
    """A text message. Raises WireError where it is none."""
    if len(text) > MAX_TEXT_BYTES:
        raise WireError(f"a text message of {len(text)} characters: at most {MAX_TEXT_BYTES}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise WireError(f"a text message that is no JSON: {type(fault).__name__}") from fault
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        raise WireError("a text message is a JSON object with a `type`")
    return Said(found.pop("type"), found)


def _check_version(version: int) -> None:
    if version != VERSION:
        raise WireError(f"version {version} of the protocol: this is version {VERSION}")
