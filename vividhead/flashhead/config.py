"""What a FlashHead is: pipelines/flashhead/*.toml read into typed sections, and the geometry that follows.

`lite` and `pro` have the sizes of the published checkpoints (arXiv 2602.07449; `Model_Lite`, `Model_Pro`); `nano` is
ours, small enough to learn and to speak on a CPU with nothing to download.
"""

from dataclasses import dataclass, fields, is_dataclass
from typing import Literal

from vividhead.flashhead.buckets import HOW, Bucket
from vividhead.flashhead.training_options import Data, Loop, Stage1, Stage2
from vividhead.records import GRID_FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME
from vividhead.settings import Mistakes, filled, options, plain, quantity, read_settings, setting, shipped_names

CONFIGS: Literal["pipelines/flashhead"] = "pipelines/flashhead"
AUDIO_WINDOW_FRAMES = 5
"""Audio features that belong to one picture: its own and two on either side."""
AUDIO_TOKENS = 32
"""Tokens that the audio of one latent frame becomes."""
AUDIO_HIDDEN = 512
"""Width inside the audio projection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dit:
    """The diffusion transformer."""

    dim: int = quantity(1536, "", 8, 16384, "width of a token", multiple_of=2)
    ffn_dim: int = quantity(8960, "", 8, 65536, "width inside a block's feed-forward layer")
    heads: int = quantity(12, "", 1, 256, "attention heads; they divide the width into even parts of 12 or more")
    layers: int = quantity(30, "", 1, 256, "blocks")
    latent_channels: int = quantity(128, "", 1, 1024, "channels of the video codec's latents")
    patch_side: int = quantity(1, "latents", 1, 4, "side of the square of latents that makes a token")
    portrait_prior: bool = setting(False, "the network says what is left of a guess from the portrait, not all (ours)")
    text_width: int = quantity(4096, "", 0, 16384, "of the unused text input that the official files carry; 0: none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """The video codec, pictures to latents and back. One picture makes the first latent frame."""

    kind: str = setting("ltx", "how pictures become latents", choices=("linear", "ltx", "wan"))
    stride_frames: int = quantity(8, "frames", 1, 32, "pictures in a latent frame, but for the first")
    stride_px: int = quantity(32, "px", 1, 128, "side of the square of pixels that makes a latent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    """The audio encoder over the Temporal Audio Context Cache."""

    encoder: str = setting("wav2vec2", "how sound becomes features", choices=("log_mel", "wav2vec2"))
    layers: int = quantity(12, "", 1, 64, "feature layers for each picture")
    width: int = quantity(768, "", 1, 8192, "features in a layer")
    cache_s: float = quantity(8.0, "s", 1.4, 60, "sound that the encoder sees, up to now")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Chunks: what is generated at once, and what it takes over from the chunk before."""

    side_px: int = quantity(512, "px", 16, 2048, "side of the square picture")
    frames_per_chunk: int = quantity(33, "frames", 2, 257, "pictures generated at once, motion frames among them")
    motion_latents: int = quantity(2, "latent frames", 1, 32, "taken over from the chunk before")
    colour_strength: float = quantity(1.0, "", 0, 1, "how far colours are drawn back to the portrait's")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """From noise to latents."""

    steps: int = quantity(4, "", 1, 4, "denoising steps: 1, 2 or 4")
    shift: float = quantity(5.0, "", 0.1, 20, "how far the steps are drawn towards noise")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashHeadConfig:
    """One file of pipelines/flashhead; options that it leaves out have Lite's values."""

    name: str = "lite"
    """Name of the file, without folder and suffix."""
    dit: Dit = Dit()
    codec: Codec = Codec()
    audio: Audio = Audio()
    stream: Stream = Stream()
    sampler: Sampler = Sampler()
    data: Data = Data()
    stage1: Stage1 = Stage1()
    stage2: Stage2 = Stage2()
    loop: Loop = Loop()

    @property
    def latent_frames(self) -> int:
        """Latent frames in a chunk."""
        return 1 + (self.stream.frames_per_chunk - 1) // self.codec.stride_frames

    @property
    def latent_side(self) -> int:
        """Latents along a side of the picture."""
        return self.stream.side_px // self.codec.stride_px

    @property
    def motion_frames(self) -> int:
        """Pictures that a chunk takes over from the one before."""
        return (self.stream.motion_latents - 1) * self.codec.stride_frames + 1

    @property
    def new_frames(self) -> int:
        """Pictures that a chunk adds."""
        return self.stream.frames_per_chunk - self.motion_frames

    @property
    def new_samples(self) -> int:
        """16 kHz samples that belong to the pictures that a chunk adds."""
        return self.new_frames * SAMPLES_PER_FRAME

    @property
    def cache_frames(self) -> int:
        """Pictures as long as the audio cache."""
        return round(self.audio.cache_s * GRID_FPS)

    @property
    def cache_samples(self) -> int:
        """16 kHz samples in the audio cache."""
        return round(self.audio.cache_s * SAMPLE_RATE_HZ)

    @property
    def grid_THW(self) -> tuple[int, int, int]:
        """Latent frames, rows and columns of a chunk."""
        return self.latent_frames, self.latent_side, self.latent_side

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """Shapes of stage 1's batches."""
        own = Bucket(rows_px=self.stream.side_px, columns_px=self.stream.side_px, frames=self.stream.frames_per_chunk)
        named = (Bucket.named(name, own.frames) for name in self.stage1.buckets)
        return tuple(bucket for bucket in named if bucket) or (own,)


def load_config(name_or_path: str) -> FlashHeadConfig:
    """Read a configuration; a bare name is a shipped one, else it is a path. Raises ConfigError with every mistake."""
    path, _, content = read_settings(CONFIGS, name_or_path)
    mistakes = Mistakes()
    config = filled(FlashHeadConfig(name=path.stem), content, "", mistakes)
    if not mistakes.lines:
        _check_geometry(config, mistakes)
    mistakes.raise_any(name_or_path)
    return config


def is_shipped(config: FlashHeadConfig) -> bool:
    """Whether it is what the shipped file of its name says."""
    return config.name in shipped_names(CONFIGS) and load_config(config.name) == config


def as_toml(config: FlashHeadConfig) -> str:
    """The file that `load_config` reads back, each option with its unit, range and meaning."""
    text = "# Each comment gives unit, legal range (both ends included) and meaning.\n"
    for member in fields(config):
        section = getattr(config, member.name)
        if not is_dataclass(section) or isinstance(section, type):
            continue
        doc = (section.__doc__ or "").rstrip(".")
        text += f"\n[{member.name}]  # {doc[0].lower()}{doc[1:]}\n"
        for name, option in options(section).items():
            legal = f"{option.legal}: " if option.legal else ""
            text += f"{name} = {_literal(getattr(section, name))}  # {legal}{option.meaning}\n"
    return text


def _literal(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return plain(value) if isinstance(value, int) else repr(value)


def _check_geometry(config: FlashHeadConfig, mistakes: Mistakes) -> None:
    dit, codec, stream = config.dit, config.codec, config.stream
    if dit.dim % (2 * dit.heads) or dit.dim // dit.heads < 12:
        mistakes.add(
            "dit.heads",
            f"{dit.heads} (Lite's unless given) cannot divide dit.dim {dit.dim} into even parts of 12 or more",
        )
    if stream.side_px % (codec.stride_px * dit.patch_side):
        mistakes.add("stream.side_px", f"{stream.side_px} is no multiple of {codec.stride_px * dit.patch_side}: "
                     "codec.stride_px times dit.patch_side")  # fmt: skip
    if (stream.frames_per_chunk - 1) % codec.stride_frames:
        mistakes.add("stream.frames_per_chunk", f"{stream.frames_per_chunk} is not 1 and a multiple of "
                     f"codec.stride_frames {codec.stride_frames}")  # fmt: skip
    if codec.stride_frames < 2:
        mistakes.add("codec.stride_frames", "1 leaves no first and last picture of a latent frame: 2 or more")
    if stream.motion_latents >= config.latent_frames:
        mistakes.add("stream.motion_latents", f"{stream.motion_latents} leave nothing new of {config.latent_frames}")
    if config.cache_frames < stream.frames_per_chunk + AUDIO_WINDOW_FRAMES // 2:
        mistakes.add("audio.cache_s", f"{config.audio.cache_s} is shorter than a chunk and its audio window")
    if config.cache_samples != config.cache_frames * SAMPLES_PER_FRAME:
        mistakes.add("audio.cache_s", f"{config.audio.cache_s} holds no whole number of pictures of 0.04 s")
    if config.stage2.least_t >= config.stage2.greatest_t:
        mistakes.add("stage2.least_t", f"{config.stage2.least_t} is not below greatest_t {config.stage2.greatest_t}")
    for name in config.stage1.buckets:
        bucket = Bucket.named(name, stream.frames_per_chunk)
        why = f"a shape is written {HOW}" if bucket is None else bucket.fault(
            side_px=stream.side_px, step_px=codec.stride_px * dit.patch_side, frames=stream.frames_per_chunk,
            stride_frames=codec.stride_frames, motion_latents=stream.motion_latents,
        )  # fmt: skip
        if why:
            mistakes.add("stage1.buckets", f"cannot hold {name!r}: {why}")
    if config.sampler.steps == 3:
        mistakes.add("sampler.steps", "cannot be 3: 1, 2 or 4")
