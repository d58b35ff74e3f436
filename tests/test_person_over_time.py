"""What is told of embeddings that were drawn by hand."""

import numpy as np

from vividhead.person_over_time import person_over_time, sample_frames


def test_scatter_alone_is_no_drift() -> None:
    """Lines through such samples slope by 1.3 a minute, all of it chance."""
    rng = np.random.default_rng(0)
    frames = sample_frames(20 * 25)
    rates = []
    for _ in range(40):
        samples_KD = rng.normal(0, 0.05, (20, 128)).astype(np.float32)
        rates.append(person_over_time(samples_KD, frames, lambda frame: None, 1e9, lambda d: 1 - d)["drift_per_minute"])
    assert np.median(np.array(rates, float)) < 0.4
