"""Where model files lie, whether they can be read at all, and what to say of one that is missing."""

import json
import os
import shlex
import struct
from pathlib import Path

from vividhead.errors import VividHeadError
from vividhead.weights.fetched import digest
from vividhead.weights.files import File, Model
from vividhead.weights.registry import model

_LENGTH_BYTES = 8
_HEADER_LIMIT_BYTES = 100_000_000  # what the safetensors library itself accepts


def home() -> Path:
    """The weights folder: VIVIDHEAD_WEIGHTS, or ~/.cache/vividhead/weights."""
    named = os.environ.get("VIVIDHEAD_WEIGHTS")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "vividhead" / "weights"


def locate(name: str, checkpoint: Path | None = None) -> Path:
    """The folder of a model's files: in a checkpoint, beside it, or in the weights folder, in this order.

    Publishers keep codec and audio encoder in the checkpoint or beside it; one's own checkpoint needs no copy of them.
    Where none is there, the first place that was looked at.
    """
    wanted = model(name).folder
    places = [checkpoint / wanted, checkpoint.absolute().parent / wanted] if checkpoint else []
    places.append(home() / wanted)
    return next((place for place in places if _has_files(place)), places[0])


def _has_files(place: Path) -> bool:
    """Whether anything lies there but what an unfinished fetch leaves."""
    return place.is_dir() and any(not path.name.startswith(".") for path in place.iterdir())


def missing_weights(name: str, path: Path) -> VividHeadError:
    """The error for a model's file that is not at `path`: what it is, size, licence, and the command that gets it."""
    return VividHeadError(f"{path} is not there: {_wanted(name, path)}.\nGet it with: {_command(model(name), path)}")


def refused_weights(name: str, path: Path, why: str) -> VividHeadError:
    """The error for a file at `path` that is not the model's; `why` goes on from the path, such as `is cut short`."""
    return VividHeadError(f"{path} {why}: not {_wanted(name, path)}.\nGet it again with: {_command(model(name), path)}")


def check_file(name: str, path: Path) -> Path:
    """Return `path` if it holds a whole file of the model `name`; milliseconds, so no digest is computed.

    Raises VividHeadError when it is missing, cut short or no such file. A safetensors file is held against its own
    header, so that one's own checkpoint passes; any other format against the published size.
    """
    wanted = model(name)
    file = _file_at(wanted, path)
    if not path.is_file():
        raise missing_weights(name, path)
    wrong = fault_in(path, file.size_bytes if file else None)
    if wrong:
        raise refused_weights(name, path, wrong)
    return path


def find_file(name: str, file: str) -> Path:
    """The whole file of a model in the weights folder, as published or, in its place, the same tensors as safetensors.

    Raises VividHeadError as `check_file` does.
    """
    path = locate(name) / file
    converted = path.with_suffix(".safetensors")
    return check_file(name, converted if converted.is_file() and not path.is_file() else path)


def fault_in(path: Path, published_bytes: int | None) -> str:
    """What is wrong with a file by its size and header, as the rest of a sentence; empty when nothing is."""
    size = path.stat().st_size
    if path.suffix == ".safetensors":
        return _safetensors_fault(path, size)
    if published_bytes is not None and size != published_bytes and path.suffix != ".json":
        cut = "cut short" if size < published_bytes else "another file"
        return f"has {size:,} bytes, the published one {published_bytes:,}: {cut}"
    return "is empty" if not size else ""


def _safetensors_fault(path: Path, size: int) -> str:
    with path.open("rb") as file:
        lead = file.read(_LENGTH_BYTES)
        length = struct.unpack("<Q", lead)[0] if len(lead) == _LENGTH_BYTES else 0
        if not 2 <= length <= _HEADER_LIMIT_BYTES:
            return "is no safetensors file"
        text = file.read(length)
    if len(text) < length:
        return f"is cut short within its header, after {size:,} bytes"
    try:
        header = json.loads(text)
        ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
        whole = _LENGTH_BYTES + length + max(ends, default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return "has a header that is no safetensors header"
    if size < whole:
        return f"is cut short: {size:,} of {whole:,} bytes"
    return f"has {size - whole:,} bytes too many" if size > whole else ""


def licence_line(wanted: Model) -> str:
    """The licence and whether commercial use is allowed, in a few words."""
    use = {True: "commercial use allowed", False: "NON-COMMERCIAL use only", None: "commercial use not settled"}
    return f"licence {wanted.licence.name} ({use[wanted.licence.commercial]})"


def fingerprint(name: str, path: Path) -> str:
    """What measured: the file, the first 16 digits of its sha256, and the licence."""
    return f"{path.name}/{digest(path)[:16]} ({licence_line(model(name))})"


def human(size_bytes: int) -> str:
    """A size as people read it: 6.11 GB, 357 bytes."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.3g} {unit}"
    return f"{size_bytes} bytes"


def _wanted(name: str, path: Path) -> str:
    """What should be at `path`, its size and its licence."""
    wanted = model(name)
    file = _file_at(wanted, path)
    size = file.size_bytes if file else wanted.size_bytes
    return f"{wanted.role}, {human(size)}, {licence_line(wanted)}"


def _file_at(wanted: Model, path: Path) -> File | None:
    return next((file for file in wanted.files if file.name == path.name), None)


def _command(wanted: Model, path: Path) -> str:
    """The command that puts the model where `path` was looked for."""
    within = Path(wanted.folder)
    depth = len(within.parts)
    folder = path.parent if _file_at(wanted, path) else path
    command = f"vividhead weights fetch {wanted.name}"
    if folder.parts[-depth:] == within.parts:
        root = folder.parents[depth - 1]
        command += "" if root == home() else f" --to {shlex.quote(str(root))}"
    return command + ("" if wanted.licence.commercial else " --accept-licence")
