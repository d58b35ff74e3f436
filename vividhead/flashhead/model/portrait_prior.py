"""What is known of a chunk before the network computes anything: it looks like the portrait, give or take.

    x = (1 - s) x0 + s · noise,   s = timestep / 1000,   x0 ~ Normal(portrait, deviation²), each channel with its own

From x and the portrait alone the best linear guess of the velocity follows in closed form; the network has only to say
what is left of it, which has unit power at every timestep. This is the preconditioning of Karras et al. (2022, arXiv
2206.00364, section 5) about a portrait instead of about zero. A small network then begins at what moves, need not
carry noise through its width, and can be narrower than a latent has channels.

The published models know nothing of it: their network gives the whole velocity.
"""

import torch
from torch import Tensor, nn

from vividhead.flashhead.model.sampler import NOISE_T

UNMEASURED = 0.3
"""Deviation from the portrait before it was measured: talking heads' over all channels, latents having unit power."""
LEAST_DEVIATION = 1e-3


class PortraitPrior(nn.Module):
    """The closed form; it has no parameters, only measured deviations, which a checkpoint keeps."""

    deviation_C: Tensor

    def __init__(self, channels: int) -> None:
        """Begin with the same deviation for every channel."""
        super().__init__()
        self.register_buffer("deviation_C", torch.full((channels,), UNMEASURED))

    def beyond(self, x_BCTHW: Tensor, timestep_B: Tensor, reference_BCTHW: Tensor) -> Tensor:
        """What of noisy latents the portrait does not explain, at unit power: what the network reads for them."""
        s, power = self._terms(timestep_B)
        return ((x_BCTHW.float() - (1 - s) * reference_BCTHW.float()) / power.sqrt()).to(x_BCTHW.dtype)

    def velocity(self, left_BCTHW: Tensor, x_BCTHW: Tensor, timestep_B: Tensor, reference_BCTHW: Tensor) -> Tensor:
        """Velocity, noise - x0, from what the network says is left; [B, C, T, H, W] in its precision."""
        s, power = self._terms(timestep_B)
        deviation, portrait = self._deviation(), reference_BCTHW.float()
        slope = (s - deviation.square() * (1 - s)) / power
        guess = (x_BCTHW.float() - (1 - s) * portrait) * slope - portrait
        return (guess - left_BCTHW.float() * deviation / power.sqrt()).to(left_BCTHW.dtype)

    def _deviation(self) -> Tensor:
        return self.deviation_C.float()[:, None, None, None]

    def _terms(self, timestep_B: Tensor) -> tuple[Tensor, Tensor]:
        """Share of noise, and the power of x about (1 - s) · portrait; to multiply [B, C, T, H, W]."""
        s = (timestep_B.float() / NOISE_T)[:, None, None, None, None]
        return s, self._deviation().square() * (1 - s) ** 2 + s**2

    @torch.no_grad()
    def measured(self, latents_BCTHW: Tensor, reference_BCTHW: Tensor) -> None:
        """Take the deviations of clips' latents from their portraits', in frames that a chunk generates."""
        apart = (latents_BCTHW - reference_BCTHW)[:, :, 1:].float()  # the first latent frame is always taken over
        self.deviation_C.copy_(apart.square().mean((0, 2, 3, 4)).sqrt().clamp(min=LEAST_DEVIATION))
