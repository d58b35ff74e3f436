"""One chunk for a batch of streams, as tensors alone: sound → features → denoising → pictures → what comes after.

No Python value depends on a tensor's content and no shape on how far a stream is, so that the whole of it is one CUDA
graph for each batch size. Streams do not touch each other.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.model.audio_cache import context_BFWLC, frames_read
from vividhead.flashhead.model.codecs import VideoCodec
from vividhead.flashhead.model.colour import matched
from vividhead.flashhead.model.flashhead import FlashHead
from vividhead.flashhead.model.sampler import Schedule, Velocity, denoised, guided

Pair = tuple[Tensor, Tensor]
Mark = Callable[[str], None]
"""Called with the name of each phase when it ends; a benchmark's clock."""
PHASES = ("audio", "dit", "decode", "colour", "encode", "pictures")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkBatch:
    """What a batch of streams brings to a chunk; T are its latent frames."""

    windows_BS: Tensor
    """16 kHz sound of the audio cache that ends with the chunk, float32."""
    noises_BSCTHW: Tensor
    """Noise of the start and of each step, of the sampler's `drawn`."""
    motion_BCTHW: Tensor
    """Latents taken over, padded with zeros to T."""
    is_motion_B1T11: Tensor
    """Which of them are taken over, bool."""
    reference_BCTHW: Tensor
    """Latents of the portrait, repeated as a still video."""
    colour_mean_B3111: Tensor
    colour_deviation_B3111: Tensor
    """Lab moments of the portrait."""
    end_frame_B: Tensor
    """Pictures of the chunk up to which the stream goes on, int64; fewer than all at the end of an utterance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkResult:
    """What a chunk leaves."""

    frames_BTHWC: Tensor
    """Its new pictures, uint8."""
    motion_BCTHW: Tensor
    """Latents of its last pictures, which the next chunk takes over."""


class ChunkGenerator:
    """Makes chunks with one model."""

    def __init__(self, model: FlashHead, teacher: bool = False) -> None:
        """Embed the timesteps, which are the same for every chunk; a `teacher` takes twenty guided ones."""
        self.model, self.teacher = model, teacher
        config = model.config
        few = Schedule.few(config.sampler.steps, config.sampler.shift)
        self.schedule = Schedule.teacher(config.sampler.shift) if teacher else few
        with torch.inference_mode():
            steps = torch.tensor(self.schedule.timesteps, device=model.device)
            self._moments = model.dit.time(steps.float())

    @torch.inference_mode()
    def __call__(self, batch: ChunkBatch, mark: Mark = lambda phase: None) -> ChunkResult:
        """Make the next chunk of every stream in the batch."""
        config = self.model.config
        count = config.stream.frames_per_chunk
        context = context_BFWLC(self.model.audio.features(batch.windows_BS, frames_read(count)), count)
        mark("audio")
        latents = self.latents(context, batch)
        mark("dit")
        video, motion = self.pictures_of(latents, batch, mark)
        frames = as_pictures(video[:, :, config.motion_frames :])
        mark("pictures")
        return ChunkResult(frames_BTHWC=frames, motion_BCTHW=motion)

    def pictures_of(self, latents_BCTHW: Tensor, batch: ChunkBatch, mark: Mark = lambda phase: None) -> Pair:
        """All pictures of a chunk, colours matched, float32 -1 … 1, and the latents that the next one takes over."""
        colours = (batch.colour_mean_B3111, batch.colour_deviation_B3111)
        return pictures_and_motion(latents_BCTHW, self.model.codec, self.model.config, colours, batch.end_frame_B, mark)

    def latents(self, context: Tensor, batch: ChunkBatch) -> Tensor:
        """Latents [B, C, T, H, W] of the chunk whose audio context is given."""
        conditional = self._velocity(context, batch)
        noises_SBCTHW, motion = batch.noises_BSCTHW.transpose(0, 1), (batch.motion_BCTHW, batch.is_motion_B1T11)
        if self.teacher:
            unconditional = self._velocity(torch.zeros_like(context), batch)
            return guided(conditional, unconditional, noises_SBCTHW[0], *motion, self.schedule)
        return denoised(conditional, noises_SBCTHW, *motion, self.schedule)

    def _velocity(self, context: Tensor, batch: ChunkBatch) -> Velocity:
        dit = self.model.dit
        memories = dit.audio_memories(context)
        return lambda x, step: dit.velocity(x, self._moments.at(step), memories, batch.reference_BCTHW)


def pictures_and_motion(
    latents_BCTHW: Tensor,
    codec: VideoCodec,
    config: FlashHeadConfig,
    colours: Pair,
    end_frame_B: Tensor,
    mark: Mark = lambda phase: None,
) -> Pair:
    """As `ChunkGenerator.pictures_of`; `colours` are the portrait's Lab moments. Distillation rolls out with it too."""
    video = codec.decode(latents_BCTHW)
    mark("decode")
    video = matched(video, colours, config.stream.colour_strength)
    mark("colour")
    last = _ending_at(video, end_frame_B, config.motion_frames)
    motion = codec.encode(last.to(latents_BCTHW.dtype))
    mark("encode")
    return video, motion


def _ending_at(video_B3THW: Tensor, end_B: Tensor, count: int) -> Tensor:
    """`count` pictures of each row that end before picture `end`.

    At the end of an utterance with fewer new pictures than `count`, the first of them are the motion frames as this
    chunk decoded them, not as the chunk before gave them out: the same pictures but for the codec's loss.
    """
    wanted_BT = end_B[:, None] - count + torch.arange(count, device=end_B.device)
    index = wanted_BT[:, None, :, None, None].expand(-1, 3, -1, *video_B3THW.shape[-2:])
    return video_B3THW.gather(2, index)


def as_pictures(video_B3THW: Tensor) -> Tensor:
    """Video -1 … 1 → uint8 [B, T, H, W, 3], rounded to nearest."""
    scaled = ((video_B3THW.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return scaled.permute(0, 2, 3, 4, 1).contiguous()
