"""Speech is what it says it is: repeatable, of sane length, with phonemes where the sound is."""

from itertools import pairwise

import numpy as np
import pytest

from vividhead.errors import UsageError
from vividhead.testing import Speech, chords, fitted, speak
from vividhead.testing.speech import _said


def test_the_same_words_give_the_same_samples_whatever_was_said_before(sentence: Speech) -> None:
    _said.cache_clear()
    speak("Something else entirely.")
    again = speak(sentence.text)
    assert np.array_equal(again.samples_S, sentence.samples_S)
    assert again.phonemes == sentence.phonemes


def test_speech_lasts_as_long_as_people_take(sentence: Speech) -> None:
    n_words = len(sentence.text.split())
    assert n_words / 4 < sentence.duration_s < n_words / 1.5


def test_a_slower_speaker_takes_longer() -> None:
    slow, quick = (speak("One after the other.", words_per_minute=rate) for rate in (110, 190))
    assert slow.duration_s > 1.2 * quick.duration_s


def test_phonemes_follow_each_other_and_fill_the_speech(sentence: Speech) -> None:
    edges = [(phoneme.start_s, phoneme.end_s) for phoneme in sentence.phonemes]
    assert all(end == start for (_, end), (start, _) in pairwise(edges))
    assert edges[0][0] < 0.1
    assert edges[-1][1] == pytest.approx(sentence.duration_s, abs=0.01)


def test_vowels_are_louder_than_the_pauses_between_them(sentence: Speech) -> None:
    def level(start_s: float, end_s: float) -> float:
        part_S = sentence.samples_S[int(start_s * sentence.rate_hz) : int(end_s * sentence.rate_hz)]
        return float(np.sqrt(np.mean(part_S**2)))

    stressed = [p for p in sentence.phonemes if p.mnemonic.startswith("'") and p.end_s - p.start_s > 0.05]
    pauses = [p for p in sentence.phonemes if p.mnemonic.startswith("_") and p.end_s - p.start_s > 0.05]
    assert stressed and pauses
    vowel_level = np.median([level(p.start_s, p.end_s) for p in stressed])
    assert vowel_level > 10 * np.median([level(p.start_s + 0.03, p.end_s) for p in pauses])


def test_an_unknown_voice_is_named() -> None:
    with pytest.raises(UsageError, match="no voice 'no-such'"):
        speak("Hello.", voice="no-such")


def test_fitting_moves_sound_by_whole_samples() -> None:
    click_S = np.zeros(10, np.float32)
    click_S[4] = 1
    assert np.flatnonzero(fitted(click_S, 12, shift=3)).tolist() == [7]
    assert np.flatnonzero(fitted(click_S, 6, shift=-3)).tolist() == [1]
    assert not fitted(click_S, 12, shift=-5).any()


def test_chords_last_as_asked_and_never_clip() -> None:
    music_S = chords(2.5, seed=3)
    assert len(music_S) == 40_000
    assert 0.2 < np.abs(music_S).max() < 1
