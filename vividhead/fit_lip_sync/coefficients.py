"""The fit: canonical correlation and ridge regression between lips and voice, and what each channel is worth.

Axes: T frames, P still or lip points, C coordinates, F features, D channels, L lags, K shape numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vividhead import lip_audio
from vividhead.fit_lip_sync.talks import Prepared
from vividhead.lip_audio import Floats, LipAudioMap

DIMENSIONS = 6
LIP_SHRINKAGE, VOICE_SHRINKAGE, RIDGE = 0.3, 0.1, 0.3
MIX = (0.7, 0.3)
"""Shares of the canonical and of the ridge half in a lag curve."""
ROUNDS = 3
"""How often the clips' own lags, zero at first, are read again with the map fitted on them."""
NEAR_FRAMES = 4
"""Labels are good to about 3 frames: no clip's own lag is taken to be more than this."""
NEAR = slice(lip_audio.MAX_LAG_FRAMES - NEAR_FRAMES, lip_audio.MAX_LAG_FRAMES + NEAR_FRAMES + 1)
NEW_SPEAKER = 0.7
"""What a new speaker leaves of a correlation that was found in the fit."""


def frontal_still_points(talks: Sequence[Prepared]) -> Floats:
    """The mean face's still points, made symmetric and turned to the front; outer eye corners 1 apart."""
    pairs, middle = len(lip_audio.STILL_RIGHT), len(lip_audio.STILL_MIDLINE)
    mirror = [*range(middle), *range(middle + pairs, middle + 2 * pairs), *range(middle, middle + pairs)]
    means = []
    for talk in talks:
        still_TPC = talk.points_TPC[talk.used_T][:, : len(lip_audio.STILL_P)]
        mean_PC = _mean_shape(still_TPC, still_TPC[len(still_TPC) // 2])
        means += [mean_PC, mean_PC[mirror] * (-1, 1, 1)]
    mean_PC = _mean_shape(np.array(means), means[0])
    mean_PC = _mean_shape(np.array([mean_PC, mean_PC[mirror] * (-1, 1, 1)]), mean_PC)
    across = (mean_PC[middle + pairs :] - mean_PC[middle : middle + pairs]).sum(axis=0)
    x = across / np.linalg.norm(across)
    z = np.array([0.0, 0.0, 1.0]) - x[2] * x
    z /= np.linalg.norm(z)
    front_PC = mean_PC @ np.stack([x, np.cross(z, x), z], axis=1)
    return np.asarray(front_PC / np.linalg.norm(front_PC[lip_audio.LEFT_EYE] - front_PC[lip_audio.RIGHT_EYE]))


def _mean_shape(shapes_TPC: Floats, start_PC: Floats) -> Floats:
    """Generalised Procrustes mean, centred, in the pose of `start_PC`."""
    mean_PC = start_PC - start_PC.mean(axis=0)
    for _ in range(5):
        scale, rotation, centre = lip_audio.similarity(shapes_TPC, mean_PC)
        mean_PC = (scale * (shapes_TPC - centre) @ rotation).mean(axis=0)
        mean_PC /= np.linalg.norm(mean_PC[lip_audio.LEFT_EYE] - mean_PC[lip_audio.RIGHT_EYE])
    return np.asarray(mean_PC - mean_PC.mean(axis=0))


@dataclass(frozen=True, slots=True)
class _Shapes:
    """What of a map is known before any lag is: how mouths look and move."""

    still_PC: Floats
    shape_basis_KP: Floats
    lip_scale_F: Floats


def fit_map(talks: Sequence[Prepared]) -> tuple[LipAudioMap, list[int]]:
    """Coefficients from these talks (confidence still to be fitted), and each one's own lag in frames."""
    still_PC = frontal_still_points(talks)
    lips = [lip_audio.frontal(t.points_TPC, still_PC) for t in talks]
    flat_TP = np.vstack([lip_audio.high_passed(x.reshape(len(x), -1)) for x in lips])
    basis_KP = np.linalg.eigh(flat_TP.T @ flat_TP)[1][:, ::-1][:, : lip_audio.SHAPE_NUMBERS].T
    raw = [lip_audio.raw_lip_features(x, basis_KP) for x in lips]
    shapes = _Shapes(still_PC, basis_KP, np.vstack(raw).std(axis=0))
    features = [x / shapes.lip_scale_F for x in raw]
    share = np.array([t.used_T.sum() for t in talks], float)
    share /= share.sum()
    lags = [0] * len(talks)
    map_, curves = _fit_at(lags, features, talks, share, shapes)
    for _ in range(ROUNDS):
        own = np.array([int(curve_L[NEAR].argmax()) - NEAR_FRAMES for curve_L in curves])
        centred = own - round(float(share @ own))
        lags = [int(lag) for lag in np.clip(centred, -NEAR_FRAMES, NEAR_FRAMES)]
        map_, curves = _fit_at(lags, features, talks, share, shapes)
    return map_, lags


def _fit_at(
    lags: Sequence[int], features: Sequence[Floats], talks: Sequence[Prepared], share: Floats, shapes: _Shapes
) -> tuple[LipAudioMap, list[Floats]]:
    """The map, each clip set right by its lag; also each clip's own lag curve."""
    directions = _directions(features, talks, lags)
    canonical, ridge = [], []
    for lips_TF, talk in zip(features, talks, strict=True):
        halves = lip_audio.half_channels(lips_TF, talk.voice_TF, *directions)
        curves = [lip_audio.lag_correlations(lips, voice, talk.used_T) for lips, voice in halves]
        canonical.append(curves[0])
        ridge.append(curves[1])
    middle = lip_audio.MAX_LAG_FRAMES
    at_own = [np.tanh(c_LD[middle + lag]) for c_LD, lag in zip(canonical, lags, strict=True)]
    rho_D = np.clip(NEW_SPEAKER * (share @ np.array(at_own)), 0.01, 0.99)
    canonical_D = rho_D / (1 - rho_D**2)
    canonical_D *= MIX[0] / canonical_D.sum()
    mean_LD = np.tensordot(share, np.array(ridge), axes=1)
    ridge_D = np.maximum(0, mean_LD[NEAR].max(axis=0) - mean_LD.mean(axis=0))
    ridge_D *= MIX[1] / ridge_D.sum()
    map_ = LipAudioMap(
        still_PC=shapes.still_PC, shape_basis_KP=shapes.shape_basis_KP, lip_scale_F=shapes.lip_scale_F,
        lip_cca_FD=directions[0], voice_cca_FD=directions[1], voice_ridge_FD=directions[2],
        weight_cca_D=canonical_D, weight_ridge_D=ridge_D, confidence=np.zeros(4), provenance={},
    )  # fmt: skip
    return map_, [c_LD @ canonical_D + r_LD @ ridge_D for c_LD, r_LD in zip(canonical, ridge, strict=True)]


def _directions(
    features: Sequence[Floats], talks: Sequence[Prepared], lags: Sequence[int]
) -> tuple[Floats, Floats, Floats]:
    """Canonical directions of lips and of voice, and the ridge from voice to lips, (F, 6) each."""
    lip_rows, target_rows, voice_rows = [], [], []
    for lips_TF, talk, lag in zip(features, talks, lags, strict=True):
        used = talk.used_T.copy()
        used[: max(lag, 0)] = used[len(used) + min(lag, 0) :] = False
        frames = np.flatnonzero(used)
        lip_rows.append(lip_audio.with_context(lips_TF, lip_audio.LIP_CONTEXT_FRAMES)[frames])
        target_rows.append(lips_TF[frames][:, lip_audio.RIDGE_TARGETS])
        voice_rows.append(talk.voice_TF[frames - lag])
    x, y, targets = (np.vstack(rows) for rows in (lip_rows, voice_rows, target_rows))
    count = len(x)
    lip_cov = x.T @ x / count + LIP_SHRINKAGE * np.eye(x.shape[1])
    voice_cov = y.T @ y / count
    voice_cov += VOICE_SHRINKAGE * np.trace(voice_cov) / len(voice_cov) * np.eye(len(voice_cov))
    whiten_x, whiten_y = (np.linalg.inv(np.linalg.cholesky(c)) for c in (lip_cov, voice_cov))
    u, _, vt = np.linalg.svd(whiten_x @ (x.T @ y / count) @ whiten_y.T)
    ridge = np.linalg.solve(y.T @ y + RIDGE * count * np.eye(y.shape[1]), y.T @ targets)
    return whiten_x.T @ u[:, :DIMENSIONS], whiten_y.T @ vt[:DIMENSIONS].T, ridge
