"""Networks written as ONNX answer as they do in torch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vividhead.backends.onnx_file import onnx_of, session


def test_every_layer_answers_as_in_torch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(6, 8, (3, 5), stride=(1, 2), padding=(0, 2), groups=2), nn.BatchNorm2d(8), nn.ReLU(),
        nn.MaxPool2d((1, 3), (2, 2), (0, 1)), nn.Conv2d(8, 4, 3, bias=False), nn.PReLU(4), nn.MaxPool2d(3, 2),
        nn.Flatten(), nn.Sequential(nn.Linear(36, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 5)),
    )  # fmt: skip
    with torch.no_grad():
        layers(torch.randn(16, 6, 20, 40) * 3)  # norms that are not one
    layers.eval()
    pictures = torch.randn(3, 6, 20, 40)
    file = tmp_path / "made.onnx"
    file.write_bytes(onnx_of(layers, "made", (6, 20, 40), 5))
    opened = session(str(file))
    assert [list(value.shape) for value in (*opened.get_inputs(), *opened.get_outputs())] == [
        ["batch", 6, 20, 40], ["batch", 5],
    ]  # fmt: skip
    with torch.inference_mode():
        expected = layers(pictures).numpy()
    np.testing.assert_allclose(opened.run(None, {"x": pictures.numpy()})[0], expected, atol=1e-5)


def test_an_unknown_layer_is_refused() -> None:
    with pytest.raises(TypeError, match="no ONNX is written for a layer GELU"):
        onnx_of(nn.Sequential(nn.GELU()), "made", (4,), 4)
