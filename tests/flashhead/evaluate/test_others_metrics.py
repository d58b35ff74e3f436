"""FID and FVD of films in memory: counted before they are read, and distances of what the networks say."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vividhead.flashhead.evaluate import others_metrics
from vividhead.flashhead.evaluate.networks import i3d, inception
from vividhead.flashhead.evaluate.others_metrics import Networks, in_stretches, networks_in
from vividhead.flashhead.evaluate.records import unmeasurable


class Means(nn.Module):
    """A network of three features: the mean of each colour."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, shown: Tensor) -> Tensor:
        return shown.flatten(2).mean(2) * self.gain


def film(n: int, brighter: int, seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    return in_stretches(np.full((4, 4, 3), rng.integers(60, 100, 3) + brighter, np.uint8) for _ in range(n))


def never() -> Iterator[np.ndarray]:
    raise AssertionError("read although it cannot be measured")


def test_too_few_pictures_are_counted_and_never_read() -> None:
    networks = Networks(syncnet=None, inception=Means(), i3d=Means(), lacking={})  # type: ignore[arg-type]
    fid, fvd = networks.distances([1500, 500], never, [9000], never)
    assert (fid.code, fvd.code) == ("too_few_samples", "too_few_samples")
    assert fid.detail.startswith("2000 pictures of the talks and 9000 of the clips, 2049 of each are needed")
    assert fvd.detail.startswith("124 stretches of 16 pictures of the talks and 562 of the clips, 401 of each")


def test_a_metric_without_weights_says_so_while_the_other_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inception, "WIDTH", 3)
    monkeypatch.setattr(i3d, "CLASSES", 3)
    lacking = {"FVD": unmeasurable("no_weights", "no rgb_imagenet.pt")}
    networks = Networks(syncnet=None, inception=Means(), i3d=None, lacking=lacking)  # type: ignore[arg-type]
    fid, fvd = networks.distances([400], lambda: film(400, 51, 1), [400], lambda: film(400, 0, 2))
    assert fvd.code == "no_weights"
    # 51 of 255 brighter in three colours.
    assert fid.value == pytest.approx(3 * 0.2**2, rel=0.05)


def test_stretches_hold_sixteen_pictures_that_follow_one_another_and_films_only_whole_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert [len(stretch) for stretch in film(35, 0, 1)] == [16, 16, 3]
    monkeypatch.setattr(i3d, "CLASSES", 3)
    lacking = {"FID": unmeasurable("no_weights")}
    networks = Networks(syncnet=None, inception=None, i3d=Means(), lacking=lacking)  # type: ignore[arg-type]
    _, fvd = networks.distances([163], lambda: film(163, 0, 1), [163], lambda: film(163, 0, 1))
    assert fvd.value == pytest.approx(0, abs=1e-6)


def test_without_a_folder_every_metric_says_which_file_it_needs() -> None:
    networks = networks_in(None, "cpu")
    assert networks.lip_reader() is None
    assert set(networks.lacking) == set(others_metrics.FILES)
