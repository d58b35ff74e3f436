"""Which frames and samples of a clip make a training window.

    clip     |0 ........................................................ n_frames|
    window              |--------- frames_per_chunk --------|                        stage 1: one chunk
                                                 |-motion_frames-|
    stage 2             |------ chunk 0 ------|
                                       |------ chunk 1 ------| … chunks, each on the last motion_frames of the other
    sound    |=== audio_s, up to the end of the chunk; zeros before the clip ===|    one stretch for each chunk
    reference   ^ one frame, at most frames_per_chunk before or after the window, never in it

Windows of a clip lie `stride_frames` apart, all shifted by one jitter that is drawn anew each epoch. On a grid (of
cached latents, say) windows begin at multiples of `grid_frames`, and references lie where a chunk on the grid has just
ended, so that every window has one:

    start       0   8   16   24   32   40   48          grid_frames 8, chunks of 33
    reference    1   9   17   25   33   41   49
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vividhead.errors import UsageError
from vividhead.records import GRID_FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowPlan:
    """Geometry of training windows, in frames of 25 per second. Raises UsageError where it makes no sense."""

    chunks: int = 1
    """Consecutive chunks in a window: 1 in stage 1, 5 in stage 2."""
    frames_per_chunk: int = 33
    """Frames that the generator sees at once."""
    motion_frames: int = 9
    """Frames that a chunk shares with the one before: 9 for lite and nano, 5 for pro."""
    audio_s: float = 8.0
    """Sound for each chunk, up to its end."""
    stride_frames: int | None = None
    """From one window of a clip to the next; None: as many frames as a window adds to the one before it."""
    grid_frames: int = 1
    """Windows begin at multiples of it. 1: at any frame."""

    def __post_init__(self) -> None:
        """Refuse what no window can be made of."""
        for name in ("chunks", "frames_per_chunk", "stride_frames", "grid_frames"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} {value}: at least 1 is needed")
        if not 0 <= self.motion_frames < self.frames_per_chunk:
            raise UsageError(f"motion_frames {self.motion_frames}: 0 … {self.frames_per_chunk - 1} are possible")
        if self.audio_s * GRID_FPS < self.frames_per_chunk:
            raise UsageError(f"audio_s {self.audio_s:g}: a chunk alone lasts {self.frames_per_chunk / GRID_FPS:g} s")
        off_grid = self.stride % self.grid_frames or (self.chunks - 1) * self.new_frames % self.grid_frames
        if off_grid or self.grid_frames > self.frames_per_chunk:
            raise UsageError(
                f"grid_frames {self.grid_frames}: windows lie {self.stride} frames apart and their chunks "
                f"{self.new_frames}; it must divide both, and be at most {self.frames_per_chunk}"
            )

    @property
    def new_frames(self) -> int:
        """Frames that a chunk adds to the one before it."""
        return self.frames_per_chunk - self.motion_frames

    @property
    def window_frames(self) -> int:
        return self.frames_per_chunk + (self.chunks - 1) * self.new_frames

    @property
    def audio_samples(self) -> int:
        return round(self.audio_s * SAMPLE_RATE_HZ)

    @property
    def stride(self) -> int:
        return self.stride_frames or self.chunks * self.new_frames

    @property
    def min_clip_frames(self) -> int:
        """The window, and a frame outside it to refer to."""
        return self.window_frames + 1

    def counts_N(self, n_frames_N: NDArray[np.int64]) -> NDArray[np.int64]:
        """Windows in clips of these lengths, the same in every epoch; 0 in clips that are too short.

        One fewer than would fit in a row where that leaves less than a stride for the jitter: so a window can begin
        at any frame.
        """
        starts_N = n_frames_N - self.window_frames + 1
        fitting_N = np.maximum(1, starts_N // self.stride)
        return np.where(n_frames_N < self.min_clip_frames, 0, fitting_N)

    def slack_N(self, n_frames_N: NDArray[np.int64]) -> NDArray[np.int64]:
        """Largest jitter of clips that are long enough, in frames; a multiple of the grid."""
        slack_N = n_frames_N - self.window_frames - (self.counts_N(n_frames_N) - 1) * self.stride
        return slack_N // self.grid_frames * self.grid_frames

    def references(self, start_frame: int, n_frames: int) -> list[int]:
        """Frames that a window beginning at `start_frame` may refer to."""
        end, reach = start_frame + self.window_frames, self.frames_per_chunk
        near = (*range(max(0, start_frame - reach), start_frame), *range(end, min(n_frames, end + reach)))
        return [frame for frame in near if (frame - reach) % self.grid_frames == 0]

    def sound_spans(self, start_frame: int) -> list[tuple[int, int]]:
        """For each chunk its samples in the clip, `[start, end)`; a negative start stands for zeros."""
        first_end = start_frame + self.frames_per_chunk
        ends = ((first_end + chunk * self.new_frames) * SAMPLES_PER_FRAME for chunk in range(self.chunks))
        return [(end - self.audio_samples, end) for end in ends]
