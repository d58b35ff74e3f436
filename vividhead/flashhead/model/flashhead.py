"""A whole FlashHead: transformer, video codec and audio encoder of one configuration, and where they came from."""

from dataclasses import dataclass
from pathlib import Path

import torch

from vividhead.errors import UsageError
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.model.audio_encoders import AudioEncoder, load_audio_encoder, random_audio_encoder
from vividhead.flashhead.model.checkpoint import config_in, dit_file, import_dit
from vividhead.flashhead.model.codecs import VideoCodec, load_codec, random_codec
from vividhead.flashhead.model.dit import Dit
from vividhead.flashhead.model.fresh import initialise

BATCH_SIZES = 64
"""Shapes that torch may compile a function for; beyond its own limit of 8 it would silently go on uncompiled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashHead:
    """A model ready to generate."""

    config: FlashHeadConfig
    dit: Dit
    codec: VideoCodec
    audio: AudioEncoder
    checkpoint_sha256: str | None = None
    """Digest of the transformer's file; None for random weights."""

    @property
    def random_weights(self) -> bool:
        """Whether nobody has trained this model."""
        return self.checkpoint_sha256 is None

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.dit.patch_embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of its latents."""
        return self.dit.patch_embedding.weight.dtype


def default_device() -> str:
    """The first GPU, or the CPU where there is none."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def usable_device(asked: str | None) -> str:
    """The device that is asked for, or the default; raises UsageError for a GPU that is not there."""
    if asked is not None and asked.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError(f"device {asked}: PyTorch {torch.__version__} sees no GPU here; cpu works everywhere")
    return asked or default_device()


def load_flashhead(folder: str | Path, name: str | None = None, device: str | None = None) -> FlashHead:
    """Read a checkpoint folder (`Model_Nano/`, `Model_Lite/` or `Model_Pro/`, and what goes with it).

    `name` picks a model where the folder holds several. Computes in bfloat16 on a GPU and in float32 on a CPU.
    Raises VividHeadError naming the file that is missing, cut short or of another model.
    """
    folder = Path(folder)
    config, where = config_in(folder, name), usable_device(device)
    dit_file(folder, config)  # a look at its header; it is read last, when nothing else is missing
    audio, codec = load_audio_encoder(config, folder), load_codec(config, folder)
    dit, digest = import_dit(folder, config)
    return _ready(config, dit, codec, audio, digest, where)


def random_flashhead(config: FlashHeadConfig, seed: int = 0, device: str | None = None) -> FlashHead:
    """A model of the real shapes that nobody has trained: for trials and for measuring speed."""
    where = usable_device(device)
    audio, codec = random_audio_encoder(config, seed), random_codec(config, seed)
    return _ready(config, initialise(Dit(config), seed), codec, audio, None, where)


def compiled(model: FlashHead) -> FlashHead:
    """The same model with its blocks and its codec compiled by torch: faster after minutes at the first chunk.

    Kernels are kept on disk by torch (TORCHINDUCTOR_CACHE_DIR), so that the next process starts sooner. Numbers differ
    by roundings from those of the model as it is.
    """
    from torch._dynamo import config as dynamo

    dynamo.recompile_limit = max(dynamo.recompile_limit, BATCH_SIZES)
    for block in model.dit.typed_blocks():
        block.compile(mode="max-autotune-no-cudagraphs", dynamic=False)
    for method in ("encode", "decode"):
        fast = torch.compile(getattr(model.codec, method), mode="max-autotune-no-cudagraphs", dynamic=False)
        setattr(model.codec, method, fast)
    return model


def _ready(
    config: FlashHeadConfig, dit: Dit, codec: VideoCodec, audio: AudioEncoder, digest: str | None, where: str
) -> FlashHead:
    """Fused, frozen, on its device, in its precision and layout. The audio encoder stays in float32."""
    dtype = torch.float32 if where == "cpu" else torch.bfloat16
    for module in (codec, audio):
        module.requires_grad_(False).eval()
    return FlashHead(
        config=config,
        dit=dit.for_generation().to(where, dtype),
        codec=codec.to(where, dtype) if where == "cpu" else codec.to(where, dtype).in_channels_last(),
        audio=audio.to(where),
        checkpoint_sha256=digest,
    )
