"""What a dataset folder holds: to compare two runs, to take parts of one back."""

import hashlib
import shutil
from pathlib import Path

from vividhead.ledger import Ledger

OF_ONE_RUN = ("ledger", "run.toml", ".lock")
"""What may differ between two runs that made the same dataset."""


def tree(dataset: Path) -> dict[str, str]:
    """Path → sha256 of each file of the dataset itself: tables, shards, manifest."""
    files = sorted(path for path in dataset.rglob("*") if path.is_file())
    inside = [(path.relative_to(dataset), path) for path in files]
    return {
        str(name): hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in inside
        if name.parts[0] not in OF_ONE_RUN
    }


def copied(dataset: Path, to: Path) -> Path:
    """A copy to spoil."""
    shutil.copytree(dataset, to)
    return to


def commits(dataset: Path) -> set[tuple[str, str]]:
    """(stage, key) of all that the ledger holds."""
    ledger = Ledger(dataset)
    stages = [folder.name for folder in ledger.root.iterdir()] if ledger.root.is_dir() else []
    return {(stage, key) for stage in stages for key in ledger.keys(stage)}


def segment_of(footage: Path) -> str:
    """The id of the first segment of a file, with which the keys of its units begin."""
    return f"{hashlib.sha256(footage.read_bytes()).hexdigest()[:16]}-0000000"


def undo(dataset: Path, stage: str, beginning: str = "") -> list[str]:
    """Take back the commits of a stage whose keys begin so; returns the keys."""
    ledger = Ledger(dataset)
    keys = ledger.keys(stage, beginning)
    for key in keys:
        ledger.forget(stage, key)
    return keys
