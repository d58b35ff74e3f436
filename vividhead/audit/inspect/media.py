"""What is seen and heard of a clip: kept ones from their shard, rejected ones cut from the footage when asked for."""

import io
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vividhead.audit.footage import cut_from_source, member_of, source_of
from vividhead.audit.tables import Tables
from vividhead.errors import MediaError
from vividhead.media import sound
from vividhead.media.window import window_sound
from vividhead.records import SAMPLES_PER_FRAME
from vividhead.revoked import CODE as REVOKED

Row = Mapping[str, Any]
Made = TypeVar("Made")
MOST_HELD = 60
"""Parts of clips that stay in memory; the largest, a minute's mp4, is about 8 MB."""
CUT_SIDE_PX = 512
UNKNOWN = int(np.iinfo(np.int16).min)
UPPER_LIP, LOWER_LIP, EYE_LEFT, EYE_RIGHT = 13, 14, 33, 263
"""Points of MediaPipe's mesh: inner edges of the lips, outer corners of the eyes."""
QUIETEST_DB = -90.0


class ClipSight:
    """Media of the clips last looked at."""

    def __init__(self, tables: Tables) -> None:
        """Take the dataset; nothing is read yet."""
        self._tables = tables
        self._held: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._lock = threading.RLock()

    def video(self, clip: Row) -> bytes:
        """The clip as mp4. Raises MediaError in words."""
        if clip["first"] == REVOKED:
            raise MediaError("clip.revoked", "it was revoked: neither picture nor sound of it is shown any more")
        kept = self._kept(clip)
        if kept is not None:
            return self._once("mp4", clip, lambda: member_of(self._tables, kept, "mp4"))
        return self._once("mp4", clip, lambda: cut_from_source(clip["source"], self._span(clip), CUT_SIDE_PX))

    def landmarks(self, clip: Row) -> NDArray[np.int16]:
        """(T, 478, 2): x and y in 1/16 px of the clip's picture, -32768 unknown. Stored for kept clips alone."""
        kept = self._kept(clip)
        if kept is None:
            raise MediaError("landmarks.not_kept", "landmarks are stored for kept clips only")

        def load() -> NDArray[np.int16]:
            try:
                with np.load(io.BytesIO(member_of(self._tables, kept, "landmarks.npz"))) as arrays:
                    if "landmarks" not in arrays:
                        raise MediaError("landmarks.none", "this clip was kept without a score that needs landmarks")
                    return np.ascontiguousarray(arrays["landmarks"][:, :, :2])
            except (zipfile.BadZipFile, ValueError, OSError) as fault:
                raise MediaError("failed.corrupt", f"landmarks.npz cannot be read: {fault}") from fault

        return self._once("landmarks", clip, load)

    def curves(self, clip: Row) -> dict[str, Any]:
        """For each frame: loudness in dB of full scale, and the mouth's opening in eye distances where it is known."""
        if clip["first"] == REVOKED:
            raise MediaError("clip.revoked", "it was revoked")
        found: dict[str, Any] = {"loudness_db": self._loudness(clip), "opening": None, "why": ""}
        try:
            points_TPX = self.landmarks(clip)
        except MediaError as fault:
            return {**found, "why": fault.detail}
        seen_T = points_TPX[:, 0, 0] != UNKNOWN
        at = points_TPX.astype(np.float64)
        gap_T = np.linalg.norm(at[:, UPPER_LIP] - at[:, LOWER_LIP], axis=1)
        eyes_T = np.maximum(np.linalg.norm(at[:, EYE_LEFT] - at[:, EYE_RIGHT], axis=1), 1e-6)
        opening = [round(o, 4) if s else None for o, s in zip((gap_T / eyes_T).tolist(), seen_T.tolist(), strict=True)]
        return {**found, "opening": opening}

    def _loudness(self, clip: Row) -> list[float]:
        kept, span = self._kept(clip), self._span(clip)
        n_frames = span["end_frame"] - span["start_frame"]

        def load() -> list[float]:
            if kept is not None:
                audio_S = window_sound(member_of(self._tables, kept, "flac"), 0, n_frames * SAMPLES_PER_FRAME)
            else:
                about = source_of(clip["source"])
                audio_S = sound(Path(clip["source"]["uri"]), about, span["start_frame"], span["end_frame"])
            rms_T = np.sqrt(np.mean(np.square(audio_S.reshape(-1, SAMPLES_PER_FRAME), dtype=np.float64), axis=1))
            levels = 20 * np.log10(np.maximum(rms_T, 10 ** (QUIETEST_DB / 20)))
            return [round(level, 1) for level in levels.tolist()]

        return self._once("loudness", clip, load)

    def _kept(self, clip: Row) -> Row | None:
        return self._row("manifest", clip) if clip["packed"] else None

    def _span(self, clip: Row) -> Row:
        return self._row("clips", clip)

    def _row(self, table: str, clip: Row) -> Row:
        def load() -> Row:
            found = self._tables.row(table, clip["clip_id"], clip["nth"])
            if found is None:
                raise MediaError("failed.changed", f"the clip is not in {table}.parquet any more: start inspect again")
            return found

        found: Row = self._once(table, clip, load)
        return found

    def _once(self, what: str, clip: Row, make: Callable[[], Made]) -> Made:
        """What was made of the clip before, or what `make` makes now: one at a time, so that none is made twice."""
        key = (what, str(clip["clip_id"]))
        with self._lock:
            if key not in self._held:
                self._held[key] = make()
                while len(self._held) > MOST_HELD:
                    self._held.popitem(last=False)
            self._held.move_to_end(key)
            made: Made = self._held[key]
            return made
