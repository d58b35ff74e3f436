"""The dataset as Croissant 1.0: files with their digests, and the manifest's columns as a record set.

The format: https://docs.mlcommons.org/croissant/docs/croissant-spec.html
"""

import hashlib
import re
from pathlib import Path
from typing import Any

from vividhead.audit.card.figures import CardFigures
from vividhead.audit.card.markdown import hub_licence
from vividhead.audit.page import duration
from vividhead.manifest import MANIFEST
from vividhead.schemas import all_fields

_TYPES = {"string": "sc:Text", "bool": "sc:Boolean", "int32": "sc:Integer", "int64": "sc:Integer", "double": "sc:Float"}
_TERMS = """citeAs column extract field fileObject fileProperty fileSet format includes isLiveDataset jsonPath key md5
    parentField path recordSet references regex repeated replace separator source subField transform""".split()
_CONTEXT: dict[str, Any] = {
    "@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/", "conformsTo": "dct:conformsTo",
    **{term: f"cr:{term}" for term in _TERMS},
    "data": {"@id": "cr:data", "@type": "@json"}, "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
}  # fmt: skip


def croissant(f: CardFigures, folder: Path, columns: dict[str, str]) -> dict[str, Any]:
    """The JSON-LD; `columns` are the manifest's, name → Arrow type."""
    tables = [path for path in ("manifest", "sources", "segments", "clips") if (folder / f"{path}.parquet").is_file()]
    files = [_file(f"{name}.parquet", "application/x-parquet", folder / f"{name}.parquet") for name in tables]
    shards = [_described(f"shards/{name}", "application/x-tar", size, digest) for name, size, digest in f.shards]
    licences = [hub_licence(terms.licence) or terms.licence for terms in f.terms]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": _identifier(f.name),
        "description": f"{f.n_kept} clips of one speaking face each, {duration(f.kept_s)}. {f.policy.description}",
        "license": sorted({licence or "not given" for licence in licences}) or ["not given"],
        "version": "1.0.0",
        **({"inLanguage": list(f.languages)} if f.languages else {}),
        "distribution": [*files, *shards],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "clips",
                "name": "clips",
                "description": "A row for each kept clip: where it is from, where its bytes are, what was measured.",
                "key": {"@id": "clips/clip_id"},
                "field": [_field(name, _TYPES[kind]) for name, kind in columns.items() if kind in _TYPES],
            }
        ],
        "rai:dataLimitations": "One speaker in view, cropped to a square around the face. See README.md.",
        "rai:personalSensitiveInformation": "Faces and voices of people; consent as the source list gave it.",
    }


def _identifier(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "dataset"


def _file(name: str, kind: str, path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return _described(name, kind, path.stat().st_size, digest)


def _described(name: str, kind: str, size: int, digest: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": name, "contentSize": f"{size} B",
        "encodingFormat": kind, "sha256": digest,
    }  # fmt: skip


def _meanings() -> dict[str, str]:
    units = {column.name: (column.meaning, column.unit) for column in MANIFEST}
    units |= {f"{score}.{field}": (about.meaning, about.unit) for score, field, about in all_fields()}
    return {name: f"{meaning} [{unit}]" if unit else meaning for name, (meaning, unit) in units.items()}


def _field(name: str, kind: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field", "@id": f"clips/{name}", "name": name, "description": _meanings().get(name, name),
        "dataType": kind,
        "source": {"fileObject": {"@id": "manifest.parquet"}, "extract": {"column": name}},
    }  # fmt: skip
