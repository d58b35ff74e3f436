"""Files with a network's true names and shapes, and random numbers: what real loading code is tried on."""

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from vividhead.backends.light_asd import LightAsd
from vividhead.backends.onnx_file import onnx_of
from vividhead.backends.syncnet import SyncNet
from vividhead.backends.weights_file import COUNTER
from vividhead.weights import model

WHISPER_DIMS = {
    "n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": 64, "n_audio_head": 1, "n_audio_layer": 1, "n_vocab": 51865,
    "n_text_ctx": 24, "n_text_state": 64, "n_text_head": 1, "n_text_layer": 1,
}  # fmt: skip
"""The published layout, narrower, of fewer layers and shorter sentences: random ones would go on to the limit."""


def tiny_whisper() -> nn.Module:
    from whisper.model import ModelDimensions, Whisper

    with torch.device("cpu"):  # it knows no meta tensors
        made: nn.Module = Whisper(ModelDimensions(**WHISPER_DIMS))
    return made


MAKERS: dict[tuple[str, str], Callable[[], nn.Module]] = {
    ("syncnet", "syncnet_v2.model"): SyncNet,
    ("light-asd", "finetuning_TalkSet.model"): LightAsd,
    ("whisper-small", "small.pt"): tiny_whisper,
}
"""(model, file) as scores need them → the network."""

ONNX = {("buffalo_l", "w600k_r50.onnx"): (112, 512), ("buffalo_l", "genderage.onnx"): (96, 3)}
"""(model, file) → side of the picture that it takes, and how many numbers it gives."""


def put_onnx(path: Path, side_px: int, numbers: int, size_bytes: int) -> None:
    """A little network of the true input and output, in a file as long as the published one (mostly a hole)."""
    torch.manual_seed(side_px)
    layers = nn.Sequential(
        nn.Conv2d(3, 16, 7, stride=4, padding=3), nn.BatchNorm2d(16), nn.PReLU(16), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(16 * (side_px // 8) ** 2, numbers),
    ).eval()  # fmt: skip
    model_file = onnx_of(layers, "random", (3, side_px, side_px), numbers)
    doc = size_bytes - len(model_file)  # ModelProto's field 6: a text, here of zeros, with its length before it
    length = doc - 5
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(
            model_file + bytes([6 << 3 | 2, *(length >> shift & 0x7F | 0x80 for shift in (0, 7, 14)), length >> 21])
        )
        file.truncate(size_bytes)


def random_tensors(make: Callable[[], nn.Module]) -> dict[str, Tensor]:
    with torch.device("meta"):
        wanted = make().state_dict()
    generator = torch.Generator().manual_seed(0)
    found = {}
    for name, like in wanted.items():
        if name.endswith(COUNTER):
            continue  # as the older published files, which lack them
        fan_in = max(1, like[:1].numel())
        spread = torch.randn(like.shape, generator=generator) * (2 / fan_in) ** 0.5
        found[name] = spread.abs() + 0.5 if like.dim() == 1 and "bias" not in name and "mean" not in name else spread
    return found


def put_random_weights(home: Path) -> None:
    """Fill a weights folder with every file that a score needs, as safetensors."""
    for (name, file), make in MAKERS.items():
        path = (home / model(name).folder / file).with_suffix(".safetensors")
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(random_tensors(make), path)
    put_random_onnx(home)


def put_random_onnx(home: Path) -> None:
    """The same of the files that ONNX Runtime reads."""
    for (name, file), (side_px, numbers) in ONNX.items():
        published = next(known for known in model(name).files if known.name == file)
        put_onnx(home / model(name).folder / file, side_px, numbers, published.size_bytes)
