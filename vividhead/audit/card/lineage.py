"""A clip's way from the footage's bytes, by the code that made it, as W3C PROV-JSON.

    source bytes ─ used ─ curate (pipeline, filters, versions) ─ generated ─ clip's members
The format: https://www.w3.org/submissions/prov-json/
"""

from typing import Any

import pyarrow.compute

from vividhead.audit.tables import Tables
from vividhead.errors import UsageError
from vividhead.manifest import MEMBERS


def lineage(tables: Tables, clip_id: str) -> dict[str, Any]:
    """PROV-JSON of one kept clip; raises UsageError where there is no such clip."""
    manifest = tables.read("manifest")
    rows = manifest.filter(pyarrow.compute.equal(manifest["clip_id"], clip_id)).to_pylist(maps_as_pydicts="strict")
    if not rows:
        raise UsageError(f"{clip_id} is no kept clip of {tables.where}; `vividhead explain` knows the others")
    (row,) = rows
    run = tables.run
    source, clip, activity = f"sha256:{row['source_id']}", f"vh:clip/{clip_id}", f"vh:run/{tables.digest}"
    pipeline, filters = f"vh:pipeline/{run['pipeline']['digest']}", f"vh:filters/{run['filters']['digest']}"
    members = {
        f"sha256:{row[f'{member}_sha256']}": {
            "prov:label": f"{clip_id}.{member}", "vh:shard": row["shard"], "vh:offset": row[f"{member}_offset"],
            "vh:bytes": row[f"{member}_bytes"],
        }
        for member in MEMBERS
    }  # fmt: skip
    given = ("uri", "given_id", "licence", "consent", "language")
    span = ("start_frame", "end_frame", "start_s_in_source", "end_s_in_source")
    crop = ("crop_x0_px", "crop_y0_px", "crop_x1_px", "crop_y1_px")
    return {
        "prefix": {"vh": "urn:vividhead:", "sha256": "urn:sha256:", "prov": "http://www.w3.org/ns/prov#"},
        "entity": {
            source: {f"vh:{name}": row[name] for name in given if row[name] is not None},
            clip: {"prov:type": "prov:Collection"} | {f"vh:{name}": row[name] for name in (*span, *crop)},
            **members,
            pipeline: {"prov:type": "prov:Plan", "vh:name": run["pipeline"]["name"]},
            filters: {"prov:type": "prov:Plan", "vh:name": run["filters"]["name"]},
        },
        "activity": {activity: {"prov:label": "vividhead curate", "vh:scores": _scores(tables, clip_id)}},
        "agent": {
            "vh:code": {
                "prov:type": "prov:SoftwareAgent",
                **{f"vh:{name}": value for name, value in run["versions"].items()},
            }
        },
        "used": {"_:used": {"prov:activity": activity, "prov:entity": source}},
        "wasGeneratedBy": {
            f"_:made{at}": {"prov:entity": entity, "prov:activity": activity}
            for at, entity in enumerate((clip, *members))
        },
        "wasDerivedFrom": {"_:from": {"prov:generatedEntity": clip, "prov:usedEntity": source}},
        "hadMember": {
            f"_:member{at}": {"prov:collection": clip, "prov:entity": entity} for at, entity in enumerate(members)
        },
        "wasAssociatedWith": {
            f"_:by{at}": {"prov:activity": activity, "prov:agent": "vh:code", "prov:plan": plan}
            for at, plan in enumerate((pipeline, filters))
        },
    }


def _scores(tables: Tables, clip_id: str) -> dict[str, str]:
    """Score → its version and model, as they measured this clip."""
    out = {}
    for score in tables.names("measurements"):
        table = tables.read(f"measurements/{score}", ["clip_id", "version", "fingerprint"])
        for row in table.filter(pyarrow.compute.equal(table["clip_id"], clip_id)).to_pylist():
            out[score] = f"version {row['version']} {row['fingerprint']}".strip()
    return out
