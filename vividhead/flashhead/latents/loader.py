"""Training windows out of cached latents: the order, resuming and sharing of `ShardDataset`, no picture decoded."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from vividhead.errors import DatasetError, MediaError
from vividhead.flashhead.latents.identity import TABLE, Identity, check_fresh, read_identity, shards_of
from vividhead.flashhead.latents.sample import LatentBatch, LatentSample, latent_batch
from vividhead.flashhead.latents.table import CACHED
from vividhead.loader import WindowPlan
from vividhead.loader.checks import packed_side_px
from vividhead.loader.folder import Folder
from vividhead.loader.members import check_shards
from vividhead.loader.order import Window
from vividhead.loader.reader import Reader, members_read
from vividhead.loader.windows import MB, WindowDataset

if TYPE_CHECKING:
    import pandas
    import pyarrow


class LatentDataset(WindowDataset[LatentSample, LatentBatch]):
    """The windows of a dataset's kept clips, their latents read from a cache, their sound from the shards.

        dataset = LatentDataset("dataset", WindowPlan(stride_frames=8), cache="dataset/latents/lite-…", seed=1)
        for batch in dataset.loader(batch_size=8, workers=2):
            windows = cached_windows(batch.to("cuda"), config, audio)

    Same plan, seed and clips, same order as `ShardDataset`: a position saved with either is resumed with the other, if
    that one's plan is on the cache's grid (`identity.plan.on_grid`). Latents whose checksum differs cost their windows,
    as damaged clips do.
    """

    def __init__(
        self,
        path: str | Path,
        plan: WindowPlan,
        *,
        cache: str | Path,
        remedy: str = "vividhead latents",
        seed: int = 0,
        where: "str | Callable[[pandas.DataFrame], pandas.Series[bool]] | None" = None,
        filters: str | None = None,
        split: str | None = None,
        columns: Sequence[str] = (),
        landmarks: bool = True,
        portraits: bool = False,
        shuffle_bytes: int | None = 256 * MB,
        endless: bool = False,
        skip_log: str | Path | None = None,
        rank: int | None = None,
        world: int | None = None,
    ) -> None:
        """Refuse a cache of other shards than the dataset has now, naming what differs and the `remedy`.

        `landmarks`: keep the order of a ShardDataset that reads them. `portraits`: decode the reference picture too.
        The rest is as in ShardDataset; `plan` is put on the cache's grid.
        """
        self.cache, self.identity = Path(cache), read_identity(Path(cache))
        super().__init__(
            path, self.identity.plan.on_grid(plan), members_read(landmarks), seed=seed, where=where, filters=filters,
            split=split, columns=columns, shuffle_bytes=shuffle_bytes, endless=endless, skip_log=skip_log, rank=rank,
            world=world,
        )  # fmt: skip
        self._check_geometry()
        check_fresh(self.identity, shards_of(self._folder.manifest()), self.cache, remedy)
        if not (self.cache / TABLE).is_file():
            raise DatasetError(f"{self.cache} is not finished; run again: {remedy}")
        self._places = Folder(str(cache)).table(TABLE)
        check_shards(Folder(str(cache)), _shards_named(self._places), f"run again: {remedy}")
        self._portraits = portraits
        self._reader_options: dict[str, Any] = {
            "side_px": self.identity.plan.side_px, "packed_side_px": packed_side_px(self._folder),
            "landmarks": False, "columns": columns, "limit_bytes": shuffle_bytes or 0,
            "members": ("mp4", "flac") if portraits else ("flac",),
        }  # fmt: skip

    def _check_geometry(self) -> None:
        mine, cached = self.plan, self.identity.plan
        if (mine.frames_per_chunk, mine.new_frames) != (cached.frames_per_chunk, cached.new_frames):
            raise DatasetError(
                f"{self.cache} holds chunks of {cached.frames_per_chunk} frames, {cached.new_frames} of them new; "
                f"asked for are {mine.frames_per_chunk} and {mine.new_frames}"
            )

    def reader(self) -> "LatentReader":
        """A new reader of this dataset's windows, for the process that calls this."""
        media = Reader(self._folder, self._rows, self.plan, **self._reader_options)
        return LatentReader(media, Folder(str(self.cache)), self._places, self.identity, self.plan, self._portraits)

    @staticmethod
    def batch_of(samples: Sequence[LatentSample]) -> LatentBatch:
        """Windows side by side."""
        return latent_batch(samples)


class LatentReader:
    """Reads windows out of a cache by offset, each checked by its sum."""

    def __init__(
        self,
        media: Reader,
        cache: Folder,
        places: "pyarrow.Table",
        identity: Identity,
        plan: WindowPlan,
        portraits: bool,
    ) -> None:
        """`places` is latents.parquet; `media` reads sound and portraits."""
        self._media, self._cache, self._places, self._portraits = media, cache, places, portraits
        self._latents, self._plan = identity.plan, plan
        self._row_of = {clip_id: row for row, clip_id in enumerate(places["clip_id"].to_pylist())}

    def sample(self, window: Window, reference_frame: int, position: int, *, stand_in: bool) -> LatentSample:
        """One window and its reference; raises MediaError where a clip has no latents, or damaged ones."""
        clip_id = self._media.clip_id(window.clip)
        row = self._places.slice(self._row_of[clip_id], 1).to_pylist()[0] if clip_id in self._row_of else None
        if row is None or row["status"] != CACHED:
            why = "is not in the cache" if row is None else f"{row['code']}: {row['detail']}"
            raise MediaError("latents.missing", f"its latents were not cached: {why}")
        chunks = [self._chunk(row, window.start_frame + k * self._plan.new_frames) for k in range(self._plan.chunks)]
        return LatentSample(
            latents_KCTHW=torch.stack([latents for latents, _ in chunks]),
            masks_KTHW=torch.stack([mask for _, mask in chunks]),
            reference_CTHW=self._still(row, reference_frame),
            portrait_HWC=self._media.picture(window.clip, reference_frame) if self._portraits else None,
            audio_KS=self._media.sound(window.clip, window.start_frame),
            clip_id=clip_id,
            start_frame=window.start_frame,
            reference_frame=reference_frame,
            epoch=window.epoch,
            position=position,
            stand_in=stand_in,
            about=self._media.about(window.clip),
        )

    def _chunk(self, row: Mapping[str, Any], start_frame: int) -> tuple[Tensor, Tensor]:
        plan, number = self._latents, start_frame // self._latents.grid_frames
        raw = self._read(row, "latents", number, plan.window_bytes)
        mask = self._read(row, "masks", number, plan.mask_bytes)
        if zlib.crc32(mask, zlib.crc32(raw)) != row["window_crc32"][number]:
            raise MediaError(
                "latents.checksum", f"{row['latents_shard']}: window {number} is not as latents.parquet has it"
            )
        return _numbers(raw, "<f2", plan.window_shape), _numbers(mask, "u1", plan.window_shape[1:])

    def _still(self, row: Mapping[str, Any], frame: int) -> Tensor:
        plan = self._latents
        number = (frame - row["first_still_frame"]) // plan.grid_frames
        raw = self._read(row, "stills", number, plan.still_bytes)
        if zlib.crc32(raw) != row["still_crc32"][number]:
            raise MediaError(
                "latents.checksum", f"{row['latents_shard']}: still {number} is not as latents.parquet has it"
            )
        return _numbers(raw, "<f2", plan.still_shape)

    def _read(self, row: Mapping[str, Any], what: str, number: int, size: int) -> bytes:
        try:
            return self._cache.read(row["latents_shard"], row[f"{what}_offset"] + number * size, size)
        except OSError as fault:
            raise MediaError("latents.unreadable", f"{row['latents_shard']}: {fault.strerror or fault}") from fault


def _shards_named(places: "pyarrow.Table") -> "pyarrow.Table":
    """The cache's shards and their sizes, under the names that the dataset's own have."""
    cached = places.filter(places["latents_shard"].is_valid())
    return cached.select(["latents_shard", "latents_shard_bytes"]).rename_columns(["shard", "shard_bytes"])


def _numbers(raw: bytes, kind: str, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(np.frombuffer(raw, kind).reshape(shape).copy())
