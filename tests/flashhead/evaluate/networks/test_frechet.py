"""The distance against its closed form."""

import numpy as np
import pytest

from vividhead.errors import VividHeadError
from vividhead.flashhead.evaluate.networks.frechet import frechet_distance


def samples(mean: np.ndarray, spread: np.ndarray, n: int) -> np.ndarray:
    """Samples whose mean and covariance are exactly these."""
    rng = np.random.default_rng(len(mean))
    white = rng.normal(size=(n, len(mean)))
    white -= white.mean(0)
    white = white @ np.linalg.inv(np.linalg.cholesky(np.cov(white, rowvar=False))).T
    return white @ np.linalg.cholesky(spread).T + mean


def test_gaussians_along_axes_have_the_distance_of_means_and_of_deviations() -> None:
    one, other = np.array([1.0, 4.0, 9.0]), np.array([4.0, 4.0, 1.0])
    a, b = samples(np.zeros(3), np.diag(one), 50), samples(np.array([1.0, 2.0, 2.0]), np.diag(other), 80)
    assert frechet_distance(a, b) == pytest.approx(9 + np.square(np.sqrt(one) - np.sqrt(other)).sum(), rel=1e-9)


def test_turned_gaussians_in_a_plane_have_the_closed_form() -> None:
    # For 2 x 2 matrices tr (C1 C2)^½ = (tr C1 C2 + 2 (det C1 C2)^½)^½.
    one, other = np.array([[2.0, 0.9], [0.9, 1.0]]), np.array([[1.0, -0.4], [-0.4, 3.0]])
    product = one @ other
    root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    wanted = np.trace(one) + np.trace(other) - 2 * root
    found = frechet_distance(samples(np.zeros(2), one, 30), samples(np.zeros(2), other, 30))
    assert found == pytest.approx(wanted, rel=1e-9)


def test_the_same_features_are_no_distance_apart_even_where_some_never_vary() -> None:
    a = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    a[:, 3] = 5
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_too_few_samples_and_features_that_are_not_finite_are_refused() -> None:
    a = np.random.default_rng(0).normal(size=(40, 40))
    with pytest.raises(VividHeadError, match="40 samples of 40 features: 41 are needed"):
        frechet_distance(a, a)
    a = a[:, :3].copy()
    a[7, 1] = np.inf
    with pytest.raises(VividHeadError, match="not finite"):
        frechet_distance(a, a)
