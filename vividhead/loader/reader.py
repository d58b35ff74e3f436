"""One window out of its clip's members, as tensors. One reader for each process."""

import io
import zipfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vividhead.errors import MediaError
from vividhead.loader.folder import Folder
from vividhead.loader.members import MemberCache
from vividhead.loader.order import Window
from vividhead.loader.plan import WindowPlan
from vividhead.loader.sample import Sample
from vividhead.media.window import window_pictures, window_sound

if TYPE_CHECKING:
    import pyarrow

MESH_POINTS = 478
LANDMARK_STEPS_PER_PX = 16
"""Of `landmarks` in a packed clip, whose unknown points are this:"""
NO_LANDMARK = int(np.iinfo(np.int16).min)


def members_read(landmarks: bool) -> tuple[str, ...]:
    """Names of the members that windows are made of."""
    return ("mp4", "flac", "landmarks.npz") if landmarks else ("mp4", "flac")


class Reader:
    """Decodes windows of the chosen clips; keeps the media it read last."""

    def __init__(
        self,
        folder: Folder,
        rows: "pyarrow.Table",
        plan: WindowPlan,
        *,
        side_px: int,
        packed_side_px: int,
        landmarks: bool,
        columns: Sequence[str],
        limit_bytes: int,
        members: Sequence[str] | None = None,
    ) -> None:
        """Take the chosen clips' manifest rows, and which members to read; the rest is as in `ShardDataset`."""
        self._rows, self._plan, self._side_px = rows, plan, side_px
        self._mesh_scale = side_px / packed_side_px if landmarks else None
        self._columns = list(columns)
        self.cache = MemberCache(folder, rows, members or members_read(landmarks), limit_bytes)

    def sample(self, window: Window, reference_frame: int, position: int, *, stand_in: bool) -> Sample:
        """Decode one window and its reference; raises MediaError where a member is damaged."""
        members = self.cache.members(window.clip)
        start, count = window.start_frame, self._plan.window_frames
        is_before = reference_frame < start
        frames = sorted([*range(start, start + count), reference_frame])
        pictures_THWC = torch.from_numpy(window_pictures(members["mp4"], frames, self._side_px))
        if self._mesh_scale is None:
            landmarks_TPX = None
        else:
            landmarks_TPX = mesh_of(members["landmarks.npz"], start, count, self._mesh_scale)
        return Sample(
            video_THWC=pictures_THWC[1:] if is_before else pictures_THWC[:-1],
            reference_HWC=pictures_THWC[0] if is_before else pictures_THWC[-1],
            audio_KS=self.sound(window.clip, start),
            landmarks_TPX=landmarks_TPX,
            clip_id=self.clip_id(window.clip),
            start_frame=start,
            reference_frame=reference_frame,
            epoch=window.epoch,
            position=position,
            stand_in=stand_in,
            about=self.about(window.clip),
        )

    def clip_id(self, clip: int) -> str:
        """Id of the clip in this row."""
        return str(self._rows["clip_id"][clip].as_py())

    def picture(self, clip: int, frame: int) -> Tensor:
        """One picture, uint8 [H, W, C]."""
        return torch.from_numpy(window_pictures(self.cache.members(clip)["mp4"], [frame], self._side_px)[0])

    def sound(self, clip: int, start_frame: int) -> Tensor:
        """For each chunk of a window the sound up to its end, float32 [K, S]."""
        spans = self._plan.sound_spans(start_frame)
        first, last = max(0, spans[0][0]), spans[-1][1]
        audio_S = window_sound(self.cache.members(clip)["flac"], first, last)
        return torch.from_numpy(np.stack([ending_at(audio_S, end - first, end - begin) for begin, end in spans]))

    def about(self, clip: int) -> dict[str, Any]:
        """The manifest's columns that were asked for."""
        if not self._columns:
            return {}
        rows: list[dict[str, Any]] = self._rows.slice(clip, 1).select(self._columns).to_pylist(maps_as_pydicts="strict")
        return rows[0]


def ending_at(audio_S: NDArray[np.float32], end_sample: int, n_samples: int) -> NDArray[np.float32]:
    """The `n_samples` before `end_sample`, zeros on the left where there is no sound yet."""
    heard_S = audio_S[max(0, end_sample - n_samples) : end_sample]
    return np.pad(heard_S, (n_samples - len(heard_S), 0))


def mesh_of(npz: bytes, start_frame: int, count: int, scale: float) -> Tensor:
    """The window's mesh in pixels of pictures that are `scale` times as large as packed; NaN where unknown."""
    try:
        with np.load(io.BytesIO(npz)) as arrays:
            steps_TPX = arrays["landmarks"][start_frame : start_frame + count] if "landmarks" in arrays else None
    except (zipfile.BadZipFile, ValueError, OSError) as fault:
        raise MediaError("failed.corrupt", f"landmarks.npz cannot be read: {fault}") from fault
    if steps_TPX is None:
        return torch.full((count, MESH_POINTS, 3), float("nan"))
    mesh_TPX = steps_TPX.astype(np.float32) * (scale / LANDMARK_STEPS_PER_PX)
    mesh_TPX[steps_TPX == NO_LANDMARK] = np.nan
    return torch.from_numpy(mesh_TPX)
