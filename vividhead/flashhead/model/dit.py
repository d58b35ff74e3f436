"""FlashHead's diffusion transformer: noisy latents, a portrait and the audio of a chunk in, velocity out.

Names and shapes of all parameters are those of the published checkpoints. No text, no image encoder: the portrait
comes in as channels beside the noise, the audio through cross attention within each latent frame. Any batch; row k
of a batch is what it would be alone. The steps are numbered as in the notes on compatibility, section 1.4.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.model.audio_projection import AudioProjection
from vividhead.flashhead.model.portrait_prior import PortraitPrior
from vividhead.flashhead.model.rope import rope_tables, rotated

TIME_WIDTH = 256
"""Width of the sinusoid of the timestep."""
EPS = 1e-6
Memory = tuple[Tensor, Tensor]
"""Keys and values [B·T, heads, 32, head width] of the audio, for one block."""


class Moment(NamedTuple):
    """Timesteps [B or 1], and what the model makes of them before anything else."""

    timestep_B: Tensor
    embedded_BD: Tensor

    def at(self, step: int) -> "Moment":
        """One of several moments, for all rows of a batch."""
        return Moment(self.timestep_B[step, None], self.embedded_BD[step, None])


class RMSNorm(nn.Module):
    """Root-mean-square norm over the last axis, reduced in float32."""

    def __init__(self, width: int) -> None:
        """Begin with a scale of one."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise; the type stays."""
        wide = x.float()
        return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + EPS)).to(x.dtype) * self.weight


class Attention(nn.Module):
    """Multi-head attention whose queries and keys are normalised over the whole width, before the heads part."""

    def __init__(self, dim: int, heads: int) -> None:
        """Make the four projections and the two norms."""
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = RMSNorm(dim), RMSNorm(dim)

    def parted(self, x_BND: Tensor) -> Tensor:
        """[B, N, dim] → [B, N, heads, head width]."""
        heads: Tensor = x_BND.unflatten(-1, (self.heads, -1))
        return heads

    def out(self, q_BNHD: Tensor, memory: Memory) -> Tensor:
        """Attend from `q` to keys and values [B, heads, M, head width]."""
        attended = F.scaled_dot_product_attention(q_BNHD.transpose(1, 2), *memory)
        mixed: Tensor = self.o(attended.transpose(1, 2).flatten(2))
        return mixed


class SelfAttention(Attention):
    """Every token of a chunk sees every other."""

    def forward(self, x_BND: Tensor, tables_2ND: Tensor) -> Tensor:
        """Attend among the tokens of each row."""
        q, k, v = self._projected(x_BND)
        q = rotated(self.parted(self.norm_q(q)), tables_2ND)
        k = rotated(self.parted(self.norm_k(k)), tables_2ND)
        return self.out(q, (k.transpose(1, 2), self.parted(v).transpose(1, 2)))

    def _projected(self, x_BND: Tensor) -> tuple[Tensor, ...]:
        if hasattr(self, "qkv"):
            return tuple(self.qkv(x_BND).chunk(3, -1))
        return self.q(x_BND), self.k(x_BND), self.v(x_BND)

    def fuse(self) -> None:
        """Make one product of three, for generation alone: the parameters no longer bear the published names."""
        parts = (self.q, self.k, self.v)
        self.qkv = nn.Linear(self.q.in_features, 3 * self.q.out_features, device="meta", dtype=self.q.weight.dtype)
        self.qkv.weight = nn.Parameter(torch.cat([p.weight for p in parts]), requires_grad=False)
        self.qkv.bias = nn.Parameter(torch.cat([p.bias for p in parts]), requires_grad=False)
        del self.q, self.k, self.v


class CrossAttention(Attention):
    """The tokens of a latent frame see the 32 audio tokens of that frame."""

    def memory(self, audio_BTAD: Tensor) -> Memory:
        """Keys and values of the audio, the same for all denoising steps of a chunk."""
        audio = audio_BTAD.flatten(0, 1)
        k, v = self.parted(self.norm_k(self.k(audio))), self.parted(self.v(audio))
        return k.transpose(1, 2), v.transpose(1, 2)

    def forward(self, x_BND: Tensor, memory: Memory, latent_frames: int) -> Tensor:
        """Attend from each latent frame to its audio."""
        frames = x_BND.unflatten(1, (latent_frames, -1)).flatten(0, 1)
        attended = self.out(self.parted(self.norm_q(self.q(frames))), memory)
        joined: Tensor = attended.unflatten(0, (-1, latent_frames)).flatten(1, 2)
        return joined


def modulated(x_BND: Tensor, shift_B1D: Tensor, scale_B1D: Tensor) -> Tensor:
    """Layer norm without parameters, then scale and shift by the time."""
    return F.layer_norm(x_BND, x_BND.shape[-1:], eps=EPS) * (1 + scale_B1D) + shift_B1D


class Block(nn.Module):
    """Self attention, audio cross attention, feed-forward (step 4)."""

    def __init__(self, config: FlashHeadConfig) -> None:
        """Make the layers."""
        super().__init__()
        dim = config.dit.dim
        self.self_attn = SelfAttention(dim, config.dit.heads)
        self.cross_attn = CrossAttention(dim, config.dit.heads)
        self.norm3 = nn.LayerNorm(dim, eps=EPS)
        self.ffn = nn.Sequential(
            nn.Linear(dim, config.dit.ffn_dim), nn.GELU(approximate="tanh"), nn.Linear(config.dit.ffn_dim, dim)
        )
        self.modulation = nn.Parameter(torch.zeros(1, 6, dim))

    def forward(self, x_BND: Tensor, time_B6D: Tensor, memory: Memory, tables_2ND: Tensor, frames: int) -> Tensor:
        """One block; `frames` are the latent frames of a chunk."""
        e = (self.modulation + time_B6D).chunk(6, 1)
        x_BND = x_BND + e[2] * self.self_attn(modulated(x_BND, e[0], e[1]), tables_2ND)
        x_BND = x_BND + self.cross_attn(self.norm3(x_BND), memory, frames)
        fed: Tensor = self.ffn(modulated(x_BND, e[3], e[4]))
        return x_BND + e[5] * fed


class Head(nn.Module):
    """Tokens to velocity (step 6)."""

    def __init__(self, dim: int, out_width: int) -> None:
        """Make the layer and its modulation."""
        super().__init__()
        self.head = nn.Linear(dim, out_width)
        self.modulation = nn.Parameter(torch.zeros(1, 2, dim))

    def forward(self, x_BND: Tensor, time_BD: Tensor) -> Tensor:
        """[B, N, dim] → [B, N, patch · channels]."""
        shift, scale = (self.modulation + time_BD[:, None]).chunk(2, 1)
        velocity: Tensor = self.head(modulated(x_BND, shift, scale))
        return velocity


class AudioEmbedding(nn.Module):
    """A part of the published checkpoints that nothing uses; here so that they load and export strictly."""

    def __init__(self, width: int, dim: int) -> None:
        """Make the layers."""
        super().__init__()
        self.proj = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, dim), nn.LayerNorm(dim)
        )


class Dit(nn.Module):
    """The transformer. `exact_rope` computes positions in float64, as the published model does."""

    def __init__(self, config: FlashHeadConfig, exact_rope: bool = False) -> None:
        """Make the layers of `config`; their values are those of no training: see `initialise`."""
        super().__init__()
        self.config, self.exact_rope = config, exact_rope
        self.recomputes = False
        """Whether training keeps no activations inside blocks: less memory, a third more work."""
        dit = config.dit
        patch = (1, dit.patch_side, dit.patch_side)
        self.patch_embedding = nn.Conv3d(2 * dit.latent_channels, dit.dim, patch, patch)
        self.time_embedding = nn.Sequential(nn.Linear(TIME_WIDTH, dit.dim), nn.SiLU(), nn.Linear(dit.dim, dit.dim))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(dit.dim, 6 * dit.dim))
        self.blocks = nn.ModuleList(Block(config) for _ in range(dit.layers))
        self.head = Head(dit.dim, dit.latent_channels * dit.patch_side**2)
        self.audio_proj = AudioProjection(config)
        self.prior = PortraitPrior(dit.latent_channels) if dit.portrait_prior else None
        if dit.text_width:
            self.text_embedding = nn.Sequential(
                nn.Linear(dit.text_width, dit.dim), nn.GELU(approximate="tanh"), nn.Linear(dit.dim, dit.dim)
            )
            self.audio_emb = AudioEmbedding(config.audio.width, dit.dim)
            for unused in (self.text_embedding, self.audio_emb):
                unused.requires_grad_(False)
        self._tables: dict[tuple[object, ...], Tensor] = {}

    def forward(self, x_BCTHW: Tensor, timestep_B: Tensor, context_BFWLC: Tensor, reference_BCTHW: Tensor) -> Tensor:
        """Velocity [B, C, T, H, W] of the flow at `timestep` (1000 is noise, 0 is clean), shape [B] or [1].

        `x` are noisy latents, `reference` those of the portrait repeated; `context` is [B, frames, 5, layers, width].
        """
        memories = self.audio_memories(context_BFWLC)
        return self.velocity(x_BCTHW, self.time(timestep_B), memories, reference_BCTHW)

    def time(self, timestep_B: Tensor) -> Moment:
        """Embed timesteps, rounded to the model's precision first (step 2)."""
        dtype, device = self.patch_embedding.weight.dtype, timestep_B.device
        half = TIME_WIDTH // 2
        falling = 10000.0 ** -(torch.arange(half, dtype=torch.float64, device=device) / half)
        angles = torch.outer(timestep_B.to(dtype).double(), falling)
        return Moment(timestep_B, self.time_embedding(torch.cat((angles.cos(), angles.sin()), -1).to(dtype)))

    def audio_memories(self, context_BFWLC: Tensor) -> list[Memory]:
        """Keys and values of a chunk's audio for every block; made once for all its denoising steps."""
        audio_BTAD = self.audio_proj(context_BFWLC.to(self.patch_embedding.weight.dtype))
        return [block.cross_attn.memory(audio_BTAD) for block in self.typed_blocks()]

    def velocity(self, x_BCTHW: Tensor, moment: Moment, memories: list[Memory], reference_BCTHW: Tensor) -> Tensor:
        """As `forward`, with the time embedded and the audio remembered already."""
        if self.prior is None:
            return self._network(x_BCTHW, moment.embedded_BD, memories, reference_BCTHW)
        given = x_BCTHW, moment.timestep_B, reference_BCTHW
        left = self._network(self.prior.beyond(*given), moment.embedded_BD, memories, reference_BCTHW)
        return self.prior.velocity(left, *given)

    def _network(self, x_BCTHW: Tensor, time_BD: Tensor, memories: list[Memory], reference_BCTHW: Tensor) -> Tensor:
        patches = self.patch_embedding(torch.cat((x_BCTHW, reference_BCTHW), 1))
        _, _, frames, rows, columns = patches.shape
        x_BND = patches.flatten(2).transpose(1, 2)
        tables = self._positions((frames, rows, columns), x_BND.device)
        time_B6D = self.time_projection(time_BD).unflatten(-1, (6, -1))
        for block, memory in zip(self.typed_blocks(), memories, strict=True):
            if self.recomputes and torch.is_grad_enabled():
                x_BND = checkpoint(block, x_BND, time_B6D, memory, tables, frames, use_reentrant=False)
            else:
                x_BND = block(x_BND, time_B6D, memory, tables, frames)
        side = self.config.dit.patch_side
        out_BND: Tensor = self.head(x_BND, time_BD)
        out = out_BND.view(-1, frames, rows, columns, side, side, self.config.dit.latent_channels)
        return out.permute(0, 6, 1, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)

    def typed_blocks(self) -> list[Block]:
        """The blocks, by their type."""
        return [block for block in self.blocks if isinstance(block, Block)]

    def _positions(self, grid_THW: tuple[int, int, int], device: torch.device) -> Tensor:
        dtype = torch.float64 if self.exact_rope else torch.float32
        key = (grid_THW, device, dtype)
        if key not in self._tables:
            width = self.config.dit.dim // self.config.dit.heads
            with torch.inference_mode(False):  # kept tensors of inference mode would be refused in any later training
                self._tables[key] = rope_tables(grid_THW, width, dtype).to(device)
        return self._tables[key]

    def for_generation(self) -> "Dit":
        """Drop what nothing uses and fuse what can be; returns itself, frozen, with other parameter names."""
        for unused in ("text_embedding", "audio_emb"):
            if hasattr(self, unused):
                delattr(self, unused)
        for block in self.typed_blocks():
            block.self_attn.fuse()
        return self.requires_grad_(False).eval()
