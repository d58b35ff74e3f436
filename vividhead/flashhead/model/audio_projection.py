"""Audio features to tokens: what each latent frame attends to (notes, section 1.4, step 3)."""

import torch
from torch import Tensor, nn

from vividhead.flashhead.config import AUDIO_HIDDEN, AUDIO_TOKENS, AUDIO_WINDOW_FRAMES, FlashHeadConfig

CENTRE = AUDIO_WINDOW_FRAMES // 2


class AudioProjection(nn.Module):
    """Windows of five features for each picture → 32 tokens for each latent frame.

    The first latent frame is one picture and uses its whole window. A later one is `stride_frames` pictures: their own
    features, and on either side the two beyond.
    """

    def __init__(self, config: FlashHeadConfig) -> None:
        """Make the layers, with the names of the published checkpoints."""
        super().__init__()
        features, self.stride = config.audio.layers * config.audio.width, config.codec.stride_frames
        slots = self.stride + 2 * CENTRE
        self.proj1 = nn.Linear(AUDIO_WINDOW_FRAMES * features, AUDIO_HIDDEN)
        self.proj1_vf = nn.Linear(slots * features, AUDIO_HIDDEN)
        self.proj2 = nn.Linear(AUDIO_HIDDEN, AUDIO_HIDDEN)
        self.proj3 = nn.Linear(AUDIO_HIDDEN, AUDIO_TOKENS * config.dit.dim)
        self.norm = nn.LayerNorm(config.dit.dim)

    def forward(self, context_BFWLC: Tensor) -> Tensor:
        """Context [B, frames, 5, layers, width] → tokens [B, latent frames, 32, dim]."""
        first = self.proj1(context_BFWLC[:, :1].flatten(2)).relu()
        later = self.proj1_vf(self._slots(context_BFWLC[:, 1:]).flatten(2)).relu()
        hidden = self.proj2(torch.cat((first, later), 1)).relu()
        tokens: Tensor = self.norm(self.proj3(hidden).unflatten(-1, (AUDIO_TOKENS, -1)))
        return tokens

    def _slots(self, context_BFWLC: Tensor) -> Tensor:
        """Each feature that a later latent frame sees, once: [B, groups, stride + 4, layers, width]."""
        groups = context_BFWLC.unflatten(1, (-1, self.stride))
        before, own, after = groups[:, :, 0, : CENTRE + 1], groups[:, :, 1:-1, CENTRE], groups[:, :, -1, CENTRE:]
        return torch.cat((before, own, after), 2)
