import math

import pytest
import torch
import torch.nn.functional as F

from vividhead.flashhead.model.codecs import VideoCodec, fit_linear, reconstruction
from vividhead.flashhead.model.codecs.linear import frequency_codec

STRIDES = (4, 8)
CHANNELS = 12


def sprites(seed: int, frames: int = 33, pattern_seed: int = 0) -> torch.Tensor:
    """Video (3, frames, 32, 32) whose blocks are mixes of six coloured patterns, changing slowly."""
    rough = torch.randn(6, 3, 3, 3, generator=torch.Generator().manual_seed(pattern_seed))
    patterns = F.interpolate(rough, (8, 8), mode="bilinear")
    shares = torch.randn(16, 6, 1 + frames // 8, generator=torch.Generator().manual_seed(seed))
    shares_THWK = F.interpolate(shares, frames, mode="linear").unflatten(0, (4, 4)).permute(3, 0, 1, 2)
    blocks = 0.2 * torch.einsum("thwk,kcyx->cthywx", shares_THWK, patterns)
    return blocks.reshape(3, frames, 32, 32).clamp(-1, 1)


def test_what_was_learnt_serves_other_clips_better_than_frequencies_do() -> None:
    fitted = fit_linear([sprites(1), sprites(2)], *STRIDES, CHANNELS, prior_blocks=0)
    held_out = [sprites(3)]
    found, plain = reconstruction(fitted, held_out), reconstruction(frequency_codec(*STRIDES, CHANNELS), held_out)
    assert found.psnr_db > plain.psnr_db + 10
    assert found.frames == plain.frames == 33


def test_nothing_seen_gives_the_frequencies() -> None:
    video = sprites(1)[None]
    fitted, plain = fit_linear([], *STRIDES, CHANNELS), frequency_codec(*STRIDES, CHANNELS)
    assert fitted.basis.blocks == 0
    torch.testing.assert_close(fitted.encode(video), plain.encode(video))


def test_few_clips_do_not_forget_what_pictures_are_like() -> None:
    """A fit to one odd clip must still serve others; the prior sees to it."""
    other = [sprites(3, pattern_seed=9)]
    bare = reconstruction(fit_linear([sprites(1)], *STRIDES, CHANNELS, prior_blocks=0), other)
    kept = reconstruction(fit_linear([sprites(1)], *STRIDES, CHANNELS), other)
    plain = reconstruction(frequency_codec(*STRIDES, CHANNELS), other)
    assert bare.luma_psnr_db < plain.luma_psnr_db - 5
    assert kept.luma_psnr_db > plain.luma_psnr_db - 0.5


def test_order_and_cutting_into_clips_change_nothing() -> None:
    video = sprites(1, frames=65)
    pieces = [video[:, :33], torch.cat((torch.zeros(3, 1, 32, 32), video[:, 33:]), 1)]
    video_BCTHW = sprites(2)[None]
    wanted = fit_linear([video], *STRIDES, CHANNELS).encode(video_BCTHW)
    for clips in (pieces, pieces[::-1]):
        codec = fit_linear(iter(clips), *STRIDES, CHANNELS)
        assert codec.basis.blocks == 16 * 16
        torch.testing.assert_close(codec.encode(video_BCTHW), wanted, rtol=1e-4, atol=1e-4)


def test_a_rest_that_makes_no_latent_frame_is_left_out() -> None:
    video = sprites(1, frames=12)  # 1 + 2 · 4, and three more
    exact = fit_linear([video[:, :9]], *STRIDES, CHANNELS)
    codec = fit_linear([video, video[:, :3]], *STRIDES, CHANNELS)
    assert codec.basis.blocks == exact.basis.blocks == 2 * 16
    torch.testing.assert_close(codec.basis.later.vectors_CP, exact.basis.later.vectors_CP)
    assert reconstruction(codec, [video]).frames == 9


class Brighter(VideoCodec):
    """Gives pictures back a little too bright, red more so."""

    kind, channels, stride_frames, stride_px = "brighter", 3, 4, 8

    def encode(self, video_BCTHW: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        return video_BCTHW

    def decode(self, latents_BCTHW: torch.Tensor) -> torch.Tensor:
        return latents_BCTHW + torch.tensor([0.04, 0.02, 0.02])[:, None, None, None]


def test_psnr_is_that_of_the_known_error() -> None:
    found = reconstruction(Brighter(), [torch.zeros(3, 5, 8, 8), torch.zeros(3, 11, 16, 8)])
    assert found.frames == 5 + 9
    assert found.psnr_db == pytest.approx(10 * math.log10(4 / ((0.04**2 + 2 * 0.02**2) / 3)), abs=1e-4)
    luma_error = 0.299 * 0.04 + 0.701 * 0.02
    assert found.luma_psnr_db == pytest.approx(20 * math.log10(2 / luma_error), abs=1e-4)


def test_what_cannot_be_shown_is_no_error() -> None:
    found = reconstruction(Brighter(), [torch.ones(3, 5, 8, 8)])
    assert found.psnr_db == found.luma_psnr_db == math.inf


def test_no_clip_has_no_psnr() -> None:
    with pytest.raises(ValueError, match="no video to measure a codec on"):
        reconstruction(Brighter(), [])
