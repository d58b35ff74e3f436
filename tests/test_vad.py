"""From probabilities to stretches of speech, and the model on sounds that are none."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vividhead.vad as room
from vividhead.records import SAMPLE_RATE_HZ
from vividhead.vad import MIN_PAUSE_S, WINDOW, speech_probabilities, speech_spans_s

STEP_S = WINDOW / SAMPLE_RATE_HZ


def spans(probabilities: Sequence[float], threshold: float = 0.5, least_s: float = 0.0) -> list[tuple[float, float]]:
    """The stretches of speech where the model says this of each 32 ms."""
    audio_S = np.zeros(len(probabilities) * WINDOW, np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "speech_probabilities", lambda audio_S: np.array(probabilities, np.float32))
        return list(speech_spans_s(audio_S, threshold, least_s))


def windows(*edges: int) -> list[tuple[float, float]]:
    """Stretches given by window numbers."""
    return [(round(a * STEP_S, 3), round(b * STEP_S, 3)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def test_speech_is_where_the_probability_reaches_the_threshold() -> None:
    assert spans([0, 0, 0.5, 0.9, 0, 0, 0, 0, 0.9, 0]) == windows(2, 4, 8, 9)


def test_speech_goes_on_until_the_probability_has_clearly_fallen() -> None:
    assert spans([0.9, 0.4, 0.4, 0.4, 0.4, 0.36, 0.34, 0.4, 0.4, 0]) == windows(0, 6)


def test_a_pause_shorter_than_a_tenth_of_a_second_does_not_divide() -> None:
    assert MIN_PAUSE_S == 0.1
    assert spans([0.9, 0, 0, 0, 0.9, 0]) == windows(0, 5)
    assert spans([0.9, 0, 0, 0, 0, 0.9, 0]) == windows(0, 1, 5, 6)


def test_bursts_that_are_too_short_are_left_out() -> None:
    assert spans([0.9, 0, 0, 0, 0, 0.9, 0.9, 0.9], least_s=0.07) == windows(5, 8)


@given(st.lists(st.floats(0, 1, width=32), max_size=60), st.floats(0.2, 0.9), st.floats(0, 0.3))
def test_stretches_are_in_order_apart_inside_and_hold_every_window_above_the_threshold(
    probabilities: list[float], threshold: float, least_s: float
) -> None:
    found = spans(probabilities, threshold, least_s)
    edges = [edge for span in found for edge in span]
    assert edges == sorted(edges)
    assert all(0 <= a < b <= round(len(probabilities) * STEP_S, 3) for a, b in found)
    assert all(b - a >= MIN_PAUSE_S - 0.002 for (_, a), (b, _) in itertools.pairwise(found))
    if least_s < STEP_S:
        loud = [at * STEP_S for at, p in enumerate(np.float32(probabilities)) if p >= threshold]
        assert all(any(a - 0.001 <= at < b for a, b in found) for at in loud)


def test_the_last_window_ends_with_the_sound() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "speech_probabilities", lambda audio_S: np.array([0.9, 0.9], np.float32))
        assert speech_spans_s(np.zeros(WINDOW + 160, np.float32), 0.5, 0.0) == [(0.0, 0.042)]


def test_no_sound_is_no_speech() -> None:
    assert list(speech_spans_s(np.zeros(0, np.float32), 0.5, 0.0)) == []


def test_the_model_hears_no_speech_in_silence_hum_or_noise() -> None:
    t = np.arange(2 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    noise = np.random.default_rng(0).normal(0, 0.05, len(t))
    for sound in (np.zeros(len(t)), 0.3 * np.sin(2 * np.pi * 100 * t), noise):
        probabilities = speech_probabilities(sound.astype(np.float32))
        assert len(probabilities) == -(-len(t) // WINDOW)
        assert probabilities.max() < 0.5


def test_a_probability_stands_for_each_begun_window_and_hangs_on_what_was_before_only() -> None:
    sound = np.random.default_rng(1).normal(0, 0.1, 20 * WINDOW + 1).astype(np.float32)
    whole = speech_probabilities(sound)
    assert len(whole) == 21
    assert speech_probabilities(sound[: 10 * WINDOW]) == pytest.approx(whole[:10], abs=1e-5)
