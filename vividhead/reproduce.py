"""Run a quarantined unit again in this process: the error as it happens, nothing committed."""

import tempfile
from dataclasses import replace
from pathlib import Path

from vividhead.dataset import read_run
from vividhead.errors import UsageError
from vividhead.ledger import Ledger
from vividhead.pipeline import load_pipeline
from vividhead.plain import from_plain
from vividhead.policy import load_policy
from vividhead.stages import run_unit
from vividhead.units import Job, Unit


def _failed_unit(dataset: Path, name: str) -> tuple[str, str, Unit, str | None]:
    stage, _, key = name.partition("/")
    record = Ledger(dataset).read(stage, key) if key and Path(key).name == key and Path(stage).name == stage else None
    if record is None or "failed" not in record:
        raise UsageError(f"{name} is no failed unit of {dataset}; `vividhead status {dataset}` names them")
    return stage, key, from_plain(Unit, record["unit"]), record.get("here")


def reproduce(dataset: Path, name: str) -> str:
    """Run the unit `<stage>/<key>` on a scratch copy of its ledger entries; its exception comes through as it is."""
    run = read_run(dataset)
    stage, _, unit, here = _failed_unit(dataset, name)
    with tempfile.TemporaryDirectory(prefix="vividhead-reproduce-") as scratch:
        for kind in ("pipeline", "filters"):
            (Path(scratch) / f"{kind}.toml").write_text(run[kind]["text"], encoding="utf-8")
        pipeline = replace(load_pipeline(f"{scratch}/pipeline.toml"), name=run["pipeline"]["name"])
        policy = load_policy(f"{scratch}/filters.toml", pipeline.measure.scores)
        before = Path(scratch) / "ledger"
        for stage_before in ("scan", "measure", "more"):
            if unit.segment is not None and (Ledger(dataset).root / stage_before).is_dir():
                (before / stage_before).mkdir(parents=True)
                for path in (Ledger(dataset).root / stage_before).glob(f"{unit.segment.segment_id}-*"):
                    if not path.name.startswith(unit.key):
                        (before / stage_before / path.name).symlink_to(path.resolve())
        run_unit(unit, Job(dataset=scratch, pipeline=pipeline, policy=policy, here=here), lambda: None)
    retry = f"vividhead reproduce {dataset} {name} --forget"
    return f"{stage}: went through this time; `{retry}` lets the next run try it again"


def forget(dataset: Path, name: str) -> str:
    """Take the failure back."""
    stage, key, *_ = _failed_unit(dataset, name)
    Ledger(dataset).forget(stage, key)
    return f"{name} is forgotten; run curate again to retry it"
