"""`nano`'s video codec: one matrix from blocks of pixels to latents, another back. Fitted in closed form, no training.

Latent frame 0 is one picture in squares of `stride_px`; every later one is `stride_frames` pictures in such squares:

    picture   0 | 1 2 3 4 5 6 7 8 | 9 …            128 px, strides 8 and 16: a chunk of 33 pictures
    latent    0 |        1        | 2 …            becomes 5 × 8 × 8 latents

Components are orthonormal, so what was decoded encodes to the same latents again: handing pictures from chunk to
chunk loses nothing. Axes as in `block_basis`; B batch, T H W frames, rows, columns.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vividhead.errors import VividHeadError
from vividhead.flashhead.model.codecs.block_basis import BlockBasis, BlockMoments, LinearBasis
from vividhead.flashhead.model.codecs.codec import VideoCodec
from vividhead.ledger import write_atomically

FOLDER = "Codec_Linear"
FILE = "codec.safetensors"
_VERSION = 1
_ABOUT = "linear_codec"  # the one key of the file's metadata: JSON, so that its bytes do not depend on an order
_ORTHONORMAL_TO = 1e-3


class LinearCodec(VideoCodec):
    """Blocks of pixels times a matrix."""

    kind = "linear"

    def __init__(self, basis: LinearBasis) -> None:
        """Make both matrices of a basis, float32."""
        super().__init__()
        self.basis = basis
        self.channels = len(basis.later.scale_C)
        self.stride_frames, self.stride_px = basis.later.frames, basis.later.side_px
        self.first = _BlockTransform(basis.first)
        self.later = _BlockTransform(basis.later)

    def encode(self, video_BCTHW: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Latents of pictures; there is nothing to draw."""
        assert self.fits(video_BCTHW), f"{tuple(video_BCTHW.shape)} does not fit the codec's strides"
        first = self.first.encode(video_BCTHW[:, :, :1])
        later = [self.later.encode(video_BCTHW[:, :, 1:])] if video_BCTHW.shape[2] > 1 else []
        return torch.cat((first, *later), 2).contiguous()

    def encode_still(self, picture_B3HW: Tensor, frames: int) -> Tensor:
        """As `encode` of so many times the same picture: all latent frames but the first are alike."""
        alike = (frames - 1) // self.stride_frames
        latents_BCTHW = super().encode_still(picture_B3HW, min(frames, 1 + self.stride_frames))
        return torch.cat((latents_BCTHW[:, :, :1], latents_BCTHW[:, :, 1:].expand(-1, -1, alike, -1, -1)), 2)

    def decode(self, latents_BCTHW: Tensor) -> Tensor:
        """Pictures of latents, not clamped."""
        batch, _, frames, rows, columns = latents_BCTHW.shape
        size = (batch, 3, 1 + (frames - 1) * self.stride_frames, rows * self.stride_px, columns * self.stride_px)
        video_BCTHW = latents_BCTHW.new_empty(size)
        self.first.decode_into(video_BCTHW[:, :, :1], latents_BCTHW[:, :, :1])
        if frames > 1:
            self.later.decode_into(video_BCTHW[:, :, 1:], latents_BCTHW[:, :, 1:])
        return video_BCTHW

    def save(self, folder: Path) -> Path:
        """Write the codec into a checkpoint folder, whole or not at all; returns the file."""
        basis = self.basis
        about = {
            "version": _VERSION, "stride_frames": self.stride_frames, "stride_px": self.stride_px,
            "channels": self.channels, "blocks": basis.blocks,
        }  # fmt: skip
        tensors = {
            f"{part}.{name}": getattr(block, name).float().contiguous()
            for part, block in (("first", basis.first), ("later", basis.later))
            for name in ("vectors_CP", "mean_P", "scale_C")
        }
        path = folder / FOLDER / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, save(tensors, {_ABOUT: json.dumps(about)}))
        return path


class _BlockTransform(torch.nn.Module):
    """One basis as two matrices. Blocks lie as the pictures do, so each way is one copy and one product."""

    def __init__(self, basis: BlockBasis) -> None:
        super().__init__()
        self.frames, self.side_px = basis.frames, basis.side_px
        matrices = (*basis.analysis(), *basis.synthesis())
        for name, value in zip(("encode_CP", "encode_C", "decode_PC", "decode_P"), matrices, strict=True):
            self.register_buffer(name, value.float(), persistent=False)

    encode_CP: Tensor
    encode_C: Tensor
    decode_PC: Tensor
    decode_P: Tensor

    def encode(self, video_BCTHW: Tensor) -> Tensor:
        blocks_BTHWP = self._by_block(video_BCTHW).permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4)
        return F.linear(blocks_BTHWP, self.encode_CP, self.encode_C).permute(0, 4, 1, 2, 3)

    def decode_into(self, video_BCTHW: Tensor, latents_BCTHW: Tensor) -> None:
        blocks_BTHWP = F.linear(latents_BCTHW.permute(0, 2, 3, 4, 1), self.decode_PC, self.decode_P)
        blocks = blocks_BTHWP.unflatten(4, (3, self.frames, self.side_px, self.side_px))
        self._by_block(video_BCTHW).copy_(blocks.permute(0, 4, 1, 5, 2, 6, 3, 7))

    def _by_block(self, video_BCTHW: Tensor) -> Tensor:
        """A view of the pictures with axes batch, colour, block and frame, block and row, block and column."""
        side = (-1, self.side_px)
        view: Tensor = video_BCTHW.unflatten(4, side).unflatten(3, side).unflatten(2, (-1, self.frames))
        return view


def frequency_codec(stride_frames: int, stride_px: int, channels: int) -> LinearCodec:
    """The codec before anything was seen: the lowest frequencies of a 3-D DCT, with the power of talking heads."""
    first, later = (BlockMoments(frames, stride_px, channels, 1.0) for frames in (1, stride_frames))
    return LinearCodec(LinearBasis.of(first, later))


def load_linear(folder: Path) -> LinearCodec:
    """Read the codec of a checkpoint folder; VividHeadError names a file that is missing, cut short or another."""
    path = folder / FOLDER / FILE
    if not path.is_file():
        raise VividHeadError(
            f"{path} is not there: nano's linear video codec, fitted on the clips that a model is trained on "
            "(a few MB, nothing to download). A trained checkpoint holds one; --random-weights does without"
        )
    try:
        with safe_open(path, "pt") as file:
            about = (file.metadata() or {}).get(_ABOUT, "")
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as fault:
        raise VividHeadError(f"{path} is cut short or no safetensors file: {fault}") from fault
    return LinearCodec(_basis_of(path, about, tensors))


def _basis_of(path: Path, about: str, tensors: dict[str, Tensor]) -> LinearBasis:
    """The basis that the file's tensors make; whatever is not as `save` writes it is refused."""
    try:
        told = json.loads(about)
        version, frames, side, channels, blocks = (
            int(told[key]) for key in ("version", "stride_frames", "stride_px", "channels", "blocks")
        )
    except (ValueError, KeyError, TypeError) as fault:
        raise VividHeadError(f"{path} holds no linear video codec: its metadata does not say so") from fault
    if version != _VERSION:
        raise VividHeadError(f"{path} is a linear codec of version {version}, this vividhead reads {_VERSION}")
    wanted = {
        f"{part}.{name}": shape
        for part, values in (("first", 3 * side**2), ("later", 3 * frames * side**2))
        for name, shape in (("vectors_CP", (channels, values)), ("mean_P", (values,)), ("scale_C", (channels,)))
    }
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if found != wanted or any(t.dtype != torch.float32 or not t.isfinite().all() for t in tensors.values()):
        raise VividHeadError(f"{path} is damaged: its tensors are not those of strides {frames}, {side} and {channels} "
                             f"channels, finite and float32: {found}")  # fmt: skip
    exact = {name: tensor.double() for name, tensor in tensors.items()}
    parts = []
    for part, length in (("first", 1), ("later", frames)):
        vectors_CP, scale_C = exact[f"{part}.vectors_CP"], exact[f"{part}.scale_C"]
        off = (vectors_CP @ vectors_CP.T - torch.eye(channels, dtype=torch.float64)).abs().max()
        if off > _ORTHONORMAL_TO or scale_C.min() <= 0:
            raise VividHeadError(f"{path} is damaged: {part} is not orthonormal, or a scale is not positive")
        mean_P = exact[f"{part}.mean_P"]
        parts.append(BlockBasis(frames=length, side_px=side, vectors_CP=vectors_CP, mean_P=mean_P, scale_C=scale_C))
    return LinearBasis(first=parts[0], later=parts[1], blocks=blocks)
