"""wav2vec 2.0 over the whole window, as FlashHead's published models use it; needs the extra `flashhead`.

    window 128 000 ─▶ zero mean, unit variance ─▶ 7 convolutions, 399 steps of 20 ms ─▶ 200 steps, one per picture
                      ─▶ projection, 12 transformer layers ─▶ what leaves each of them, stacked

The convolutions' steps are made into pictures' *before* the transformer, so this is not wav2vec 2.0 as it was trained
on speech, and hidden states of other tools do not fit. Everything in the window touches every feature (statistics of
the window, group norm over time, full attention): there is nothing to keep from one window to the next.

Source of the numbers: SoulX-FlashHead's inference modules, reproduced to 2e-4 of the features' deviation in the tests.
Axes: B batch, S samples, C channels, T pictures, L transformer layers.
"""

import math
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from types import ModuleType

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.parametrize import remove_parametrizations

from vividhead.errors import VividHeadError
from vividhead.flashhead.model.audio_encoders.encoder import AudioEncoder
from vividhead.records import SAMPLES_PER_FRAME
from vividhead.weights import check_file, locate, missing_weights, model, refused_weights

MODEL = "wav2vec2"
FILES = ("model.safetensors", "pytorch_model.bin")
"""Either will do; the first is the published one that `weights fetch` gets."""

CTC_PREFIX = "wav2vec2."
"""What the published file, a speech recogniser's, has before each of the encoder's names."""
CTC_HEAD = ("lm_head.weight", "lm_head.bias")
MASK = "masked_spec_embed"
"""Only used in wav2vec 2.0's own training; some files have it."""
WEIGHT_NORM = {"conv.weight_g": "conv.parametrizations.weight.original0",
               "conv.weight_v": "conv.parametrizations.weight.original1"}  # fmt: skip
"""Names of the position convolution's weights: in the published file, and in today's PyTorch."""
SHOWN = 3
"""Tensors named in an error before it says how many more there are."""


class Wav2Vec2Encoder(AudioEncoder):
    """Features of base: 12 layers of 768."""

    def __init__(self, network: nn.Module) -> None:
        """Take over the parts of a transformers `Wav2Vec2Model` of the base layout (norms after attention)."""
        super().__init__()
        self.convolutions = network.get_submodule("feature_extractor")
        self.projection = network.get_submodule("feature_projection")
        self.position = network.get_submodule("encoder.pos_conv_embed")
        self.norm = network.get_submodule("encoder.layer_norm")
        self.blocks = nn.ModuleList(network.get_submodule("encoder.layers").children())
        # The weight is computed from direction and length once instead of with every window.
        remove_parametrizations(self.position.get_submodule("conv"), "weight")
        self.layers = len(self.blocks)
        self.width = self.position.get_parameter("conv.bias").numel()
        self.requires_grad_(False)
        self.eval()

    def _features(self, windows_BS: torch.Tensor, kept: int) -> torch.Tensor:
        frames = windows_BS.shape[1] // SAMPLES_PER_FRAME
        steps_BCT = self.convolutions(normalised(windows_BS))
        frames_BCT = nn.functional.interpolate(steps_BCT, frames, mode="linear", align_corners=True)
        hidden_BTC, _ = self.projection(frames_BCT.transpose(1, 2))
        hidden_BTC = self.norm(hidden_BTC + self.position(hidden_BTC))
        left = []
        for block in self.blocks:
            hidden_BTC = block(hidden_BTC)
            left.append(hidden_BTC[:, -kept:])
        return torch.stack(left, dim=2)


def normalised(windows_BS: torch.Tensor) -> torch.Tensor:
    """Each window with zero mean and unit variance, as wav2vec 2.0's feature extractor does it; silence stays zero."""
    variance_B1, mean_B1 = torch.var_mean(windows_BS, dim=1, correction=0, keepdim=True)
    return (windows_BS - mean_B1) / torch.sqrt(variance_B1 + 1e-7)


def load_wav2vec2(folder: Path, **sizes: object) -> Wav2Vec2Encoder:
    """Read wav2vec2-base-960h from its own folder, or from where it lies in or beside the checkpoint `folder`.

    `sizes` change the network from base, with the names of transformers' `Wav2Vec2Config`.
    """
    transformers = _transformers()  # what is not installed is said before what is not downloaded
    path = find_file(folder)
    network = _empty_network(transformers, sizes)
    network.load_state_dict(_matched(path, _read(path), network.state_dict()), assign=True)
    return Wav2Vec2Encoder(network)


def random_wav2vec2(seed: int, **sizes: object) -> Wav2Vec2Encoder:
    """The same network with random weights: the published shapes, for trials and measurements of speed."""
    network = _empty_network(_transformers(), sizes)
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: torch.randn(tensor.shape, generator=generator) / math.sqrt(math.prod(tensor.shape[1:]))
        if tensor.dim() > 1
        else torch.full(tensor.shape, float(name.endswith("weight")))  # norms that change nothing, no biases
        for name, tensor in network.state_dict().items()
    }
    network.load_state_dict(tensors, assign=True)
    return Wav2Vec2Encoder(network)


def find_file(folder: Path) -> Path:
    """The weights' file; raises VividHeadError that says what is missing and how to get it."""
    there = any((folder / name).is_file() for name in FILES)
    own = folder if there or folder.name == model(MODEL).folder else locate(MODEL, folder)
    for name in FILES:
        if (own / name).is_file():
            return check_file(MODEL, own / name)
    raise missing_weights(MODEL, own / FILES[0])


def _transformers() -> ModuleType:
    try:
        found = import_module("transformers")
    except ImportError as fault:
        raise VividHeadError(
            f"wav2vec 2.0, which FlashHead lite and pro hear with, needs transformers ({fault}); "
            "pip install 'vividhead[flashhead]'"
        ) from fault
    if int(found.__version__.split(".")[0]) < 5:
        raise VividHeadError(
            f"transformers {found.__version__} is too old, 5 or newer is needed; pip install 'vividhead[flashhead]'"
        )
    return found


def _empty_network(transformers: ModuleType, sizes: dict[str, object]) -> nn.Module:
    """A `Wav2Vec2Model` of base's sizes, but for `sizes`; it takes no memory until weights are assigned."""
    config = transformers.Wav2Vec2Config(mask_time_prob=0.0, attn_implementation="sdpa", **sizes)
    with torch.device("meta"):
        network: nn.Module = transformers.Wav2Vec2Model(config)
    return network


def _read(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of the file; code in it is never run."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as fault:
        first_line = str(fault).partition("\n")[0]
        raise refused_weights(MODEL, path, f"cannot be read ({first_line})") from fault
    if not isinstance(stored, dict) or not all(isinstance(t, torch.Tensor) for t in stored.values()):
        raise refused_weights(MODEL, path, "holds something else than tensors by name")
    return stored


def _matched(path: Path, stored: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The stored tensors under the network's names; anything missing, unknown or of another shape is refused."""
    extra = {MASK}
    if any(name.startswith(CTC_PREFIX) for name in stored):
        extra = {CTC_PREFIX + MASK, *CTC_HEAD}
        wanted = {CTC_PREFIX + name: tensor for name, tensor in wanted.items()}
    old_names = {name.replace(new, old): name for name in wanted for old, new in WEIGHT_NORM.items() if new in name}
    named = {old_names.get(name, name): tensor for name, tensor in stored.items() if name not in extra}
    faults = [f"lacks {_some(wanted.keys() - named.keys())}", f"has unknown {_some(named.keys() - wanted.keys())}"]
    faults += [
        f"has {name} {list(named[name].shape)} {named[name].dtype} instead of {list(tensor.shape)} {tensor.dtype}"
        for name, tensor in wanted.items()
        if name in named and (named[name].shape, named[name].dtype) != (tensor.shape, tensor.dtype)
    ]
    faults = [fault for fault in faults if not fault.endswith(" ")]
    if faults:
        raise refused_weights(MODEL, path, "; ".join(faults[:SHOWN]))
    return {name.removeprefix(CTC_PREFIX): tensor for name, tensor in named.items()}


def _some(names: set[str]) -> str:
    shown = ", ".join(sorted(names)[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
