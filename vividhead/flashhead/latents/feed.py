"""Cached latents as training sees them: what `train.windows.encoded` makes of decoded windows."""

import torch
from torch import Tensor

from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.latents.sample import LatentBatch
from vividhead.flashhead.latents.unit import FACE_BIT, MOUTH_BIT
from vividhead.flashhead.model.audio_encoders import AudioEncoder
from vividhead.flashhead.train.windows import Windows, as_video, heard


@torch.no_grad()
def cached_windows(
    batch: LatentBatch, config: FlashHeadConfig, audio: AudioEncoder, dtype: torch.dtype = torch.float32
) -> Windows:
    """Latents in the codec's precision `dtype`, sound to features, on the device of the batch."""
    portrait = batch.portrait_BHWC
    return Windows(
        latents_BKCTHW=batch.latents_BKCTHW.to(dtype),
        context_BKFWLC=heard(batch.audio_BKS, config.stream.frames_per_chunk, audio),
        reference_BCTHW=_repeated(batch.reference_BCTHW, config.latent_frames).to(dtype),
        portrait_B3HW=None if portrait is None else as_video(portrait[:, None], dtype)[:, :, 0],
        face_BKTHW=(batch.masks_BKTHW & FACE_BIT > 0).float(),
        mouth_BKTHW=(batch.masks_BKTHW & MOUTH_BIT > 0).float(),
    )


def _repeated(still_BCTHW: Tensor, frames: int) -> Tensor:
    """The still's last latent frame again and again, up to a chunk's."""
    missing = frames - still_BCTHW.shape[2]
    return torch.cat((still_BCTHW, still_BCTHW[:, :, -1:].expand(-1, -1, missing, -1, -1)), 2)
