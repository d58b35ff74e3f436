"""What candidate clips of a real dataset read, for telling how much of it a limit would drop."""

import re
from pathlib import Path

import numpy as np

from vividhead.audit.tables import Tables
from vividhead.calibrate.stats import Numbers


def candidate_readings(where: str, fields: list[str]) -> dict[str, Numbers]:
    """Field → readings of all candidate clips whose score was measured; NaN where the field has no value.

    Clips that a cheaper hard rule had refused before are not among them: nothing is known of those.
    """
    tables, out = Tables(where), dict[str, Numbers]()
    for field in fields:
        score, _, name = field.partition(".")
        table = f"measurements/{score}"
        if not tables.has(table) or name not in tables.schema(table).names:
            continue
        read = tables.read(table, ["status", name])
        asked = np.isin(np.array(read["status"].to_pylist()), ("measured", "unmeasurable"))
        values_N = np.array([np.nan if v is None else v for v in read[name].to_pylist()], float)
        out[field] = values_N[asked]
    return out


def short_name(where: str) -> str:
    """A dataset's name for reports: its folder's, not the way to it."""
    parts = [part for part in re.split(r"[/\\]", str(Path(where))) if part not in ("", ".", "..")]
    return "/".join(parts[-2:])
