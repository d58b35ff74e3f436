import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead.records import SAMPLE_RATE_HZ
from vividhead.score import Unmeasurable, loaded_score
from vividhead.testing.media import ArrayClipMedia

N_FRAMES = 76  # not a whole number of the meter's tenths of a second
SECONDS_S = np.arange(N_FRAMES * 640) / SAMPLE_RATE_HZ
SINE_S = np.sin(2 * np.pi * 997 * SECONDS_S).astype(np.float32)


def read(audio_S: NDArray[np.float32]) -> dict[str, float]:
    pictures = np.zeros((N_FRAMES, 8, 8, 3), np.uint8)
    clip = ArrayClipMedia(pictures, box_xyxy_px_T4=np.array([[2, 2, 6, 6]], np.float32), audio_S=audio_S)
    return dict(loaded_score("loudness").measure(clip))


def test_a_full_scale_997_hz_sine_in_one_channel_reads_minus_3_lufs_as_the_standard_says() -> None:
    assert read(SINE_S)["integrated_lufs"] == pytest.approx(-3.01, abs=0.05)


def test_half_the_amplitude_is_6_02_lower_in_loudness_and_peak() -> None:
    full, half = read(SINE_S), read(SINE_S / 2)
    assert full["integrated_lufs"] - half["integrated_lufs"] == pytest.approx(6.02, abs=0.01)
    assert full["peak_dbfs"] - half["peak_dbfs"] == pytest.approx(6.02, abs=0.01)


def test_a_pause_is_gated_out_where_a_plain_mean_would_read_3_lower() -> None:
    paused_S = SINE_S.copy()
    paused_S[: len(paused_S) // 2] = 0
    assert read(paused_S)["integrated_lufs"] == pytest.approx(-3.0, abs=0.6)


@pytest.mark.parametrize("level", [0.0, 1e-5])
def test_silence_is_unmeasurable_not_very_quiet(level: float) -> None:
    with pytest.raises(Unmeasurable) as why:
        read(SINE_S * np.float32(level))
    assert why.value.code == "silent"


def test_runs_at_full_scale_are_clipping_and_a_lone_peak_is_not() -> None:
    audio_S = SINE_S / 2
    audio_S[1000] = 1.0
    assert read(audio_S)["clipped_fraction"] == 0
    audio_S[2000:2005] = 1.0
    audio_S[3000:3002] = -1.0
    assert read(audio_S)["clipped_fraction"] == pytest.approx(7 / len(audio_S))
