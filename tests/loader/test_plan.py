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
        ({"audio_s": 1.0}, r"audio_s 1: a chunk alone lasts 1.32 s"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(change: dict[str, int], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        WindowPlan(**change)  # type: ignore[arg-type]
