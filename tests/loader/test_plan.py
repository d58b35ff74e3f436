"""The geometry of windows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vividhead.errors import UsageError
from vividhead.loader import WindowPlan

PLANS = st.builds(
    WindowPlan,
    chunks=st.integers(1, 5),
    frames_per_chunk=st.sampled_from([9, 33]),
    motion_frames=st.sampled_from([0, 5, 8]),
    stride_frames=st.none() | st.integers(1, 60),
)


@pytest.mark.parametrize(
    ("motion_frames", "chunks", "window"), [(9, 1, 33), (9, 5, 33 + 24 * 4), (5, 1, 33), (5, 5, 33 + 28 * 4)]
)
def test_windows_are_as_long_as_the_papers(motion_frames: int, chunks: int, window: int) -> None:
    plan = WindowPlan(chunks=chunks, motion_frames=motion_frames)
    assert (plan.window_frames, plan.min_clip_frames, plan.audio_samples) == (window, window + 1, 128_000)


@given(PLANS, st.lists(st.integers(1, 400), min_size=1, max_size=20))
def test_windows_fit_with_every_jitter_and_begin_at_any_frame(plan: WindowPlan, lengths: list[int]) -> None:
    n_frames_N = np.array(lengths, np.int64)
    counts_N, slack_N = plan.counts_N(n_frames_N), plan.slack_N(n_frames_N)
    for n_frames, n_windows, slack in zip(lengths, counts_N, slack_N, strict=True):
        if n_frames < plan.min_clip_frames:
            assert n_windows == 0
            continue
        starts = {jitter + nth * plan.stride for jitter in range(slack + 1) for nth in range(n_windows)}
        assert starts == set(range(n_frames - plan.window_frames + 1)), "all, and none beyond the end"


@given(PLANS, st.integers(1, 400), st.data())
def test_a_reference_is_near_the_window_and_never_in_it(plan: WindowPlan, more: int, data: st.DataObject) -> None:
    n_frames = plan.window_frames + more
    start = data.draw(st.integers(0, more))
    frames = plan.references(start, n_frames)
    assert frames and set(frames) <= set(range(n_frames))
    for frame in frames:
        before, after = start - frame, frame - (start + plan.window_frames - 1)
        assert 0 < max(before, after) <= plan.frames_per_chunk


GRIDS = st.builds(
    lambda motion, chunks, grid, turns: WindowPlan(
        chunks=chunks, motion_frames=motion, grid_frames=grid, stride_frames=turns and grid * turns
    ),
    motion=st.sampled_from([9, 5]),  # 24 and 28 new frames
    chunks=st.integers(1, 5),
    grid=st.sampled_from([1, 2, 4]),
    turns=st.none() | st.integers(1, 9),
) | st.builds(WindowPlan, chunks=st.integers(1, 5), grid_frames=st.sampled_from([3, 6, 8, 12, 24]))


@given(GRIDS, st.integers(1, 300))
def test_on_a_grid_all_its_windows_are_reached_and_each_has_a_reference_on_it(plan: WindowPlan, more: int) -> None:
    n_frames = plan.window_frames + more
    (n_windows,), (slack,) = plan.counts_N(np.array([n_frames])), plan.slack_N(np.array([n_frames]))
    jitters = range(0, slack + 1, plan.grid_frames)
    starts = {int(jitter + nth * plan.stride) for jitter in jitters for nth in range(n_windows)}
    assert starts == set(range(0, more + 1, plan.grid_frames))
    for start in starts:
        assert (frames := plan.references(start, n_frames)), "whatever the clip's length"
        assert {(frame - plan.frames_per_chunk) % plan.grid_frames for frame in frames} == {0}


def test_each_chunks_sound_ends_with_its_last_frame() -> None:
    spans = WindowPlan(chunks=3).sound_spans(10)
    assert [end for _, end in spans] == [(10 + 33) * 640, (10 + 33 + 24) * 640, (10 + 33 + 48) * 640]
    assert {end - start for start, end in spans} == {8 * 16_000}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"chunks": 0}, "chunks 0: at least 1"),
        ({"stride_frames": 0}, "stride_frames 0: at least 1"),
        ({"motion_frames": 33}, r"motion_frames 33: 0 … 32"),
        ({"grid_frames": 5}, r"grid_frames 5: windows lie 24 frames apart and their chunks 24; it must divide both"),
        ({"grid_frames": 16, "stride_frames": 16, "chunks": 2}, "it must divide both"),
        ({"grid_frames": 48, "stride_frames": 48}, "be at most 33"),
        ({"audio_s": 1.0}, r"audio_s 1: a chunk alone lasts 1.32 s"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(change: dict[str, int], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        WindowPlan(**change)  # type: ignore[arg-type]
