"""How the mouth's opening follows the sound, and whether it is shut while there is none.

Axes: T frames on the 25 fps grid, N mesh points, C x y z, S audio samples at 16 kHz, L lags.
"""

import numpy as np
from numpy.typing import NDArray

from vividhead.flashhead.evaluate.records import Following, Reading, Silence, measured, unmeasurable
from vividhead.records import GRID_FPS, SAMPLES_PER_FRAME

Floats = NDArray[np.float64]

INNER_LIPS = ((13, 14), (81, 178), (311, 402))
"""Upper and lower points of the mesh: in the middle, and half way to either corner."""
OUTER_EYE_CORNERS = (33, 263)
LAGS_FRAMES = tuple(range(-5, 6))
LEAST_FRAMES = 2 * GRID_FPS
"""A correlation over fewer says nothing."""
LEAST_MOVEMENT = 0.003
"""Standard deviation of the opening in eye distances; on a still picture the mesh alone trembles by 0.002."""
SILENT_RMS = 1e-3
"""-60 dB below full scale, as `lip_sync` has it."""
SILENT_OF_LOUD = 0.02
"""Silence is also what lies 34 dB below the talk's loud parts: room tone, breath."""
SETTLING_FRAMES = 5
"""A mouth takes about 0.2 s to shut."""
LEAST_MEAN_FRAMES = 10
SHUT = 0.005
"""Of the eyes' distance: beneath it an opening cannot be divided by."""


def opening_of(landmarks_TNC: NDArray[np.float32]) -> Floats:
    """Inner lips' distance ÷ that of the outer eye corners, (T,); NaN where there is no mesh.

    In space, so that a turned head does not narrow the eyes; lips apart in depth alone are not open.
    """
    mesh_TNC = landmarks_TNC.astype(np.float64)
    right, left = (mesh_TNC[:, point] for point in OUTER_EYE_CORNERS)
    gaps = [np.linalg.norm(mesh_TNC[:, low, :2] - mesh_TNC[:, high, :2], axis=1) for high, low in INNER_LIPS]
    opening_T: Floats = np.mean(gaps, axis=0) / np.linalg.norm(left - right, axis=1)
    return opening_T


def rms_of(audio_S: NDArray[np.float32]) -> Floats:
    """Root mean square of each frame's 640 samples, a constant offset not counted, (T,)."""
    rms_T: Floats = audio_S.astype(np.float64).reshape(-1, SAMPLES_PER_FRAME).std(axis=1)
    return rms_T


def loudness_of(audio_S: NDArray[np.float32]) -> Floats:
    """Loudness as ears have it, by Stevens' power law (RMS to the power of 0.6), smoothed over three frames, (T,)."""
    padded = np.pad(rms_of(audio_S) ** 0.6, 1, mode="edge")
    return np.asarray(0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:])


def following(opening_T: Floats, audio_S: NDArray[np.float32]) -> Following:
    """Correlate the opening with the sound's loudness."""
    seen_T = np.isfinite(opening_T)
    if seen_T.sum() < LEAST_FRAMES:
        return _nothing("face_mesh_lost", f"a face mesh on {seen_T.sum()} of {len(seen_T)} frames")
    if rms_of(audio_S).max() < SILENT_RMS:
        return _nothing("silent", "the sound never reaches -60 dBFS")
    moved = float(opening_T[seen_T].std())
    if moved < LEAST_MOVEMENT:
        return _nothing("mouth_still", f"the opening varies by {moved:.4f} of the eyes' distance")
    r_L = [_pearson(opening_T, loudness_of(audio_S), lag) for lag in LAGS_FRAMES]
    best = int(np.argmax(r_L))
    return Following(
        lags_frames=LAGS_FRAMES,
        r_at_lag=tuple(round(r, 6) for r in r_L),
        best_r=measured(r_L[best]),
        best_lag_frames=measured(LAGS_FRAMES[best], "frames"),
    )


def _nothing(code: str, detail: str) -> Following:
    return Following(
        lags_frames=LAGS_FRAMES, r_at_lag=(), best_r=unmeasurable(code, detail),
        best_lag_frames=unmeasurable(code, detail, "frames"),
    )  # fmt: skip


def _pearson(opening_T: Floats, loudness_T: Floats, lag: int) -> float:
    """Pearson's r of the opening at t + lag with the loudness at t; 0 where either stands still."""
    late, early = max(lag, 0), max(-lag, 0)
    lips_T, sound_T = opening_T[late : len(opening_T) - early], loudness_T[early : len(loudness_T) - late]
    seen_T = np.isfinite(lips_T)
    lips_T, sound_T = lips_T[seen_T] - lips_T[seen_T].mean(), sound_T[seen_T] - sound_T[seen_T].mean()
    power = float(np.sqrt((lips_T**2).sum() * (sound_T**2).sum()))
    return float((lips_T * sound_T).sum()) / power if power > 0 else 0.0


def silent_frames(audio_S: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Frames in which nothing is heard and nothing was heard in the 0.2 s before, (T,)."""
    rms_T = rms_of(audio_S)
    quiet_T = rms_T < _quiet_below(rms_T)
    settled_T = quiet_T.copy()
    for back in range(1, SETTLING_FRAMES + 1):
        settled_T[back:] &= quiet_T[:-back]
        settled_T[:back] = False
    return np.asarray(settled_T)


def _quiet_below(rms_T: Floats) -> float:
    return max(SILENT_RMS, SILENT_OF_LOUD * float(np.percentile(rms_T, 95)))


def _mean(opening_T: Floats, which_T: NDArray[np.bool_], code: str) -> Reading:
    """Mean opening in some frames; `code` says that there are too few of them."""
    seen_T = which_T & np.isfinite(opening_T)
    if which_T.sum() < LEAST_MEAN_FRAMES:
        return unmeasurable(code, f"{which_T.sum()} frames of it")
    if seen_T.sum() < LEAST_MEAN_FRAMES:
        return unmeasurable("face_mesh_lost", f"a face mesh on {seen_T.sum()} of {which_T.sum()} frames of it")
    return measured(opening_T[seen_T].mean())


def silence_of(opening_T: Floats, audio_S: NDArray[np.float32]) -> Silence:
    """The opening while nothing is heard, beside that while something is."""
    rms_T, seen_T = rms_of(audio_S), np.isfinite(opening_T)
    silent_T, loud_T = silent_frames(audio_S), rms_T >= _quiet_below(rms_T)
    silent, sounding = _mean(opening_T, silent_T, "no_silence"), _mean(opening_T, loud_T, "no_sound")
    if silent.value is None or sounding.value is None:
        ratio = unmeasurable(silent.code or sounding.code)
    elif sounding.value < SHUT:
        ratio = unmeasurable("mouth_still", "the mouth is shut while there is sound, too")
    else:
        ratio = measured(silent.value / sounding.value)
    return Silence(
        silent_opening=silent, sounding_opening=sounding, silent_to_sounding=ratio,
        silent_s=round(float((silent_T & seen_T).sum()) / GRID_FPS, 2),
    )  # fmt: skip
