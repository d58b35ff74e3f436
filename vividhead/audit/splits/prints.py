"""What tells that two clips show the same: fingerprints of picture and sound, and who is seen and heard.

Made once for each kept clip out of its shard, kept as a table for each shard in splits/prints/.

    picture   256 bits for each of the clip's pictures 0, 50, 100, …: signs of the lowest 16 × 16 frequencies (DCT) of
              the grey picture, 64 × 64 px, against their median. Survives scaling, re-encoding, brightness.
    sound     32 bits every 16 ms: does the difference of loudness between neighbouring bands rise? (Haitsma and
              Kalker, "A highly robust audio fingerprinting system", ISMIR 2002.) Survives codecs and loudness.
    face      mean embedding of the identity score, 128 numbers; voice likewise where a score keeps one.
"""

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vividhead.audit.footage import member_of
from vividhead.audit.tables import Tables
from vividhead.errors import MediaError
from vividhead.manifest import arrow_type
from vividhead.media.window import window_pictures, window_sound
from vividhead.records import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

PRINTS_VERSION = 1
"""Raised when the same clip may give other prints."""
STEP_FRAMES = 50
"""Between the pictures looked at: the key frames of clips packed with the usual `gop_frames`."""
SIDE_PX, LOWEST = 64, 16
WORDS = LOWEST * LOWEST // 64
"""64-bit words of a picture's print."""
WINDOW, HOP, BANDS = 4096, 256, 33
BAND_HZ = (300.0, 3000.0)
SILENT_DB = -40.0
"""Sound this far below the clip's loudest says nothing: its bits are noise."""
EMBEDDINGS = {"face": "identity.mean_embedding", "voice": "voice.mean_embedding"}
"""Kind of likeness → array in .landmarks.npz."""

SCHEMA = pa.schema(
    [
        ("clip_id", pa.string()), ("mp4_sha256", pa.string()), ("flac_sha256", pa.string()), ("version", pa.int32()),
        ("pictures", pa.binary()), ("sounds", pa.binary()), ("heard", pa.binary()),
        *((kind, arrow_type("list<double>")) for kind in EMBEDDINGS), ("fault", pa.string()),
    ]
)  # fmt: skip
"""`pictures`: four uint64 each; `sounds`: a uint32 each; `heard`: a byte each, 1 where the sound is not silent."""


@dataclass(frozen=True, slots=True)
class Print:
    """One clip's prints."""

    pictures_P4: NDArray[np.uint64]
    sounds_F: NDArray[np.uint32]
    heard_F: NDArray[np.bool_]


def print_of(row: Mapping[str, Any]) -> Print:
    """The arrays in a row of the table."""
    return Print(
        np.frombuffer(row["pictures"], np.uint64).reshape(-1, WORDS),
        np.frombuffer(row["sounds"], np.uint32),
        np.frombuffer(row["heard"], np.bool_),
    )


def printed(tables: Tables, kept: Mapping[str, Any]) -> dict[str, Any]:
    """A kept clip's row of the table; a damaged clip's has a `fault` and no prints."""
    row: dict[str, Any] = {name: kept[name] for name in ("clip_id", "mp4_sha256", "flac_sha256")}
    row |= {"version": PRINTS_VERSION, "fault": None}
    try:
        n_frames = kept["n_frames"]
        frames = range(0, n_frames, STEP_FRAMES)
        pictures_PHWC = window_pictures(member_of(tables, kept, "mp4"), frames, SIDE_PX)
        audio_S = window_sound(member_of(tables, kept, "flac"), 0, n_frames * SAMPLES_PER_FRAME)
        row["pictures"] = picture_prints(pictures_PHWC).tobytes()
        sounds_F, heard_F = sound_prints(audio_S)
        row |= {"sounds": sounds_F.tobytes(), "heard": heard_F.tobytes()}
        row |= embeddings(member_of(tables, kept, "landmarks.npz"))
    except MediaError as fault:
        return {**row, "pictures": b"", "sounds": b"", "heard": b"", "fault": str(fault)}
    return row


def embeddings(npz: bytes) -> dict[str, list[float]]:
    """Kind → embedding, of those that the clip has."""
    try:
        with np.load(io.BytesIO(npz)) as arrays:
            return {kind: arrays[name].tolist() for kind, name in EMBEDDINGS.items() if name in arrays}
    except (zipfile.BadZipFile, ValueError, OSError) as fault:
        raise MediaError("failed.corrupt", f"landmarks.npz cannot be read: {fault}") from fault


def picture_prints(pictures_PHWC: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(P, 4): 256 bits of each picture, which is `SIDE_PX` square and RGB."""
    prints = np.zeros((len(pictures_PHWC), WORDS), np.uint64)
    for at, picture_HWC in enumerate(pictures_PHWC):
        grey_HW = cv2.cvtColor(picture_HWC, cv2.COLOR_RGB2GRAY).astype(np.float32)
        low = cv2.dct(grey_HW)[:LOWEST, :LOWEST].reshape(-1)[_lowest_first()]
        low[0] = 0.0  # brightness
        prints[at] = np.packbits(low > np.median(low)).view(np.uint64)
    return prints


@cache
def _lowest_first() -> NDArray[np.int64]:
    """Order of the frequencies, so that the first word holds the steadiest bits: those of the lowest 8 × 8."""
    rows, columns = np.divmod(np.arange(LOWEST * LOWEST), LOWEST)
    return np.asarray(np.argsort(np.maximum(rows, columns), kind="stable"), np.int64)


@cache
def _bands() -> NDArray[np.int64]:
    """Edges of the bands in bins of the spectrum, evenly spaced to the ear."""
    edges_hz = np.geomspace(*BAND_HZ, BANDS + 1)
    return np.asarray(np.rint(edges_hz / SAMPLE_RATE_HZ * WINDOW), np.int64)


def sound_prints(audio_S: NDArray[np.float32]) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
    """(F,) 32 bits every `HOP` samples, and where the sound is loud enough to mean something."""
    if len(audio_S) < WINDOW + HOP:
        return np.zeros(0, np.uint32), np.zeros(0, np.bool_)
    window = np.hanning(WINDOW).astype(np.float32)
    loud_FB = np.concatenate(list(_loudness(audio_S, window)))
    level_F = 10 * np.log10(loud_FB.sum(axis=1) + 1e-12)
    across_FB = np.diff(loud_FB, axis=1)
    rises_FB = np.diff(across_FB, axis=0) < 0
    bits = (rises_FB.astype(np.uint32) << np.arange(BANDS - 1, dtype=np.uint32)).sum(axis=1, dtype=np.uint32)
    return bits, np.asarray(level_F[1:] > level_F.max() + SILENT_DB, np.bool_)


def _loudness(audio_S: NDArray[np.float32], window: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """(F, 33) energies of the bands, some hundred windows at a time."""
    framed = np.lib.stride_tricks.sliding_window_view(audio_S, WINDOW)[::HOP]
    for at in range(0, len(framed), 256):
        power = np.square(np.abs(np.fft.rfft(framed[at : at + 256] * window, axis=1))).astype(np.float32)
        edges = _bands()
        yield np.add.reduceat(power, edges, axis=1)[:, :BANDS]
