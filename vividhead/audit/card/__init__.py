"""`vividhead card`: what a dataset is, for people (README.md) and for machines (croissant.json)."""

import json
from pathlib import Path

from vividhead.audit.card.croissant import croissant
from vividhead.audit.card.figures import card_figures
from vividhead.audit.card.lineage import lineage
from vividhead.audit.card.markdown import MARK, card
from vividhead.audit.tables import Tables
from vividhead.errors import UsageError
from vividhead.ledger import write_atomically

__all__ = ["lineage", "write_card"]


def write_card(dataset: str | Path, name: str | None = None) -> tuple[Path, Path]:
    """Write README.md and croissant.json into the dataset folder; a README.md of another hand is left alone."""
    tables = Tables(dataset)
    if tables.folder is None:
        raise UsageError(f"{tables.where}: a card is written into the dataset; give a local folder")
    readme, description = tables.folder / "README.md", tables.folder / "croissant.json"
    if readme.is_file() and MARK not in readme.read_text(encoding="utf-8", errors="replace"):
        raise UsageError(f"{readme} was not written by `vividhead card`: move it away, or it would be lost")
    found = card_figures(tables, name or tables.folder.absolute().name)
    columns = {field.name: str(field.type) for field in tables.schema("manifest")}
    described = croissant(found, tables.folder, columns)
    text = json.dumps(described, indent=1, ensure_ascii=False)
    write_atomically(readme, card(found).encode(errors="backslashreplace"))
    write_atomically(description, text.encode(errors="backslashreplace"))
    return readme, description
