"""What is known of a third-party model: its files, where they come from, and under which licence."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from vividhead.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """Under which terms a model's files may be used."""

    name: str
    commercial: bool | None
    """Whether commercial use is allowed; None where the publisher does not say."""
    note: str = ""
    """What a user must know before accepting, and where it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of a model, or the archive that holds a model's files."""

    name: str
    address: str
    """Where the publisher keeps it; empty for a file that comes out of the model's archive."""
    size_bytes: int
    sha256: str | None = None
    """None where no digest is published."""

    def __post_init__(self) -> None:
        """Refuse a name that would leave its folder."""
        _within(self.name, parts=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Files that only make sense together, in one folder."""

    name: str
    """As in `vividhead weights fetch NAME`."""
    role: str
    folder: str
    """Where its files lie under a weights folder or a checkpoint; the publisher's own folder name."""
    licence: Licence
    files: tuple[File, ...]
    used_by: tuple[str, ...] = field(default=())
    """What needs it, in the user's words."""
    archive: File | None = None
    """The zip that the publisher keeps the files in."""

    def __post_init__(self) -> None:
        """Refuse a folder that would leave the weights folder."""
        _within(self.folder, parts=4)

    @property
    def size_bytes(self) -> int:
        """Size of all files together."""
        return sum(file.size_bytes for file in self.files)


def _within(name: str, parts: int) -> None:
    path = PurePosixPath(name)
    plain = str(path) == name and not path.is_absolute() and "\\" not in name and ".." not in path.parts
    if not plain or not 1 <= len(path.parts) <= parts:
        raise UsageError(f"{name!r} is no name of a file or folder within a weights folder")
