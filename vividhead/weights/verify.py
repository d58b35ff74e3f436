"""Whether the files in a weights folder are what was published: by size, header and digest."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vividhead.errors import VividHeadError
from vividhead.weights.fetched import recorded, sha256_of
from vividhead.weights.files import File, Model
from vividhead.weights.folder import fault_in, home, human
from vividhead.weights.registry import MODELS, model

State = Literal["published", "as fetched", "unproved", "missing", "wrong"]
"""`as fetched`: no digest is published, the file is as it was fetched. `unproved`: neither is known; size and header
are right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One file of a model, held against what is known of it."""

    model: str
    path: Path
    state: State
    detail: str

    def __str__(self) -> str:
        return f"{self.state:10}  {self.model}  {self.path}  {self.detail}"


def verify(name: str | None = None, folder: Path | None = None) -> list[Finding]:
    """Hold every file of one model, or of all that are there, against size, digest and header.

    Reads the files in full. Raises VividHeadError where there is nothing to verify.
    """
    root = folder or home()
    models = [model(name)] if name else [known for known in MODELS if any_of(known, root)]
    if not models:
        raise VividHeadError(f"{root} holds none of the known model files; `vividhead weights list` names them")
    return [_finding(known, file, root) for known in models for file in known.files]


def any_of(known: Model, root: Path) -> bool:
    """Whether at least one file of a model is there."""
    return any((root / known.folder / file.name).is_file() for file in known.files)


def _finding(known: Model, file: File, root: Path) -> Finding:
    path = root / known.folder / file.name
    state, detail = _held(path, file)
    return Finding(model=known.name, path=path, state=state, detail=detail)


def _held(path: Path, file: File) -> tuple[State, str]:
    if not path.is_file():
        return "missing", human(file.size_bytes)
    size = path.stat().st_size
    if fault := fault_in(path, file.size_bytes):
        return "wrong", fault
    if size != file.size_bytes:
        return "wrong", f"has {size:,} bytes, the published file {file.size_bytes:,}"
    found, note = sha256_of(path), recorded(path)
    if file.sha256 is not None:
        right = found == file.sha256
        return ("published", f"sha256 {found}") if right else ("wrong", f"sha256 {found}, published {file.sha256}")
    if note is not None:
        right = found == note.sha256
        return ("as fetched", f"sha256 {found}") if right else ("wrong", f"sha256 {found}, fetched as {note.sha256}")
    return "unproved", f"no digest is published or recorded; sha256 {found}"
