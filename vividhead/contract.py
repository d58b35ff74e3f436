"""The tables' contract for people who read no Python: `python -m vividhead.contract [--check] FOLDER`.

Writes, or with `--check` compares, README.md and one JSON Schema for each table and for `vividhead status --json`.
With `--example DATASET` it also copies that dataset's tables to FOLDER/example, without media.
"""

import argparse
import json
import math
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vividhead.dataset import SCHEMA_VERSION, read_run
from vividhead.manifest import MANIFEST, MEASUREMENTS, Column, parquet, read
from vividhead.schemas import TABLES, all_fields, schemas
from vividhead.score import Field, score_class, score_names

if TYPE_CHECKING:
    import pyarrow

README_HEAD = """# The tables of a dataset, column by column

Generated from the code by `python -m vividhead.contract manifests`; a test compares. Do not edit.

`vividhead curate` leaves these files, all of them readable without vividhead:

```
run.toml                                     what made it: pipeline and filters as they were read, versions
sources.parquet segments.parquet clips.parquet
measurements/<score>/measurements.parquet    a new score adds a folder, never a column
decisions/<digest>/decisions.parquet         one folder for each filters file that was run
manifest.parquet                             one wide row for each kept clip; absent while shards change
shards/<prefix>-000000.tar                   <clip_id>.mp4 .flac .landmarks.npz .json
revoked/000001.json                          a signed receipt for each revocation: what must stay out, and why
ledger/                                      what is done, for resuming; no contract, do not read it
```

The schema version is {version}; a dataset carries its own in run.toml, `[versions] schema`, and `since` says which
version brought a column. Datasets of an older version are refused with the command that writes their tables anew from
the ledger (`vividhead repair DATASET`), those of a newer one with the advice to update.

`source_id`, `segment_id` and `clip_id` join the tables. Frames are those of the 25 fps grid, counted from the
source's first; spans are half open, `[start_frame, end_frame)`; frame k owns the samples 640k … 640k+639 of the
16 kHz sound. Boxes are in pixels of the upright, square-pixel picture. Null is unknown, not given or not applicable:
no number ever stands for it.

Beside this file lie JSON Schemas (draft 2020-12), one for a row of each table and one for `vividhead status --json`,
and in `example/` the tables of a small run on synthetic footage: `vividhead status manifests/example`.

```sql
-- DuckDB: why footage was rejected, in seconds
SELECT reasons[1].code AS first_broken, round(sum(duration_s), 1) AS seconds
FROM 'manifests/example/clips.parquet' JOIN 'manifests/example/decisions/*/decisions.parquet' USING (clip_id)
WHERE NOT kept GROUP BY 1 ORDER BY 2 DESC;
```

A dataset judged by several policies has a folder in `decisions/` for each: name the one you mean in place of the
star. The newest one's digest stands in run.toml, `[filters] digest`. When clips or measurements change, the others'
decisions are taken away, as they would no longer be true: `vividhead rejudge` makes them anew in seconds.

A reason's code is `<score>.<field>:<kind>`. The kinds are `low` and `high` (a limit is broken; value and limit stand
beside), `unmeasurable` (the clip has no such value; `detail` says why), `failed` (measuring it went wrong) and
`skipped` (a cheaper hard rule had already rejected the clip). The one code without a rule is `revoked`: the clip is out
for good, `detail` names the receipt. Beside decisions that `vividhead rejudge` wrote lie their filters, filters.toml.
"""


def readme() -> str:
    """README.md: every table and column."""
    parts = [README_HEAD.replace("{version}", str(SCHEMA_VERSION))]
    for columns, file, meaning in TABLES.values():
        parts.append(_section(file, meaning, columns))
    meaning = (
        "One file for each score; one row for each candidate clip that it was run on. These columns come first, then "
        "one `double` for each field of the score, and one `string` for each of its texts:"
    )
    parts.append(_section("measurements/<score>/measurements.parquet", meaning, MEASUREMENTS))
    parts.append(_fields())
    meaning = (
        "One row for each kept clip, in the order of the shards. After these columns come one `double` for each field "
        "and one `string` for each text of each score that was taken, named `<score>.<field>`. `<member>_offset` and "
        "`<member>_bytes` give a member's own bytes: no tar reader is needed."
    )
    parts.append(_section("manifest.parquet", meaning, MANIFEST))
    return "\n".join(parts)


def _section(file: str, meaning: str, columns: Sequence[Column]) -> str:
    rows = [
        (f"`{c.name}`", f"`{c.type}`", c.unit, "yes" if c.may_be_null else "", c.meaning, str(c.since)) for c in columns
    ]
    return f"## {file}\n\n{meaning}\n\n" + _table(("column", "type", "unit", "null?", "meaning", "since"), rows)


def _fields() -> str:
    rows = [(f"`{score}.{field}`", about.unit, _range(about), about.meaning) for score, field, about in all_fields()]
    rows += [(f"`{name}.{text}`", "", "text", says) for name in score_names() for text, says in _texts(name)]
    return "### Fields of the scores\n\n" + _table(("field", "unit", "range", "meaning"), rows)


def _texts(score: str) -> Iterable[tuple[str, str]]:
    return score_class(score).texts.items()


def _range(field: Field) -> str:
    low, high = (f"{end:g}" if math.isfinite(end) else "" for end in (field.low, field.high))
    return f"{low} … {high}" if low or high else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n" for line in lines)


def contract() -> dict[str, str]:
    """File name → text of every generated file."""
    texts = {name: json.dumps(schema, ensure_ascii=False, indent=1) + "\n" for name, schema in schemas().items()}
    return {"README.md": readme(), **texts}


def differences(folder: Path) -> list[str]:
    """What is missing, outdated or left over in `folder`, one line each."""
    expected = contract()
    lines = [
        f"{name} is {'outdated' if (folder / name).is_file() else 'missing'}"
        for name, text in expected.items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]
    return lines + [f"{p.name} is left over" for p in sorted(folder.glob("*.schema.json")) if p.name not in expected]


def write(folder: Path) -> None:
    """Write the generated files and remove those of tables that are no more."""
    folder.mkdir(parents=True, exist_ok=True)
    expected = contract()
    for path in folder.glob("*.schema.json"):
        if path.name not in expected:
            path.unlink()
    for name, text in expected.items():
        (folder / name).write_text(text, encoding="utf-8")


def copy_example(dataset: Path, folder: Path) -> None:
    """Copy run.toml and the tables of `dataset` to `folder`, anew, without the place where its footage lay."""
    where = Path(read_run(dataset)["input"]["where"])
    place = f"{where.parent}/"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    text = (dataset / "run.toml").read_text(encoding="utf-8")
    text = re.sub(r"(?m)^(system|processor) = .*$", r'\1 = ""', text.replace(place, ""))  # whose machine is no example
    (folder / "run.toml").write_text(text, encoding="utf-8")
    for path in sorted(dataset.rglob("*.parquet")):
        target = folder / path.relative_to(dataset)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(parquet(_without(place, read(path))))


def _without(place: str, table: "pyarrow.Table") -> "pyarrow.Table":
    import pyarrow as pa
    from pyarrow import compute

    for at, field in enumerate(table.schema):
        if field.type == pa.string():
            table = table.set_column(at, field, compute.replace_substring(table.column(at), place, ""))
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or compare; 1 when `--check` finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m vividhead.contract", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing, say what differs")
    parser.add_argument("--example", type=Path, metavar="DATASET", help="also copy this dataset's tables")
    asked = parser.parse_args(arguments)
    if asked.check:
        lines = differences(asked.folder)
        sys.stdout.writelines(f"{asked.folder}: {line}\n" for line in lines)
        return 1 if lines else 0
    write(asked.folder)
    if asked.example is not None:
        copy_example(asked.example, asked.folder / "example")
    return 0


if __name__ == "__main__":
    sys.exit(main())
