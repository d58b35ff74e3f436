"""The published models' numbers, and how their inputs are made."""

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor


class Parity:
    """The folder parity/: inputs and weights that are functions of a name, and outputs to reproduce."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        spec = importlib.util.spec_from_file_location("parity_fill", folder / "fill.py")
        assert spec and spec.loader
        self._fill: ModuleType = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self._fill)
        self.noise: Callable[..., Tensor] = self._fill.noise
        self.fill: Callable[..., Tensor] = self._fill.fill

    def fill_module(self, module: torch.nn.Module) -> None:
        """Give every parameter the value that belongs to its name."""
        state: Mapping[str, Tensor] = module.state_dict()
        module.load_state_dict(self._fill.filled({k: tuple(v.shape) for k, v in state.items()}), strict=True)

    def outputs(self, name: str) -> dict[str, Tensor]:
        return load_file(self.folder / f"{name}.safetensors")


@pytest.fixture(scope="session")
def parity(shared: Path) -> Parity:
    folder = shared / "parity"
    if not (folder / "fill.py").is_file():
        pytest.skip(f"no {folder}; set VIVIDHEAD_SHARED to the folder that holds parity/")
    return Parity(folder)
