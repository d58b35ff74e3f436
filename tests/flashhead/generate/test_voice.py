"""Sound on its way in: utterances, rates, pieces."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vividhead.errors import UsageError
from vividhead.flashhead.generate.voice import Voice


def speech(n_samples: int, rate_hz: int = 16000) -> NDArray[Any]:
    time = np.arange(n_samples) / rate_hz
    return (0.5 * np.sin(2 * np.pi * 220 * time)).astype(np.float32)


def spoken(voice: Voice, count: int = 15360) -> list[NDArray[Any]]:
    taken = []
    while voice.is_ready(count):
        taken.append(voice.first(count))
        voice.drop(taken[-1].size)
    return taken


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 30000), max_size=6), st.sampled_from([8000, 16000, 44100, 48000]))
def test_how_sound_is_cut_into_pushes_does_not_matter(cuts: list[int], rate_hz: int) -> None:
    whole = speech(30000, rate_hz)
    once, pieces = Voice(), Voice()
    once.push(whole, rate_hz)
    for piece in np.split(whole, sorted(cuts)):
        pieces.push(piece, rate_hz)
    for voice in (once, pieces):
        voice.flush()
    assert np.array_equal(np.concatenate(spoken(once)), np.concatenate(spoken(pieces)))


def test_sixteen_kilohertz_passes_sample_by_sample_and_the_last_part_is_short() -> None:
    voice, sound = Voice(), speech(20000)
    voice.push(sound, 16000)
    assert voice.is_ready(15360)
    assert not voice.is_ready(20001)
    voice.flush()
    first, last = spoken(voice)
    assert (first.size, last.size) == (15360, 4640)
    assert np.array_equal(np.concatenate((first, last)), sound)
    assert voice.at_rest


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100, 48000])
def test_a_tone_of_another_rate_keeps_its_length_and_place(rate_hz: int) -> None:
    voice = Voice()
    voice.push(speech(rate_hz * 2, rate_hz), rate_hz)
    voice.flush()
    found = np.concatenate(spoken(voice))
    assert abs(found.size - 32000) <= 2
    middle = slice(2000, 30000)
    assert np.abs(found[middle] - speech(found.size)[middle]).max() < 0.02


def test_sixteen_bit_integers_are_full_scale_at_one() -> None:
    voice = Voice()
    voice.push(np.array([-32768, 0, 16384], np.int16), 16000)
    voice.flush()
    assert spoken(voice)[0].tolist() == [-1.0, 0.0, 0.5]


def test_utterances_do_not_run_into_each_other() -> None:
    voice = Voice()
    for size in (100, 16000):
        voice.push(speech(size), 16000)
        voice.flush()
    assert [part.size for part in spoken(voice)] == [100, 15360, 640]


def test_an_utterance_that_has_begun_is_neither_rest_nor_ready() -> None:
    voice = Voice()
    assert voice.at_rest
    voice.push(speech(100), 16000)
    assert not voice.at_rest
    assert not voice.is_ready(15360)
    voice.clear()
    assert voice.at_rest
    assert voice.n_samples == 0


def test_a_flush_of_nothing_is_no_utterance() -> None:
    voice = Voice()
    voice.flush()
    voice.push(np.zeros(0, np.float32), 48000)
    voice.flush()
    assert voice.at_rest


def test_an_empty_push_begins_no_utterance_and_ends_none() -> None:
    voice = Voice()
    for rate_hz in (16000, 48000):
        voice.push(np.zeros(0, np.float32), rate_hz)
        assert voice.at_rest
    voice.push(speech(100), 16000)
    voice.push(np.zeros(0, np.int16), 48000)
    voice.push(speech(100), 16000)
    voice.flush()
    assert [part.size for part in spoken(voice)] == [200]


def test_another_rate_amid_an_utterance_goes_on_with_it_and_loses_nothing() -> None:
    voice = Voice()
    for rate_hz in (48000, 16000, 44100):
        voice.push(speech(rate_hz, rate_hz), rate_hz)
    assert not voice.is_ready(48000)  # the last filter holds a little back
    for _ in range(2):
        voice.flush()
    (found,) = spoken(voice, 48001)
    assert abs(found.size - 48000) <= 2
    assert voice.at_rest


def test_a_rate_that_cannot_be_read_leaves_the_utterance_as_it_was() -> None:
    voice = Voice()
    voice.push(speech(16000), 16000)
    with pytest.raises(UsageError):
        voice.push(speech(100), 100)
    voice.push(speech(100), 16000)
    voice.flush()
    assert sum(part.size for part in spoken(voice)) == 16100


@pytest.mark.parametrize(
    ("samples", "rate_hz", "says"),
    [
        (np.zeros((2, 10), np.float32), 16000, "mono samples of one axis"),
        (np.full(3, np.nan, np.float32), 16000, "NaN"),
        (np.zeros(3, np.int32), 16000, "float32"),
        (np.zeros(3, np.float32), 100, "100 Hz"),
    ],
)
def test_what_is_no_sound_is_refused(samples: NDArray[Any], rate_hz: int, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Voice().push(samples, rate_hz)
