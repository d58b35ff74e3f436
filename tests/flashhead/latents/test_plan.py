"""What is cached of a clip is enough for every window that training may ask for."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vividhead.errors import UsageError
from vividhead.flashhead.config import load_config
from vividhead.flashhead.held_out import plan_of
from vividhead.flashhead.latents.plan import LatentPlan


@given(
    name=st.sampled_from(["nano", "lite", "pro"]), chunks=st.integers(1, 5), more=st.integers(1, 120), data=st.data()
)
def test_every_chunk_and_reference_of_every_window_is_cached(
    name: str, chunks: int, more: int, data: st.DataObject
) -> None:
    config = load_config(name)
    divisors = [step for step in range(1, config.new_frames + 1) if config.new_frames % step == 0]
    latents = LatentPlan.of(config, data.draw(st.sampled_from(divisors)))
    windows = latents.on_grid(replace(plan_of(config, chunks), stride_frames=config.codec.stride_frames))
    n_frames = windows.window_frames + more
    for start in range(0, more + 1, windows.grid_frames):
        assert {start + k * windows.new_frames for k in range(chunks)} <= set(latents.starts(n_frames))
        references = windows.references(start, n_frames)
        assert references and set(references) <= set(latents.stills(n_frames))


@given(name=st.sampled_from(["nano", "lite", "pro"]), n_frames=st.integers(1, 200))
def test_windows_lie_inside_their_clip_and_a_clip_that_training_leaves_out_has_none(name: str, n_frames: int) -> None:
    config = load_config(name)
    latents = LatentPlan.of(config)
    starts, stills = latents.starts(n_frames), latents.stills(n_frames)
    assert all(start + latents.frames_per_chunk <= n_frames for start in starts)
    assert all(0 <= still < n_frames for still in stills)
    assert bool(starts) == bool(stills) == (n_frames >= plan_of(config, 1).min_clip_frames)


def test_a_stride_that_would_part_chunks_from_the_grid_is_refused_with_those_that_do_not() -> None:
    with pytest.raises(
        UsageError, match="--stride-frames 5: chunks of lite lie 24 frames apart.* 1, 2, 3, 4, 6, 8, 12"
    ):
        LatentPlan.of(load_config("lite"), 5)


@pytest.mark.parametrize(("name", "grid", "gigabytes"), [("nano", 8, 1.30), ("lite", 8, 4.44), ("pro", 7, 31)])
def test_an_hour_takes_as_many_bytes_as_the_documentation_says(name: str, grid: int, gigabytes: float) -> None:
    latents = LatentPlan.of(load_config(name))
    assert latents.grid_frames == grid
    assert latents.bytes_an_hour / 1e9 == pytest.approx(gigabytes, rel=0.01)
