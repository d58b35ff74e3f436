"""Files drawn by chance go through the main job in a scratch folder, each unit with its clock.

Twice: as the pipeline has it, for what stages cost and what is kept; then measuring everything of every clip, for what
each score costs and refuses by itself. Units run one at a time, so that CPU seconds are those of a core to itself.
"""

import hashlib
import json
import re
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vividhead.audit.account import SourceAccount, account
from vividhead.ledger import Ledger
from vividhead.main_job import curate
from vividhead.manifest import MEMBERS
from vividhead.pipeline import Pipeline
from vividhead.plain import from_plain, utf8
from vividhead.plan.footage import File, There
from vividhead.progress import Progress
from vividhead.records import Clip, Measurement
from vividhead.score import SPENT_S, loaded_score
from vividhead.stages import run_unit
from vividhead.units import Job, Unit
from vividhead.view import open_dataset

LEAST_FILES = 5
"""Fewer say nothing of how files differ."""
STAGES = ("ingest", "scan", "measure", "pack")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One file."""

    uri: str
    duration_s: float
    kept_s: float
    packed_bytes: int
    """In shards."""
    outcome: str
    """kept (some of it), rejected, duplicate or failed."""
    cpu_s: dict[str, float]
    """Stage → CPU seconds."""
    score_cpu_s: dict[str, float]
    """Score → CPU seconds over all clips, were each to measure all of its clips."""


@dataclass(frozen=True, slots=True)
class TriedClip:
    """A candidate clip with every score measured."""

    duration_s: float
    rows: dict[str, Measurement]


def drawn(there: There, share: float, seed: int) -> list[File]:
    """Files in an order of chance until `share` of the seconds is reached; a larger share adds to a smaller one."""
    order = sorted(there.files, key=lambda file: hashlib.sha256(f"{seed}|{utf8(file.listed.uri)}".encode()).digest())
    wanted_s, taken_s = share * there.summary.duration_s, 0.0
    taken: list[File] = []
    for file in order:
        if taken_s >= wanted_s and len(taken) >= LEAST_FILES:
            break
        taken.append(file)
        taken_s += file.duration_s
    return taken


def tried(
    files: Sequence[File], pipeline: Pipeline, filters: str, progress: Progress
) -> tuple[tuple[Trial, ...], list[TriedClip]]:
    """Curate these files in a scratch folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="vividhead-plan-") as scratch:
        place, dataset = Path(scratch), Path(scratch) / "dataset"
        listed = place / "sample.jsonl"
        listed.write_text("".join(json.dumps({"uri": str(Path(f.listed.uri).absolute())}) + "\n" for f in files))
        as_is, everything = place / "as-is.toml", place / "everything.toml"
        as_is.write_text(pipeline.text, encoding="utf-8")
        everything.write_text(exhaustive(pipeline.text), encoding="utf-8")

        def run(settings: Path, told: Progress) -> None:
            curate(
                str(listed), dataset, pipeline=str(settings), filters=filters, on="local", workers=1,
                progress=told, entry="vividhead.plan.trial:timed_unit",
            )  # fmt: skip

        run(as_is, progress)
        kept = _kept(dataset)
        run(everything, Progress())
        spent = _spent(dataset)
        clips = _clips(dataset)
    return tuple(_trial(source, kept, spent) for source in kept.sources), clips


def exhaustive(text: str) -> str:
    """A pipelines file that also measures what a broken hard rule would spare."""
    line = "exhaustive = true"
    changed, count = re.subn(r"(?m)^exhaustive\s*=\s*\w+", line, text)
    if count:
        return changed
    changed, count = re.subn(r"(?m)^\[measure\].*$", f"[measure]\n{line}", text)
    return changed if count else f"{text}\n[measure]\n{line}\n"


def timed_unit(unit: Unit, job: Job, beat: Callable[[], None]) -> None:
    """As `stages.run_unit`, in the child process, with a line of CPU seconds left beside the dataset."""
    _models_of(job.pipeline.measure.scores)
    scores: dict[str, float] = {}
    token = SPENT_S.set(scores)
    began = time.process_time()
    try:
        run_unit(unit, job, beat)
    finally:
        SPENT_S.reset(token)
        line = {
            "uri": unit.listed.uri, "stage": unit.stage, "cpu_s": time.process_time() - began, "scores": scores,
            "everything": job.pipeline.measure.exhaustive,
        }  # fmt: skip
        with _costs(Path(job.dataset)).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


@cache
def _models_of(scores: tuple[str, ...]) -> None:
    """Load them before the clock starts: a run loads them once, not once in a few files."""
    for name in scores:
        loaded_score(name)


def _costs(dataset: Path) -> Path:
    return dataset.with_name("costs.jsonl")


@dataclass(slots=True)
class _Spent:
    """CPU seconds by uri, then by stage or score."""

    stages: dict[str, dict[str, float]]
    scores: dict[str, dict[str, float]]


def _spent(dataset: Path) -> _Spent:
    stages: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(STAGES, 0.0))
    scores: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for text in _costs(dataset).read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        if not line["everything"]:
            stages[line["uri"]]["measure" if line["stage"] == "more" else line["stage"]] += line["cpu_s"]
        for name, spent_s in line["scores"].items():
            scores[line["uri"]][name] += spent_s
    return _Spent(stages, scores)


@dataclass(slots=True)
class _Kept:
    """What became of the files, as the pipeline has it."""

    sources: list[SourceAccount]
    packed_bytes: Counter[str]
    """By uri."""


def _kept(dataset: Path) -> _Kept:
    there = open_dataset(dataset)
    packed: Counter[str] = Counter()
    for row in there.table("manifest").to_pylist():
        packed[row["uri"]] += sum(row[f"{member}_bytes"] for member in MEMBERS)
    return _Kept(account(there).sources, packed)


def _trial(source: SourceAccount, kept: _Kept, spent: _Spent) -> Trial:
    return Trial(
        uri=source.uri, duration_s=source.duration_s, kept_s=source.seconds["kept"],
        packed_bytes=kept.packed_bytes[source.uri], outcome=source.outcome,
        cpu_s=dict(spent.stages[source.uri]), score_cpu_s=dict(spent.scores[source.uri]),
    )  # fmt: skip


def _clips(dataset: Path) -> list[TriedClip]:
    """Every candidate with the newest row of each score."""
    ledger, lengths = Ledger(dataset), dict[str, float]()
    rows: dict[str, dict[str, Measurement]] = defaultdict(dict)
    for stage in ("measure", "more"):
        for key in ledger.keys(stage):
            record = ledger.read(stage, key)
            if record is None or "failed" in record:
                continue
            found = record["measured"]["measurements"] if stage == "measure" else record["measurements"]
            for row in (from_plain(Measurement, data) for data in found):
                if row.status != "skipped":
                    rows[row.clip_id][row.score] = row
            if stage == "measure":
                clips = [from_plain(Clip, data) for data in record["measured"]["clips"]]
                lengths |= {clip.clip_id: clip.duration_s for clip in clips}
    return [TriedClip(length_s, rows[clip_id]) for clip_id, length_s in lengths.items()]
