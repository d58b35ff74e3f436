import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vividhead.flashhead.model.audio_cache import context_BFWLC, frames_read
from vividhead.flashhead.model.audio_encoders.log_mel import DEVIATION, FLOOR, MEAN, LogMel

ENCODER = LogMel()
SILENCE_BS = torch.zeros(1, 128_000)
NOISE_BS = 0.1 * torch.randn(1, 128_000, generator=torch.Generator().manual_seed(0))


def power_BTJM(features_BTLC: torch.Tensor) -> torch.Tensor:
    """Mel power of each of the four steps."""
    return torch.exp(features_BTLC.unflatten(3, (4, 40))[:, :, 0] * DEVIATION + MEAN)


def moved(before_BTLC: torch.Tensor, after_BTLC: torch.Tensor) -> list[int]:
    return before_BTLC.ne(after_BTLC).flatten(2).any(dim=2)[0].nonzero().flatten().tolist()


@settings(max_examples=40)
@given(st.integers(0, 199), st.sampled_from([0, 1, 159, 399, 400, 401, 639]) | st.integers(0, 639))
def test_an_impulse_moves_its_pictures_feature_and_the_next_from_sample_400_on(frame: int, sample: int) -> None:
    struck_BS = SILENCE_BS.clone()
    struck_BS[0, 640 * frame + sample] = 1
    expected = [frame, frame + 1] if sample >= 400 and frame < 199 else [frame]
    features_BTLC, struck_BTLC = ENCODER.features(SILENCE_BS), ENCODER.features(struck_BS)
    assert moved(features_BTLC, struck_BTLC) == expected
    pictures = moved(context_BFWLC(features_BTLC), context_BFWLC(struck_BTLC))
    assert pictures == [i for i in range(33) if any(abs(167 + i - f) <= 2 for f in expected)]


@settings(max_examples=20)
@given(st.integers(0, 127_999))
def test_an_impulse_amid_noise_moves_nothing_further_away(at: int) -> None:
    struck_BS = NOISE_BS.clone()
    struck_BS[0, at] += 1
    assert set(moved(ENCODER.features(NOISE_BS), ENCODER.features(struck_BS))) <= {at // 640, at // 640 + 1}


def test_a_pictures_feature_is_the_same_wherever_in_the_window_it_lies() -> None:
    late_BTLC = ENCODER.features(NOISE_BS[:, 24 * 640 :])
    torch.testing.assert_close(late_BTLC[:, 1:], ENCODER.features(NOISE_BS)[:, 25:], rtol=0, atol=1e-5)


def test_the_newest_features_alone_are_the_same_numbers() -> None:
    whole_BTLC = ENCODER.features(NOISE_BS)
    assert whole_BTLC.shape == (1, 200, 1, 160)
    for kept in (1, frames_read(), 199, 200):
        torch.testing.assert_close(ENCODER.features(NOISE_BS, kept), whole_BTLC[:, -kept:], rtol=0, atol=1e-5)


def test_a_row_of_a_batch_is_what_it_is_alone() -> None:
    rows_BS = torch.cat((SILENCE_BS, NOISE_BS, 3 * NOISE_BS))
    torch.testing.assert_close(ENCODER.features(rows_BS)[1:2], ENCODER.features(NOISE_BS), rtol=0, atol=1e-5)


def test_silence_is_the_floor_and_a_number() -> None:
    expected = (np.log(FLOOR) - MEAN) / DEVIATION
    torch.testing.assert_close(ENCODER.features(SILENCE_BS), torch.full((1, 200, 1, 160), expected))


@pytest.mark.parametrize("hz", [300.0, 1000.0, 3000.0, 6000.0])
def test_a_tone_is_loudest_in_the_band_around_its_pitch(hz: float) -> None:
    tone_BS = 0.3 * torch.sin(2 * torch.pi * hz * torch.arange(128_000, dtype=torch.float64) / 16_000).float()[None]
    loudest_BTJ = power_BTJM(ENCODER.features(tone_BS)).argmax(dim=3)[:, 1:]
    mel, low, high = (1127 * np.log1p(f / 700) for f in (hz, 60.0, 7600.0))
    band = 41 * (mel - low) / (high - low) - 1  # centres are evenly spaced in mel
    assert (loudest_BTJ - band).abs().max() <= 0.75


def test_white_noise_has_its_own_power_in_every_band_raised_by_the_emphasis() -> None:
    power_M = (power_BTJM(ENCODER.features(NOISE_BS)) - FLOOR).mean(dim=(0, 1, 2))
    mel_M = np.linspace(*(1127 * np.log1p(f / 700) for f in (60.0, 7600.0)), 42)[1:-1]
    omega_M = 2 * np.pi * 700 * np.expm1(mel_M / 1127) / 16_000
    expected_M = 0.1**2 * np.abs(1 - 0.97 * np.exp(-1j * omega_M)) ** 2
    np.testing.assert_allclose(power_M.numpy(), expected_M, rtol=0.15)


def test_the_numbers_of_real_speech_lie_about_zero_with_unit_variance(shared: Path) -> None:
    with wave.open(str(shared / "footage" / "speech_podcast_sichuan_20s.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        audio_S = np.frombuffer(file.readframes(file.getnframes()), np.int16) / np.float32(32768)
    features_BTLC = ENCODER.features(torch.from_numpy(audio_S)[None])
    assert abs(features_BTLC.mean()) < 1
    assert 0.6 < features_BTLC.std() < 1.4


def test_it_has_nothing_to_save_or_to_learn() -> None:
    assert list(ENCODER.parameters()) == []
    assert ENCODER.state_dict() == {}


def test_lower_precision_around_it_changes_nothing() -> None:
    plain_BTLC = ENCODER.features(NOISE_BS)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ENCODER.features(NOISE_BS), plain_BTLC)
