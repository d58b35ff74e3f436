"""Shapes of stage 1's batches: height, width and pictures of a chunk, one of several for each update."""

import re
from dataclasses import dataclass

_NAME = re.compile(r"(\d+)x(\d+)(?:x(\d+))?")
HOW = 'as "HEIGHTxWIDTH" in pixels or "HEIGHTxWIDTHxFRAMES", such as "512x384" or "512x512x17"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One shape."""

    rows_px: int
    columns_px: int
    frames: int

    @staticmethod
    def named(name: str, frames: int) -> "Bucket | None":
        """The bucket of a name, of `frames` pictures unless it says another number; None for no such name."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        rows_px, columns_px, own = found.groups()
        return Bucket(rows_px=int(rows_px), columns_px=int(columns_px), frames=int(own or frames))

    def fault(self, *, side_px: int, step_px: int, frames: int, stride_frames: int, motion_latents: int) -> str:
        """Why no batch of a model can have this shape, as the rest of a sentence; empty where one can.

        `step_px`: side of a token; `side_px` and `frames`: of the clips and chunks it is cut from.
        """
        for px in (self.rows_px, self.columns_px):
            if px % step_px or not step_px <= px <= side_px:
                return f"{px} px is no multiple of {step_px} up to {side_px}, a token's and the pictures' side"
        latents, rest = divmod(self.frames - 1, stride_frames)
        if rest or not motion_latents <= latents or self.frames > frames:
            least = 1 + motion_latents * stride_frames
            return f"{self.frames} frames are not 1 and a multiple of {stride_frames}, from {least} to {frames}"
        return ""
