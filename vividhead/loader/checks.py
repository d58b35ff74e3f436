"""What is refused before the first window is read."""

import tomllib
from typing import TYPE_CHECKING

import torch

from vividhead.errors import DatasetError, UsageError
from vividhead.loader.folder import Folder
from vividhead.loader.plan import WindowPlan
from vividhead.pipeline import Pack
from vividhead.records import GRID_FPS

if TYPE_CHECKING:
    import pyarrow


def place_among_ranks(rank: int | None, world: int | None) -> tuple[int, int]:
    """Rank and number of ranks: as given, else those of torch.distributed, else the only one."""
    if (rank is None) != (world is None):
        raise UsageError("rank and world are given together, or neither: then those of torch.distributed are taken")
    if rank is None or world is None:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        return (torch.distributed.get_rank(), torch.distributed.get_world_size()) if distributed else (0, 1)
    if not 0 <= rank < world:
        raise UsageError(f"rank {rank} of {world}: ranks are 0 … world - 1")
    return rank, world


def packed_side_px(folder: Folder) -> int:
    """Side of the pictures in the shards, as the pipeline that made them says."""
    try:
        options = tomllib.loads(folder.run()["pipeline"]["text"]).get("pack", {})
        return int(options.get("side_px", Pack().side_px))
    except (KeyError, tomllib.TOMLDecodeError) as fault:
        raise DatasetError(f"{folder.where}/run.toml is damaged: it holds no pipeline") from fault


def check_side(side_px: int, packed_side_px: int, where: str) -> None:
    """Refuse pictures that no clip can give."""
    if side_px < 16 or side_px % 2:
        raise UsageError(f"side_px {side_px}: an even number from 16 up is needed")
    if side_px > packed_side_px:
        raise UsageError(
            f"side_px {side_px}: the clips of {where} are {packed_side_px} px wide, and enlarging adds nothing; take "
            f"{packed_side_px} or less, or pack anew with pack.side_px = {side_px} in the pipeline"
        )


def long_enough(rows: "pyarrow.Table", plan: WindowPlan) -> "tuple[pyarrow.Table, int]":
    """The rows of clips that hold a window and a reference, and how many do not."""
    n_frames_N = rows["n_frames"].to_numpy()
    is_long_N = n_frames_N >= plan.min_clip_frames
    if not is_long_N.any():
        raise UsageError(
            f"no clip is long enough: windows of {plan.window_frames} frames and a reference outside need "
            f"{plan.min_clip_frames} ({plan.min_clip_frames / GRID_FPS:g} s), the longest of {len(rows)} has "
            f"{n_frames_N.max()} ({n_frames_N.max() / GRID_FPS:g} s); {_ways_out(plan, int(n_frames_N.max()))}"
        )
    return rows.filter(is_long_N), int((~is_long_N).sum())


def _ways_out(plan: WindowPlan, longest_frames: int) -> str:
    """What would fit the longest clip."""
    chunks = (longest_frames - 1 - plan.frames_per_chunk) // plan.new_frames + 1
    fewer = f"take {chunks} or fewer chunks (stage2.chunks), or " if 0 < chunks < plan.chunks else ""
    return f"{fewer}curate longer clips"
