"""Encode one group of clips into one shard and commit it. Runs in a contained child, here or on a Ray worker."""

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor

from vividhead.errors import MediaError
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.latents.codec import CodecSource, loaded
from vividhead.flashhead.latents.plan import LatentPlan
from vividhead.flashhead.latents.table import CACHED, FAILED, TOO_SHORT
from vividhead.flashhead.model.codecs import VideoCodec
from vividhead.flashhead.train.windows import FACE_OVAL, MOUTH, as_video, shown_at
from vividhead.ledger import Ledger, storage_error, sync_folder
from vividhead.loader.folder import Folder
from vividhead.loader.members import MemberCache
from vividhead.loader.reader import mesh_of
from vividhead.media.window import window_pictures
from vividhead.pipeline import Needs, Run
from vividhead.shards import BLOCK, END, tar_bytes, tar_size

STAGE = "latents"
MEMBERS = ("mp4", "landmarks.npz")
WINDOWS_DECODED = 16
"""Windows whose pictures are in memory at once: 120 MB of 512 px."""
AT_ONCE = {"cpu": 1, "cuda": 4}
"""Windows encoded in one call."""
FACE_BIT, MOUTH_BIT = 1, 2
"""Of a byte of a mask: whether the latent shows the face, and whether the mouth."""
Beat = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentJob:
    """What every unit of a run needs to know."""

    dataset: str
    cache: str
    config: FlashHeadConfig
    plan: LatentPlan
    packed_side_px: int
    codec: CodecSource
    device: str
    limits: Run
    reserves: Needs
    entry: str = "vividhead.flashhead.latents.unit:run_unit"

    @property
    def needs(self) -> dict[str, Needs]:
        """Of the one stage."""
        return {STAGE: self.reserves}

    def where_to_lower(self, stage: str) -> str:
        """What a user changes for a unit to reserve less."""
        return "--gpus-per-worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentUnit:
    """Some clips of one shard: the unit of work, retry and commit."""

    key: str
    """Name of the shard it makes, without suffix."""
    rows: tuple[Mapping[str, Any], ...]
    """Of the dataset's manifest: where the clips' members lie, and their sync scores."""
    seconds: float
    """Footage in it."""
    stage: str = STAGE


def run_unit(unit: LatentUnit, job: LatentJob, beat: Beat) -> None:
    """Write the group's shard, then its commit. A clip that cannot be read becomes a row with the reason."""
    ledger = Ledger(Path(job.cache))
    if ledger.read(STAGE, unit.key) is not None:
        return
    path = Path(job.cache) / "shards" / f"{unit.key}.tar"
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            rows = list(_written(file, unit, job, beat))
            file.write(END)
            file.flush()
            os.fsync(file.fileno())
        sizes = {"latents_shard_bytes": part.stat().st_size, "latents_shard_sha256": _digest(part)}
        part.replace(path)
        sync_folder(path.parent)
    except OSError as fault:
        part.unlink(missing_ok=True)
        raise storage_error(fault, path) from fault
    about = {"latents_shard": path.name, **sizes}
    whole = [{**row, **about} if row["status"] == CACHED else row for row in rows]
    ledger.commit(STAGE, unit.key, {"rows": whole, **about}, {})


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _written(file: BinaryIO, unit: LatentUnit, job: LatentJob, beat: Beat) -> Iterator[dict[str, Any]]:
    """Append each clip's member, and yield its row."""
    import pyarrow

    codec = loaded(job.codec, job.config, job.device)
    media = MemberCache(Folder(job.dataset), pyarrow.Table.from_pylist(list(unit.rows)), MEMBERS, 0)
    offset = 0
    for number, listed in enumerate(unit.rows):
        row = {name: listed[name] for name in ("clip_id", "n_frames", "mp4_sha256")}
        if not job.plan.starts(listed["n_frames"]):
            yield {**row, "status": TOO_SHORT}
            continue
        try:
            clip = _encoded(media.members(number), listed["n_frames"], job, codec, beat)
        except MediaError as fault:
            yield {**row, "status": FAILED, "code": fault.code, "detail": fault.detail}
            continue
        data, places = _member(clip)
        file.write(tar_bytes([(f"{listed['clip_id']}.safetensors", data)]))
        begin = offset + BLOCK
        yield {
            **row, **clip.checksums(), "status": CACHED,
            "first_still_frame": job.plan.stills(listed["n_frames"]).start,
            "member_offset": begin, "member_bytes": len(data), "member_sha256": hashlib.sha256(data).hexdigest(),
            **{f"{name}_offset": begin + place for name, place in places.items()},
        }  # fmt: skip
        offset += tar_size(len(data))


@dataclass(slots=True)
class _Clip:
    """Numbers of one clip, in order."""

    latents: list[Tensor] = field(default_factory=list)
    """Of each window, float16 [C, T, H, W]."""
    stills: list[Tensor] = field(default_factory=list)
    masks: list[Tensor] = field(default_factory=list)
    """Of each window, uint8 [T, H, W]."""

    def checksums(self) -> dict[str, Any]:
        pairs = zip(self.latents, self.masks, strict=True)
        windows = [zlib.crc32(_raw(mask), zlib.crc32(_raw(latents))) for latents, mask in pairs]
        return {
            "n_windows": len(windows), "window_crc32": windows,
            "n_stills": len(self.stills), "still_crc32": [zlib.crc32(_raw(still)) for still in self.stills],
        }  # fmt: skip


def _raw(values: Tensor) -> bytes:
    return values.contiguous().view(torch.uint8).numpy().tobytes()


def _member(clip: _Clip) -> tuple[bytes, dict[str, int]]:
    """The clip as a safetensors file, and where in it the numbers begin."""
    tensors = {"latents": clip.latents, "stills": clip.stills, "masks": clip.masks}
    data = save({name: torch.stack(each) for name, each in tensors.items()})
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    return data, {name: 8 + length + header[name]["data_offsets"][0] for name in tensors}


@torch.inference_mode()
def _encoded(members: Mapping[str, bytes], n_frames: int, job: LatentJob, codec: VideoCodec, beat: Beat) -> _Clip:
    """All windows and stills of a clip, in one pass over its pictures."""
    plan, clip = job.plan, _Clip()
    starts = plan.starts(n_frames)
    scale = plan.side_px / job.packed_side_px
    for first in range(0, len(starts), WINDOWS_DECODED):
        some = starts[first : first + WINDOWS_DECODED]
        is_last = first + len(some) == len(starts)
        end = n_frames if is_last else some[-1] + plan.frames_per_chunk
        pictures_THWC = window_pictures(members["mp4"], range(some[0], end), plan.side_px)
        beat()
        windows = [pictures_THWC[at - some[0] :][: plan.frames_per_chunk] for at in some]
        until = n_frames if is_last else starts[first + len(some)]
        stills = [
            np.repeat(pictures_THWC[at - some[0]][None], plan.still_frames, 0)
            for at in plan.stills(n_frames)
            if some[0] <= at < until
        ]
        clip.latents += _through(codec, windows, job.device, beat)
        clip.stills += _through(codec, stills, job.device, beat)
        for at in some:
            mesh_TPX = mesh_of(members["landmarks.npz"], at, plan.frames_per_chunk, scale)
            clip.masks.append(_mask(mesh_TPX, job.config))
    return clip


def _mask(mesh_TPX: Tensor, config: FlashHeadConfig) -> Tensor:
    """Where a window shows face and mouth, uint8 [T, H, W]."""
    face, mouth = (shown_at(mesh_TPX[None], points, config, 1)[0, 0].bool() for points in (FACE_OVAL, MOUTH))
    return (face * FACE_BIT + mouth * MOUTH_BIT).to(torch.uint8)


def _through(codec: VideoCodec, films: list[NDArray[np.uint8]], device: str, beat: Beat) -> list[Tensor]:
    """Films of one length as float16 latents."""
    dtype = next(codec.buffers()).dtype
    out: list[Tensor] = []
    for first in range(0, len(films), AT_ONCE[device]):
        frames_BTHWC = torch.from_numpy(np.stack(films[first : first + AT_ONCE[device]])).to(device)
        latents = codec.encode(as_video(frames_BTHWC, dtype)).to(torch.float16)
        if not latents.isfinite().all():
            raise MediaError("latents.not_finite", "the codec gives numbers that float16 cannot hold")
        out += latents.cpu().unbind(0)
        beat()
    return out
