"""People's verdicts on clips, beside the dataset: only ever added, one file each, there whole or not at all.

    labels/20261122T201500.123456Z-<8 hex digits>.json    clip_id, label, reason, by, at_utc, filters, vividhead

The newest of a clip counts. Whoever uses them reads them with `read_labels`, and needs no inspector for it.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from vividhead.errors import DatasetError, UsageError
from vividhead.ledger import write_atomically
from vividhead.plain import from_plain, to_plain, utf8

Verdict = Literal["good", "bad"]
MOST_LETTERS = 2000
"""Of a reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What somebody thought of a clip."""

    clip_id: str
    label: Verdict
    reason: str
    by: str
    at_utc: str
    """ISO 8601 with microseconds."""
    filters: str
    """Digest of the filters that the dataset was judged by at the time."""
    vividhead: str


def add_label(dataset: Path, clip_id: str, label: Verdict, reason: str, by: str, filters: str) -> Label:
    """Store a verdict; raises UsageError for a reason that is none, StorageError where it cannot be written."""
    reason, by = utf8(" ".join(reason.split())), utf8(" ".join(by.split()))
    if len(reason) > MOST_LETTERS or len(by) > 200:
        raise UsageError(f"a reason may have {MOST_LETTERS} letters and a name 200")
    now = datetime.now(UTC)
    made = Label(
        clip_id=clip_id,
        label=label,
        reason=reason,
        by=by,
        at_utc=now.isoformat(),
        filters=filters,
        vividhead=version("vividhead"),
    )
    path = dataset / "labels" / f"{now:%Y%m%dT%H%M%S.%f}Z-{secrets.token_hex(4)}.json"
    write_atomically(path, json.dumps(to_plain(made), ensure_ascii=True, sort_keys=True).encode())
    return made


def read_labels(dataset: Path) -> list[Label]:
    """All verdicts, the oldest first; raises DatasetError naming a file that is damaged."""
    out = []
    for path in sorted((dataset / "labels").glob("[0-9]*.json")):
        try:
            out.append(from_plain(Label, json.loads(path.read_bytes())))
        except (ValueError, TypeError) as fault:
            raise DatasetError(f"{path} is damaged ({fault}); move it away") from fault
    return out


def newest(labels: list[Label]) -> Mapping[str, Label]:
    """Clip → the verdict that counts."""
    return {label.clip_id: label for label in labels}
