"""A small registry and its publisher, in place of the real ones."""

import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vividhead.weights import registry, report, verify
from vividhead.weights.fetch import fetch
from vividhead.weights.files import File, Licence, Model
from weights.publisher import Publisher, publishing

FREE = Licence(name="Apache-2.0", commercial=True)
CONFIG = b'{"dim": 8}\n'


def safetensors(n_bytes: int) -> bytes:
    """A whole safetensors file with one tensor of bytes."""
    header = json.dumps({"t": {"dtype": "U8", "shape": [n_bytes], "data_offsets": [0, n_bytes]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(i % 251 for i in range(n_bytes))


TENSORS = safetensors(100_000)
PICTURES = {"one.onnx": b"o" * 500, "two.onnx": b"t" * 700}


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in PICTURES.items():
            archive.writestr(f"../inner/{name}", data)
        archive.writestr("readme.txt", "not asked for")
    return out.getvalue()


ZIP = zipped()


def file(name: str, address: str, data: bytes, has_digest: bool = True) -> File:
    sha256 = hashlib.sha256(data).hexdigest() if has_digest else None
    return File(name=name, address=address, size_bytes=len(data), sha256=sha256)


def get(name: str, **how: Any) -> Path:
    """Fetch one model and return its folder."""
    return fetch([name], **how)[0]


@dataclass(frozen=True)
class Shop:
    """The publisher, and the weights folder to fill."""

    publisher: Publisher
    root: Path


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """Models `free` (config without digest, tensors), `bound` (non-commercial), `packed` (in an archive)."""
    with publishing() as publisher:
        at = publisher.address
        publisher.files |= {"/free/config.json": CONFIG, "/free/model.safetensors": TENSORS, "/packed.zip": ZIP}
        publisher.files |= {"/bound.pth": b"b" * 300}
        files = (
            file("config.json", f"{at}/free/config.json", CONFIG, has_digest=False),
            file("model.safetensors", f"{at}/free/model.safetensors", TENSORS),
        )
        bound = Licence(name="Research", commercial=False, note="read the terms")
        packed = tuple(file(name, "", data) for name, data in PICTURES.items())
        models = (
            Model(name="free", role="a free thing", folder="Free", licence=FREE, files=files, used_by=("generate",)),
            Model(
                name="bound", role="a bound thing", folder="bound/deep", licence=bound,
                files=(file("bound.pth", f"{at}/bound.pth", b"b" * 300),),
            ),
            Model(
                name="packed", role="a packed thing", folder="packed", licence=FREE, files=packed,
                archive=file("packed.zip", f"{at}/packed.zip", ZIP),
            ),
        )  # fmt: skip
        for module in (registry, report, verify):
            monkeypatch.setattr(module, "MODELS", models)
        monkeypatch.setattr("vividhead.weights.download.PAUSE_S", 0.0)
        monkeypatch.delenv("HF_ENDPOINT", raising=False)
        monkeypatch.setenv("no_proxy", "*")
        root = tmp_path / "weights"
        monkeypatch.setenv("VIVIDHEAD_WEIGHTS", str(root))
        yield Shop(publisher, root)
