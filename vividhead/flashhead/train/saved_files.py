"""Files of a checkpoint that are not torch's: plain values as JSON, tensors among them as safetensors."""

import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata

from vividhead.flashhead.model.checkpoint import CheckpointError
from vividhead.ledger import storage_error, write_atomically

_TENSOR = "tensor of the file beside"
_RECORDS = frozenset(
    {
        ("torch.distributed.checkpoint.metadata", name)
        for name in (
            "Metadata", "TensorStorageMetadata", "TensorProperties", "ChunkStorageMetadata", "MetadataIndex",
            "StorageMeta", "_MEM_FORMAT_ENCODING",
        )
    }
    | {
        ("torch.distributed.checkpoint.filesystem", "_StorageInfo"), ("torch.serialization", "_get_layout"),
        ("torch", "Size"), ("pathlib", "PosixPath"), ("pathlib", "WindowsPath"), ("collections", "OrderedDict"),
    }
)  # fmt: skip


def write_values(folder: Path, stem: str, values: Mapping[str, Any]) -> None:
    """Write `stem`.json, and `stem`.safetensors where there are tensors; both on the disk when it returns.

    Floats come back bit by bit, tuples as lists. Raises TypeError for anything that is not plain or a tensor.
    """
    tensors: dict[str, Tensor] = {}
    plain = _without_tensors(dict(values), "", tensors)
    path = folder / f"{stem}.safetensors"
    try:
        if tensors:
            save_file(tensors, path)
            with path.open("rb") as file:
                os.fsync(file.fileno())
    except (OSError, SafetensorError) as fault:
        raise storage_error(fault if isinstance(fault, OSError) else OSError(str(fault)), path) from fault
    write_atomically(folder / f"{stem}.json", json.dumps(plain, indent=1).encode())


def read_values(folder: Path, stem: str) -> dict[str, Any]:
    """What `write_values` wrote; tensors on the CPU. Raises CheckpointError."""
    path = folder / f"{stem}.json"
    try:
        plain = json.loads(path.read_bytes())
        beside = path.with_suffix(".safetensors")
        tensors = load_file(beside) if beside.exists() else {}
        return _with_tensors(plain, tensors)  # type: ignore[no-any-return]
    except FileNotFoundError as fault:
        raise CheckpointError(f"{folder} is no checkpoint of training: {path.name} is missing") from fault
    except (OSError, ValueError, KeyError, SafetensorError) as fault:
        raise CheckpointError(f"{path} or the tensors beside it are damaged: {fault}") from fault


def _without_tensors(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """The value with a reference in place of each tensor, which goes into `tensors`."""
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu().contiguous().clone()  # clone: none may share memory with another
        return {_TENSOR: name}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value) or _TENSOR in value:
            raise TypeError(f"{name or 'the mapping'} has other keys than text: {list(value)}")
        return {key: _without_tensors(v, f"{name}/{key}", tensors) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_tensors(v, f"{name}/{place}", tensors) for place, v in enumerate(value)]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{name} is a {type(value).__name__}: neither plain nor a tensor")


def _with_tensors(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if value.keys() == {_TENSOR}:
            return tensors[value[_TENSOR]]
        return {key: _with_tensors(v, tensors) for key, v in value.items()}
    return [_with_tensors(v, tensors) for v in value] if isinstance(value, list) else value


class _RecordsOnly(pickle.Unpickler):
    """Makes torch's records of where tensors lie, and nothing else: a foreign file cannot run code."""

    def find_class(self, module: str, name: str) -> Any:
        """Look up one of the records."""
        is_dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if is_dtype or (module, name) in _RECORDS:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it holds a {module}.{name}, which no checkpoint of training does")


class TensorReader(FileSystemReader):
    """Reads the tensors of a checkpoint. Its table of contents is read at once, and not by a plain unpickler."""

    def __init__(self, path: Path) -> None:
        """Read the table; raises CheckpointError where it is missing, damaged, or not of tensors alone."""
        super().__init__(path)
        table = path / ".metadata"
        try:
            with table.open("rb") as file:
                self._table: Metadata = _RecordsOnly(file).load()
            held = self._table.state_dict_metadata
        except (OSError, pickle.UnpicklingError, EOFError, AttributeError, ValueError, TypeError, IndexError) as fault:
            raise CheckpointError(f"{table} is missing or damaged: {fault}") from fault
        # Whatever is no tensor would be unpickled.
        self.tensors = {name: m for name, m in held.items() if isinstance(m, TensorStorageMetadata)}
        if len(self.tensors) < len(held):
            raise CheckpointError(f"{table} lists what is no tensor, which no checkpoint of training holds")

    def read_metadata(self, *_: Any, **__: Any) -> Metadata:
        """Give the table that has been read."""
        return self._table
