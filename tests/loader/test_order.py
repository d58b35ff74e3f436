"""The order of windows: whole, mixed in bounded blocks, and the same for any number of ranks and workers."""

from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vividhead.loader.order import Chosen, Order, share
from vividhead.loader.plan import WindowPlan

PLAN = WindowPlan()


def chosen(lengths: list[int], per_shard: int = 3, bytes_a_frame: int = 1000) -> Chosen:
    n_frames_N = np.array(lengths, np.int64)
    return Chosen(
        clip_ids=tuple(f"{clip:020x}" for clip in range(len(lengths))),
        shards=tuple(f"train-{clip // per_shard:06d}.tar" for clip in range(len(lengths))),
        n_frames_N=n_frames_N,
        bytes_N=n_frames_N * bytes_a_frame,
    )


def epoch_of(order: Order, epoch: int) -> list[tuple[int, int]]:
    """(clip, start_frame) of each of an epoch's windows, in order."""
    first = epoch * order.n_windows
    windows = [order.window(first + place) for place in range(order.n_windows)]
    assert {window.epoch for window in windows} == {epoch}
    return [(window.clip, window.start_frame) for window in windows]


LENGTHS = st.lists(st.integers(PLAN.min_clip_frames, 300), min_size=1, max_size=12)


@given(LENGTHS, st.integers(0, 9), st.integers(0, 5), st.none() | st.integers(1, 2_000_000))
def test_an_epoch_holds_every_window_once(lengths: list[int], seed: int, epoch: int, limit: int | None) -> None:
    windows = epoch_of(Order(chosen(lengths), PLAN, seed, limit), epoch)
    for clip, n_frames in enumerate(lengths):
        starts = sorted(start for c, start in windows if c == clip)
        assert len(starts) == PLAN.counts_N(np.array([n_frames]))[0]
        assert all(b - a == PLAN.stride for a, b in pairwise(starts))
        assert starts[0] >= 0 and starts[-1] + PLAN.window_frames <= n_frames


def test_the_order_is_the_seeds_and_the_epochs() -> None:
    clips = chosen([200] * 9)
    orders = [epoch_of(Order(clips, PLAN, seed, None), epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert orders[0] == epoch_of(Order(clips, PLAN, 0, None), 0)
    assert len({tuple(order) for order in orders}) == 4
    jitters = [{clip: start % PLAN.stride for clip, start in order} for order in orders]
    assert jitters[0] != jitters[1], "windows begin elsewhere in another epoch"
    assert len(set(jitters[0].values())) > 1, "and differently in each clip"


def test_on_a_grid_windows_begin_at_its_multiples_and_others_in_each_epoch() -> None:
    plan = WindowPlan(grid_frames=8)
    orders = [epoch_of(Order(chosen([200] * 9), plan, 0, None), epoch) for epoch in (0, 1)]
    assert {start % 8 for order in orders for _, start in order} == {0}
    assert len({start for _, start in orders[0]}) > 12, "not the same in each clip"
    assert sorted(orders[0]) != sorted(orders[1])


def test_the_order_is_pinned() -> None:
    """A saved position means nothing once the same seed comes to mean another order: then raise ORDER_VERSION."""
    order = Order(chosen([40, 80, 120, 160]), PLAN, 7, 200_000)
    pinned = [(1, 36), (1, 12), (0, 4), (2, 56), (2, 32), (2, 80), (3, 55), (3, 103), (3, 79), (3, 127), (3, 31)]
    assert epoch_of(order, 0) == pinned


@given(LENGTHS, st.integers(0, 5), st.integers(40_000, 2_000_000))
def test_a_block_holds_no_more_bytes_than_asked_or_a_single_clip(lengths: list[int], seed: int, limit: int) -> None:
    order = Order(chosen(lengths), PLAN, seed, limit)
    largest = max(lengths) * 1000
    sizes = order.block_bytes(0)
    assert sum(sizes) == sum(lengths) * 1000
    assert max(sizes) <= max(limit, largest)
    assert all(a + b > limit for a, b in pairwise(sizes)), "nor fewer than could be"


@given(LENGTHS, st.integers(0, 5), st.integers(40_000, 2_000_000))
def test_reading_in_order_never_goes_back_to_an_earlier_block(lengths: list[int], seed: int, limit: int) -> None:
    order = Order(chosen(lengths), PLAN, seed, limit)
    clips = [clip for clip, _ in epoch_of(order, 0)]
    seen_last = {clip: at for at, clip in enumerate(clips)}
    open_bytes = [sum(lengths[c] * 1000 for c in set(clips[: at + 1]) if seen_last[c] > at) for at in range(len(clips))]
    assert max(open_bytes) <= max(limit, max(lengths) * 1000)


def test_only_the_orders_of_epochs_under_way_are_kept() -> None:
    order = Order(chosen([100, 200]), PLAN, 0, None)
    for epoch in range(5):
        order.window(epoch * order.n_windows)
    assert sorted(order._epochs) == [3, 4]


def test_within_a_block_the_windows_of_clips_are_mixed() -> None:
    clips = [clip for clip, _ in epoch_of(Order(chosen([300] * 20), PLAN, 0, None), 0)]
    assert sum(a != b for a, b in pairwise(clips)) > len(clips) * 0.8


def test_every_frame_may_come_to_be_a_reference() -> None:
    order = Order(chosen([100]), PLAN, 0, None)
    drawn = {order.reference_frame(order.window(position)) for position in range(2000)}
    assert drawn == set(range(100))


@settings(max_examples=200)
@given(
    first=st.integers(0, 1000),
    length=st.none() | st.integers(0, 200),
    world=st.integers(1, 5),
    workers=st.integers(1, 4),
    batch=st.integers(1, 6),
)
def test_shares_part_the_positions_without_loss_or_doubles(
    first: int, length: int | None, world: int, workers: int, batch: int
) -> None:
    end = None if length is None else first + length
    shares = [
        share(first, end, rank=rank, world=world, worker=worker, workers=workers, batch=batch)
        for rank in range(world)
        for worker in range(workers)
    ]
    most = 3 * batch if end is None else None
    read = sorted(position for mine in shares for position in islice(mine, most))
    assert read == list(range(first, first + 3 * batch * world * workers if end is None else end))


@pytest.mark.parametrize("n_clips", [1, 2000])
def test_a_position_is_found_without_going_through_those_before_it(n_clips: int) -> None:
    order = Order(chosen([300] * n_clips), PLAN, 0, 10_000_000)
    far = Order(chosen([300] * n_clips), PLAN, 0, 10_000_000)
    position = 1000 * order.n_windows + order.n_windows // 2
    assert order.window(position) == far.window(position)
    assert far.window(position).epoch == 1000
