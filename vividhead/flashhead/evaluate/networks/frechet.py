"""The Fréchet distance of two sets of features, each taken for a Gaussian: FID and FVD, but for the network.

Axes: N samples, D dimensions.
"""

import numpy as np
from numpy.typing import NDArray

from vividhead.errors import VividHeadError

Floats = NDArray[np.float64]
Features = NDArray[np.float32] | Floats


def least_samples(dimensions: int) -> int:
    """With fewer a covariance has not full rank, and the distance depends more on their number than on the pictures."""
    return dimensions + 1


def frechet_distance(one_ND: Features, other_ND: Features) -> float:
    """|m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½), in float64. Raises VividHeadError for too few or not finite features.

    The root's trace is that of (C1^½ C2 C1^½)^½, which is symmetric: no complex numbers, no iteration that diverges.
    """
    for features_ND in (one_ND, other_ND):
        n, dimensions = features_ND.shape
        if n < least_samples(dimensions):
            raise VividHeadError(f"{n} samples of {dimensions} features: {least_samples(dimensions)} are needed")
        if not np.isfinite(features_ND).all():
            raise VividHeadError("the network gave features that are not finite: its weights are wrong")
    (mean, spread), (other_mean, other_spread) = (_gaussian(f.astype(np.float64)) for f in (one_ND, other_ND))
    values, vectors = np.linalg.eigh(spread)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.linalg.eigvalsh(root @ other_spread @ root)
    overlap = np.sqrt(np.maximum(shared, 0)).sum()
    distance = np.square(mean - other_mean).sum() + np.trace(spread) + np.trace(other_spread) - 2 * overlap
    return max(0.0, float(distance))


def _gaussian(features_ND: Floats) -> tuple[Floats, Floats]:
    return features_ND.mean(0), np.atleast_2d(np.cov(features_ND, rowvar=False))
