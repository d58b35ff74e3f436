import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vividhead.flashhead.model.audio_cache import (
    TemporalAudioContextCache,
    context_BFWLC,
    frames_read,
    window_ending_at,
)

SHORT_S = 0.08
SHORT = 1280
"""Samples in a cache short enough that pushes larger than it are cheap."""

pushes = st.lists(st.integers(0, 3 * SHORT), max_size=8)
"""Sizes of pushes in a row; some larger than the cache, some empty."""


def sound(samples: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-1, 1, samples).astype(np.float32)


def pushed(audio_S: NDArray[np.float32], sizes: list[int]) -> TemporalAudioContextCache:
    cache = TemporalAudioContextCache(SHORT_S)
    for piece_S in np.split(audio_S, np.cumsum(sizes)):
        cache.push(piece_S)
    return cache


@given(pushes)
def test_however_sound_is_cut_into_pushes_the_window_is_its_last_seconds_with_zeros_before(sizes: list[int]) -> None:
    audio_S = sound(sum(sizes))
    expected_S = np.concatenate((np.zeros(SHORT, np.float32), audio_S))[-SHORT:]
    cut = pushed(audio_S, sizes)
    assert cut.n_samples == pushed(audio_S, []).n_samples == sum(sizes)
    np.testing.assert_array_equal(cut.window_S(), expected_S)
    np.testing.assert_array_equal(pushed(audio_S, []).window_S(), expected_S)
    np.testing.assert_array_equal(window_ending_at(audio_S, sum(sizes), SHORT_S), expected_S)


@given(st.lists(st.integers(1, SHORT), min_size=1, max_size=8))
def test_training_windows_are_those_a_stream_has_on_its_way(sizes: list[int]) -> None:
    audio_S, cache, heard = sound(sum(sizes)), TemporalAudioContextCache(SHORT_S), 0
    for size in sizes:
        cache.push(audio_S[heard : heard + size])
        heard += size
        np.testing.assert_array_equal(cache.window_S(), window_ending_at(audio_S, heard, SHORT_S))


@given(pushes, pushes, pushes)
def test_a_stream_put_back_to_a_copy_goes_on_as_if_the_rest_had_never_been(
    before: list[int], dropped: list[int], after: list[int]
) -> None:
    cache = pushed(sound(sum(before)), before)
    remembered = cache.copy()
    for size in dropped:
        cache.push(sound(size, seed=1))
    for size in after:
        remembered.push(sound(size, seed=2))
    told = np.concatenate([sound(sum(before)), *(sound(size, seed=2) for size in after)])
    assert remembered.n_samples == len(told)
    np.testing.assert_array_equal(remembered.window_S(), window_ending_at(told, len(told), SHORT_S))


def test_a_new_cache_holds_eight_seconds_of_silence() -> None:
    cache = TemporalAudioContextCache()
    assert cache.n_samples == 0
    np.testing.assert_array_equal(cache.window_S(), np.zeros(128_000, np.float32))


def test_a_window_is_the_callers_own() -> None:
    cache = pushed(sound(SHORT), [])
    window_S = cache.window_S()
    window_S[:] = 9
    np.testing.assert_array_equal(cache.window_S(), sound(SHORT))


def test_a_window_is_written_where_the_caller_wants_it() -> None:
    pinned = torch.full((SHORT,), 9.0)
    window_S = pushed(sound(3000), [100]).window_S(pinned.numpy())
    assert np.shares_memory(window_S, pinned.numpy())
    np.testing.assert_array_equal(pinned.numpy(), sound(3000)[-SHORT:])


def test_doubles_are_taken_as_floats() -> None:
    cache = TemporalAudioContextCache(SHORT_S)
    cache.push(np.full(3, 0.1))
    assert cache.window_S().dtype == np.float32
    np.testing.assert_array_equal(cache.window_S()[-3:], np.full(3, 0.1, np.float32))


@pytest.mark.parametrize("wrong", [np.zeros(640, np.int16), np.zeros((640, 2), np.float32)])
def test_what_is_not_one_channel_of_floats_is_refused(wrong: NDArray[np.float32]) -> None:
    with pytest.raises(AssertionError, match="one axis of floats"):
        TemporalAudioContextCache(SHORT_S).push(wrong)


@pytest.mark.parametrize("end", [-1, 1001])
def test_a_window_cannot_end_outside_the_clip(end: int) -> None:
    with pytest.raises(AssertionError, match="of 1000"):
        window_ending_at(sound(1000), end, SHORT_S)


def test_memory_does_not_grow_with_what_was_heard() -> None:
    cache, piece_S = TemporalAudioContextCache(), sound(15_360)
    cache.push(piece_S)
    tracemalloc.start()
    for _ in range(1000):  # 16 minutes
        cache.push(piece_S)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert cache.n_samples == 1001 * 15_360
    assert grown < 10_000


def test_a_pictures_context_is_its_feature_and_two_on_either_side_held_at_the_newest() -> None:
    numbers_BTLC = torch.arange(200.0).reshape(1, 200, 1, 1)
    context_BFW = context_BFWLC(numbers_BTLC)[..., 0, 0]
    assert context_BFW.shape == (1, 33, 5)
    assert context_BFW[0, 0].tolist() == [165, 166, 167, 168, 169]
    assert context_BFW[0, 30].tolist() == [195, 196, 197, 198, 199]
    assert context_BFW[0, 31].tolist() == [196, 197, 198, 199, 199]
    assert context_BFW[0, 32].tolist() == [197, 198, 199, 199, 199]


def test_a_context_longer_than_what_there_is_is_held_at_the_oldest_too() -> None:
    context_BFW = context_BFWLC(torch.arange(3.0).reshape(1, 3, 1, 1), frames=3)[..., 0, 0]
    assert context_BFW[0].tolist() == [[0, 0, 0, 1, 2], [0, 0, 1, 2, 2], [0, 1, 2, 2, 2]]


def test_an_impulse_in_a_feature_moves_the_contexts_of_two_pictures_on_either_side_and_no_others() -> None:
    feature_of_row_BTLC = torch.eye(200).reshape(200, 200, 1, 1)
    moved_BF = context_BFWLC(feature_of_row_BTLC).flatten(2).ne(0).any(dim=2)
    distance_BF = (torch.arange(167, 200) - torch.arange(200)[:, None]).abs()
    assert torch.equal(moved_BF, distance_BF <= 2)


def test_layers_and_channels_and_rows_stay_where_they_are() -> None:
    features_BTLC = torch.randn(2, 200, 3, 4, generator=torch.Generator().manual_seed(0))
    context = context_BFWLC(features_BTLC)
    assert context.shape == (2, 33, 5, 3, 4)
    assert torch.equal(context[:, :, 2], features_BTLC[:, 167:])


def test_only_the_newest_features_are_read() -> None:
    features_BTLC = torch.randn(1, 200, 2, 3, generator=torch.Generator().manual_seed(0))
    assert frames_read() == 35
    assert torch.equal(context_BFWLC(features_BTLC[:, -frames_read() :]), context_BFWLC(features_BTLC))
