"""Two chunks of the streaming loop against the published model's own."""

from dataclasses import fields, replace

import pytest
import torch
import torch.nn.functional as F

from tests.flashhead.conftest import Parity
from tests.flashhead.stubs import BlockMeans
from vividhead.flashhead.config import load_config
from vividhead.flashhead.generate.chunk import ChunkBatch, ChunkGenerator, as_pictures
from vividhead.flashhead.model.colour import reference_moments
from vividhead.flashhead.model.dit import Dit
from vividhead.flashhead.model.flashhead import FlashHead
from vividhead.flashhead.model.sampler import drawn

GRIDS = {"lite": (5, 4, 4), "pro": (9, 8, 8)}


def published(name: str, parity: Parity) -> FlashHead:
    config = load_config(name)
    _, rows, _ = GRIDS[name]
    config = replace(
        config,
        dit=replace(config.dit, layers=2, ffn_dim=512, text_width=64),
        stream=replace(config.stream, side_px=rows * config.codec.stride_px),
    )
    dit = Dit(config, exact_rope=True)
    parity.fill_module(dit)
    mix = parity.fill("stub_vae.mix", (config.dit.latent_channels, 3))
    codec = BlockMeans(config.codec.stride_frames, config.codec.stride_px, mix)
    return FlashHead(config=config, dit=dit.requires_grad_(False), codec=codec, audio=None)  # type: ignore[arg-type]


def beside_another(row: ChunkBatch) -> ChunkBatch:
    """The row as the second of a batch, after one of noise whose utterance ends early and takes nothing over."""
    other = replace(
        row,
        noises_BSCTHW=torch.randn_like(row.noises_BSCTHW),
        is_motion_B1T11=torch.zeros_like(row.is_motion_B1T11),
        reference_BCTHW=torch.randn_like(row.reference_BCTHW),
        colour_mean_B3111=row.colour_mean_B3111 + 5,
        end_frame_B=row.end_frame_B - 10,
    )
    return ChunkBatch(
        **{part.name: torch.cat((getattr(other, part.name), getattr(row, part.name))) for part in fields(ChunkBatch)}
    )


@pytest.mark.parametrize("name", GRIDS)
@torch.inference_mode()
def test_two_chunks_are_the_published_loops_alone_and_in_a_batch(name: str, parity: Parity) -> None:
    model = published(name, parity)
    config, wanted = model.config, parity.outputs(f"stream_{name}")
    generator = ChunkGenerator(model)
    still = F.interpolate(
        parity.noise("stream.image", (1, 3, 4, 4), 0.4).clamp(-1, 1), (config.stream.side_px,) * 2, mode="bilinear"
    )[:, :, None]
    reference = model.codec.encode(still.expand(-1, -1, 33, -1, -1))
    mean, deviation = reference_moments(still)
    random = torch.Generator().manual_seed(42)
    motion, taken_over = reference[:, :, :1], 1
    for chunk in range(2):
        context = parity.noise(f"stream.context_{chunk}", (1, 33, 5, 12, 768), 0.5)
        noises = drawn((1, *reference.shape[1:]), 4, random, reference)[:, 0]
        row = ChunkBatch(
            windows_BS=torch.zeros(1, config.cache_samples),
            noises_BSCTHW=noises[None],
            motion_BCTHW=F.pad(motion, (0, 0, 0, 0, 0, config.latent_frames - motion.shape[2])),
            is_motion_B1T11=(torch.arange(config.latent_frames) < taken_over)[None, None, :, None, None],
            reference_BCTHW=reference,
            colour_mean_B3111=mean,
            colour_deviation_B3111=deviation,
            end_frame_B=torch.tensor([33]),
        )
        two = beside_another(row)
        contexts = torch.cat((torch.randn_like(context), context))
        for batch, heard in ((two, contexts), (row, context)):
            video, motion = generator.pictures_of(generator.latents(heard, batch), batch)
            frames = F.avg_pool3d(video[-1:], (1, 8, 8))
            for key, found in ((f"frames_{chunk}", frames), (f"motion_latent_after_{chunk}", motion[-1:])):
                assert (found - wanted[key].view_as(found)).abs().max() <= 2e-3 * wanted[key].std()
        taken_over = 2


def test_pictures_are_rounded_to_the_nearest_of_256() -> None:
    video = torch.tensor([-1.2, -1, -0.9999, 0, 0.9999, 1, 1.2])[None, None, None, None].expand(1, 3, 1, 1, 7)
    assert as_pictures(video)[0, 0, 0, :, 0].tolist() == [0, 0, 0, 128, 255, 255, 255]
