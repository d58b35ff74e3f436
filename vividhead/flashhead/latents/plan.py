"""What of a clip is cached: windows on a grid, stills between them, and how many bytes that is.

    frame     0 ...... 8 ..... 16 ..... 24 ..... 32 33 .....
    windows   |============== 0 ===============|              `grid_frames` apart, each of one chunk; the chunks of a
                       |============== 8 ===============|     longer window are windows of their own
    stills     1        9       17       25       33          where a chunk on the grid has just ended

A window's first latent is one picture alone, so windows that begin elsewhere share no latents. A reference may be any
still within a chunk's length of the window: on this grid every window of every clip has one, and most have eight to
choose from. A grid of 8 is the codec's own stride for Lite: windows overlap as they do when training decodes.
"""

from dataclasses import dataclass, replace

from vividhead.errors import UsageError
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.loader import WindowPlan
from vividhead.records import GRID_FPS

BYTES_A_NUMBER = 2
"""Latents are float16: about zero mean and unit deviation, so its ten bits of fraction are better spent than bfloat16's
range. The rounding is at most 2^-11 of a value, an eighth of bfloat16's."""
DEFAULT_GRID = 8
STILL_LATENTS = {"linear": 2, "ltx": 1}
"""Kind of codec → latent frames after which those of a still repeat: LTX pads with the first picture, so all are
alike; the linear codec has one matrix for the first picture and one for the others. Others are stored whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentPlan:
    """Geometry of a cache. Raises UsageError where it makes no sense."""

    frames_per_chunk: int
    new_frames: int
    side_px: int
    latent_frames: int
    latent_side: int
    channels: int
    grid_frames: int
    still_latents: int
    """Latent frames stored of a still; the last stands for the rest."""
    still_frames: int
    """Pictures that a still is repeated to, to encode it."""

    @staticmethod
    def of(config: FlashHeadConfig, stride_frames: int | None = None) -> "LatentPlan":
        """The plan of a configuration, windows `stride_frames` apart (default: 8, or the next number that fits)."""
        new = config.new_frames
        fitting = [step for step in range(1, new + 1) if new % step == 0 and step <= config.stream.frames_per_chunk]
        grid = stride_frames or max(step for step in fitting if step <= DEFAULT_GRID)
        if grid not in fitting:
            raise UsageError(
                f"--stride-frames {grid}: chunks of {config.name} lie {new} frames apart, so that windows of several "
                f"can be read it must be one of {', '.join(map(str, fitting))}"
            )
        stills = min(STILL_LATENTS.get(config.codec.kind, config.latent_frames), config.latent_frames)
        return LatentPlan(
            frames_per_chunk=config.stream.frames_per_chunk,
            new_frames=new,
            side_px=config.stream.side_px,
            latent_frames=config.latent_frames,
            latent_side=config.latent_side,
            channels=config.dit.latent_channels,
            grid_frames=grid,
            still_latents=stills,
            still_frames=1 + (stills - 1) * config.codec.stride_frames,
        )

    def starts(self, n_frames: int) -> range:
        """First frames of a clip's windows; none in one too short for a window and a reference."""
        is_long = n_frames > self.frames_per_chunk
        return range(0, n_frames - self.frames_per_chunk + 1 if is_long else 0, self.grid_frames)

    def stills(self, n_frames: int) -> range:
        """Frames of a clip that a window may refer to."""
        first = self.frames_per_chunk % self.grid_frames
        return range(first, n_frames if self.starts(n_frames) else 0, self.grid_frames)

    def on_grid(self, windows: WindowPlan) -> WindowPlan:
        """The same windows, but such as can be read from the cache."""
        stride = windows.stride if windows.stride % self.grid_frames == 0 else self.grid_frames
        return replace(windows, grid_frames=self.grid_frames, stride_frames=stride)

    @property
    def window_shape(self) -> tuple[int, int, int, int]:
        """C, T, H, W of a window's latents."""
        return self.channels, self.latent_frames, self.latent_side, self.latent_side

    @property
    def still_shape(self) -> tuple[int, int, int, int]:
        """The same of a still."""
        return self.channels, self.still_latents, self.latent_side, self.latent_side

    @property
    def window_bytes(self) -> int:
        """Of a window's latents."""
        return self.channels * self.latent_frames * self.latent_side**2 * BYTES_A_NUMBER

    @property
    def still_bytes(self) -> int:
        """Of a still's."""
        return self.channels * self.still_latents * self.latent_side**2 * BYTES_A_NUMBER

    @property
    def mask_bytes(self) -> int:
        """Of a window's mask, a byte for each latent's place."""
        return self.latent_frames * self.latent_side**2

    @property
    def bytes_an_hour(self) -> int:
        """Of an hour of clips, without ends and headers."""
        each = self.window_bytes + self.mask_bytes + self.still_bytes
        return 3600 * GRID_FPS // self.grid_frames * each
