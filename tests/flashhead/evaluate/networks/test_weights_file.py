"""Files of others: whole ones are taken as they are, anything else is refused by name; all sizes are the true ones."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.random_weights import random_tensors
from vividhead.backends.syncnet import SyncNet
from vividhead.backends.weights_file import loaded
from vividhead.errors import VividHeadError
from vividhead.flashhead.evaluate.networks.i3d import I3d
from vividhead.flashhead.evaluate.networks.inception import Inception


@pytest.mark.parametrize("make", [Inception, I3d, SyncNet])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_whole_file_is_taken_as_it_is(make: type[nn.Module], suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    tensors = random_tensors(make)
    save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    network = loaded(make, path, "cpu")
    assert not network.training
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in tensors.items())


def test_inception_gives_2048_features_and_i3d_400_logits(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    for make, shape, width in ((Inception, (2, 3, 64, 64), 2048), (I3d, (2, 3, 9, 32, 32), 400)):
        save_file(random_tensors(make), tmp_path / "weights.safetensors")
        network = loaded(make, tmp_path / "weights.safetensors", "cpu")
        with torch.inference_mode():
            features = network(torch.rand(shape, generator=generator))
        assert features.shape == (2, width)
        assert torch.isfinite(features).all()
        assert not torch.equal(features[0], features[1])


def test_what_is_missing_unknown_or_of_another_shape_is_named(tmp_path: Path) -> None:
    path = tmp_path / "syncnet_v2.model"
    whole = random_tensors(SyncNet)
    cases = (
        ({k: v for k, v in whole.items() if k != "netfclip.3.bias"}, r"lacks netfclip\.3\.bias"),
        ({**whole, "extra.weight": torch.zeros(1)}, r"has unknown extra\.weight"),
        (
            {**whole, "netfcaud.3.bias": torch.zeros(7)},
            r"shape in netfcaud\.3\.bias \(7,\) instead of \(1024,\)",
        ),
        ({"x": torch.zeros(1)}, r"lacks netcnnaud.0.bias, .* and \d+ more; has unknown x: not the weights of SyncNet"),
    )
    for tensors, said in cases:
        torch.save(tensors, path)
        with pytest.raises(VividHeadError, match=said):
            loaded(SyncNet, path, "cpu")


def test_a_file_that_holds_no_tensors_or_runs_code_is_refused(tmp_path: Path) -> None:
    text, whole, other = (tmp_path / name for name in ("text.safetensors", "whole.pth", "other.pth"))
    text.write_text("no tensors")
    torch.save(nn.Linear(1, 1), whole)
    torch.save({"weights": [1, 2]}, other)
    for path, said in ((text, "cannot be read"), (whole, "cannot be read"), (other, "something else than tensors")):
        with pytest.raises(VividHeadError, match=said):
            loaded(SyncNet, path, "cpu")
