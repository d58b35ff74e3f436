"""What curation costs on footage as it comes: a film of which a twelfth is worth keeping, against its plain decode.

Of 10,000 hours the makers of the VividHead set kept 782. What became of the rest they do not say: `SHARES` is our
guess of a usual archive, and the figures are those of that mix.
"""

import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vividhead.bench import STAGES, File, costs_of, plain_decode_s, warm_up
from vividhead.errors import MediaError, VividHeadError
from vividhead.faces import hushed
from vividhead.ingest import find
from vividhead.ledger import Ledger
from vividhead.media.transcode import as_720p, laid_end_to_end
from vividhead.pipeline import load_pipeline
from vividhead.policy import load_policy
from vividhead.units import Job

SHARES = {"kept": 0.08, "rejected after decode": 0.32, "rejected at scan": 0.60}
"""Part of the film's seconds, by what becomes of them."""
GOAL = 1.0
"""The most that curation of the mix may cost, in plain decodes of it."""
REEL_S = 600.0
"""Length of a film; a longer mix is several."""


def bench_mix(footage: str, filters: str, minutes: float, told: Callable[[str], None]) -> dict[str, Any]:
    """Make `minutes` of mixed film out of the footage, curate it in this process, and return the figures.

    Each file is made a 720p piece and curated alone first, to learn what becomes of it. Raises VividHeadError where
    none is kept, or none rejected at one of the stages.
    """
    pipeline = load_pipeline()
    policy = load_policy(filters, pipeline.measure.scores)
    with tempfile.TemporaryDirectory(prefix="vividhead-bench-") as scratch, hushed():
        job = Job(dataset=f"{scratch}/dataset", pipeline=pipeline, policy=policy)
        pieces = list(_pieces(footage, Path(scratch)))
        warm_up(pieces, job, Path(scratch))
        told(f"what becomes of {len(pieces)} pieces")
        alone = {path: costs_of(path, 1.0, job, Ledger(Path(job.dataset))) for path in pieces}
        reels = _reels(by_fate(alone), minutes * 60, Path(scratch))
        told(f"curating {len(reels)} films")
        anew = Job(dataset=f"{scratch}/mix", pipeline=pipeline, policy=policy)
        files = [costs_of(reel, plain_decode_s(reel), anew, Ledger(Path(anew.dataset))) for reel in reels]
    return _figures(files)


def _pieces(footage: str, scratch: Path) -> Iterator[Path]:
    for at, entry in enumerate(find(footage)):
        piece = scratch / f"piece{at}.mkv"
        try:
            as_720p(Path(entry.uri), piece)
        except MediaError:  # no video, or no sound: no part of a film
            continue
        yield piece


def by_fate(alone: Mapping[Path, File]) -> dict[str, list[tuple[Path, float]]]:
    """The pieces (and their seconds) of each fate in `SHARES`; of kept ones, those kept for the most part."""
    found: dict[str, list[tuple[Path, float]]] = {fate: [] for fate in SHARES}
    for path, file in alone.items():
        if file.fate in found and (file.fate != "kept" or file.kept_s > 0.8 * file.duration_s):
            found[file.fate].append((path, file.duration_s))
    missing = [fate for fate, pieces in found.items() if not pieces]
    if missing:
        raise VividHeadError(f"no file of the footage is {missing[0]}: a mix wants some of {', '.join(SHARES)}")
    return found


def drawn(pieces: Mapping[str, Sequence[tuple[Path, float]]], duration_s: float, seed: int = 0) -> list[Path]:
    """Whole pieces in a shuffled order, of each fate as near its share of `duration_s` as they go, at least one."""
    taken = []
    for fate, share in SHARES.items():
        left = share * duration_s
        for path, length_s in itertools.cycle(pieces[fate]):
            taken.append(path)
            left -= length_s
            if left < length_s / 2:
                break
    return [taken[at] for at in np.random.default_rng(seed).permutation(len(taken))]


def _reels(pieces: Mapping[str, Sequence[tuple[Path, float]]], duration_s: float, scratch: Path) -> list[Path]:
    count = max(1, round(duration_s / REEL_S))
    reels = [scratch / f"reel{at}.mkv" for at in range(count)]
    for seed, reel in enumerate(reels):
        laid_end_to_end(drawn(pieces, duration_s / count, seed), reel)
    return reels


def _figures(files: Sequence[File]) -> dict[str, Any]:
    plain_s, seconds = sum(f.plain_s for f in files), sum(f.duration_s for f in files)
    stages = {stage: sum(f.stages_s[stage] for f in files) / plain_s for stage in STAGES}
    whole = sum(stages.values())
    return {
        "duration_s": round(seconds, 1), "kept_fraction": round(sum(f.kept_s for f in files) / seconds, 4),
        "plain_decode_cpu_s_per_s": round(plain_s / seconds, 5),
        "in_plain_decodes": {**{name: round(part, 3) for name, part in stages.items()}, "all": round(whole, 3)},
        "goal": GOAL, "core_hours_of_10000_h": round(10_000 * whole * plain_s / seconds),
    }  # fmt: skip


def table(figures: dict[str, Any]) -> str:
    """The figures as lines for people."""
    costs = figures["in_plain_decodes"]
    return "\n".join([
        f"{figures['duration_s']:.0f} s of 720p film, {figures['kept_fraction']:.1%} of it kept",
        "in plain decodes   " + "   ".join(f"{name} {part:.2f}" for name, part in costs.items())
        + f"   goal {figures['goal']:.1f}",
        f"10,000 such hours: {figures['core_hours_of_10000_h']} core-hours "
        f"(a plain decode takes {figures['plain_decode_cpu_s_per_s'] * 1000:.1f} ms a second)",
    ])  # fmt: skip
