"""What both stages learn from: windows of clips as latents, and the sound as the streaming engine would hear it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.model.audio_cache import context_BFWLC, frames_read
from vividhead.flashhead.model.audio_encoders import AudioEncoder
from vividhead.flashhead.model.codecs import VideoCodec
from vividhead.loader import Batch

FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""Points of the mesh around the face."""
MOUTH = (61, 0, 291, 17)
"""Points at the right, upper, left and lower end of the lips."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Windows of K chunks; T are the latent frames of a chunk, of which the first are those of the chunk before."""

    latents_BKCTHW: Tensor
    """Clean."""
    context_BKFWLC: Tensor
    """Audio features around each picture of each chunk."""
    reference_BCTHW: Tensor
    """A still of another moment of the clip, encoded as a chunk."""
    portrait_B3HW: Tensor | None = None
    """That still, -1 … 1; None where pictures were not asked for. Stage 2 draws its colours from it."""
    face_BKTHW: Tensor | None = None
    """Which latents show the face, 0 or 1."""
    mouth_BKTHW: Tensor | None = None
    """Which show the mouth, 0 or 1."""

    def __len__(self) -> int:
        """How many windows."""
        return self.latents_BKCTHW.shape[0]


@torch.no_grad()
def encoded(batch: Batch, config: FlashHeadConfig, codec: VideoCodec, audio: AudioEncoder) -> Windows:
    """Pictures to latents and sound to features, on the device of the batch and in the codec's precision.

    Chunks are as large and as long as the batch's pictures are, see `crop`.
    """
    dtype = next(codec.buffers()).dtype
    video = as_video(batch.video_BTHWC, dtype)
    chunks, new = batch.audio_BKS.shape[1], config.new_frames
    chunk = video.shape[2] - (chunks - 1) * new
    latents = [codec.encode(video[:, :, k * new : k * new + chunk]) for k in range(chunks)]
    portrait = as_video(batch.reference_BHWC[:, None], dtype)
    face, mouth = None, None
    if batch.landmarks_BTPX is not None:
        grid_THW = latents[0].shape[2:]
        face, mouth = (
            shown_at(batch.landmarks_BTPX, points, config, chunks, grid_THW) for points in (FACE_OVAL, MOUTH)
        )
    return Windows(
        latents_BKCTHW=torch.stack(latents, 1),
        context_BKFWLC=heard(batch.audio_BKS, chunk, audio),
        reference_BCTHW=codec.encode_still(portrait[:, :, 0], chunk),
        portrait_B3HW=portrait[:, :, 0],
        face_BKTHW=face,
        mouth_BKTHW=mouth,
    )


@torch.no_grad()
def heard(audio_BKS: Tensor, frames: int, audio: AudioEncoder) -> Tensor:
    """Audio features around each of a chunk's `frames`, [B, K, F, W, L, C], of the sound up to each chunk's end."""
    features = audio.features(audio_BKS.flatten(0, 1), frames_read(frames))
    context: Tensor = context_BFWLC(features, frames).unflatten(0, (-1, audio_BKS.shape[1]))
    return context


def as_video(frames_BTHWC: Tensor, dtype: torch.dtype) -> Tensor:
    """Pictures uint8 → [B, 3, T, H, W], -1 … 1."""
    video = frames_BTHWC.permute(0, 4, 1, 2, 3).to(torch.float32)
    return video.div_(127.5).sub_(1).to(dtype)  # in place: a window is tens of MB


def shown_at(
    landmarks_BTPX: Tensor,
    points: Sequence[int],
    config: FlashHeadConfig,
    chunks: int,
    grid_THW: Sequence[int] | None = None,
) -> Tensor:
    """Which latents show what the points surround: those that touch their box in the middle picture of each latent
    frame; [B, chunks, T, H, W], 0 or 1. `grid_THW` is a chunk's, the configuration's unless given."""
    frames, rows, columns = grid_THW or config.grid_THW
    stride = config.codec.stride_frames
    middles = torch.tensor([0] + [1 + stride * t + stride // 2 for t in range(frames - 1)])
    y, x = (torch.arange(count, device=landmarks_BTPX.device) for count in (rows, columns))
    shown = []
    for k in range(chunks):
        marks = landmarks_BTPX[:, middles + k * config.new_frames][:, :, list(points), :2] / config.codec.stride_px
        low, high = marks.amin(2), marks.amax(2)  # NaN where no face was found: nothing is inside
        across = (x + 1 > low[..., :1]) & (x < high[..., :1])
        down = (y + 1 > low[..., 1:]) & (y < high[..., 1:])
        shown.append((down[..., :, None] & across[..., None, :]).float())
    return torch.stack(shown, 1)
