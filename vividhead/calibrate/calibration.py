"""The whole of it: good clips, their readings under every perturbation, the figures, the report's files."""

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from vividhead import __version__
from vividhead.calibrate.datasets import candidate_readings, short_name
from vividhead.calibrate.figures import (
    Readings,
    bystanders,
    costs,
    curves,
    has,
    is_refused,
    least_face_px,
    rules_on,
    thresholds,
)
from vividhead.calibrate.goods import Candidate, bring, candidates, is_dataset, others_of
from vividhead.calibrate.lip_sync_figures import lip_sync_figures
from vividhead.calibrate.page import page_of
from vividhead.calibrate.perturbations import FAMILIES, Family
from vividhead.calibrate.records import UNTOUCHED, Calibration, Good, Reading
from vividhead.calibrate.run import BYSTANDER_CLIPS, Task, readings_of, run
from vividhead.calibrate.text import markdown_of
from vividhead.errors import MediaError, UsageError, VividHeadError
from vividhead.faces import hushed
from vividhead.ledger import write_atomically
from vividhead.pipeline import DEFAULT_PIPELINE, Pipeline, load_pipeline
from vividhead.plain import to_plain
from vividhead.policy import Policy, load_policy
from vividhead.score import score_class

REPORT, PAGE, TABLE = "calibration.json", "calibration.html", "calibration.md"
LEAST_GOODS = 2
NAMED_AT_MOST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked of a calibration."""

    scores: tuple[str, ...] = ()
    """None named: those of the pipeline."""
    families: tuple[str, ...] = ()
    """None named: all."""
    clips: int = 24
    """At most so many of each place."""
    picture_clips: int = 8
    """At most so many of all, with large faces, have their pictures spoilt too, which is dear; all have their sound."""
    seconds: float = 5.0
    """Longest window of a clip."""
    precision: float = 0.98
    filters: str = "talking-head"
    pipeline: str = DEFAULT_PIPELINE
    seed: int = 0
    workers: int | None = None
    """Clips at a time; None: one for each core."""
    command: str = ""
    """How it was asked for, for the report."""


class Told(Protocol):
    """Hears what is being done, and how far it is."""

    def __call__(self, what: str, done: int, total: int) -> None: ...


def calibrate(where: Sequence[str], out: Path, options: Options, told: Told) -> Calibration:
    """Calibrate on the clips behind these places (datasets or footage) and write the report's files into `out`.

    What was read already by the same scores is not read again; the same command gives the same figures, costs apart.
    """
    began = time.monotonic()
    pipeline = load_pipeline(options.pipeline)
    names = _checked(options, pipeline)
    policy = load_policy(options.filters, pipeline.measure.scores)
    out.mkdir(parents=True, exist_ok=True)
    workers = options.workers or os.cpu_count() or 1
    chosen = _apart([candidate for place in where for candidate in candidates(place, options.clips, policy)])
    with hushed():
        goods, left_out = _brought(chosen, out, options, pipeline, told)
    tasks = _tasks(goods, names, options, pipeline, policy, out)
    run([replace(task, families=()) for task in tasks], workers, lambda n, of: told("good clips", n, of))
    known = {candidate.name for candidate in chosen if candidate.is_known_good}
    goods = [task.good for task in tasks if _is_good(task, task.good.name in known, policy)]
    left_out |= {task.good.name: "not good" for task in tasks if task.good not in goods}
    _check_enough(goods, left_out)
    tasks = _tasks(goods, names, options, pipeline, policy, out)
    run(tasks, workers, lambda n, of: told("perturbations", n, of))
    data = _gathered(tasks, policy, options)
    datasets = [place for place in where if is_dataset(place)]
    found = replace(_report(data, datasets, where, options, time.monotonic() - began), left_out=left_out)
    write_atomically(out / REPORT, (json.dumps(to_plain(found), indent=1, ensure_ascii=False) + "\n").encode())
    write_atomically(out / PAGE, page_of(found).encode())
    write_atomically(out / TABLE, markdown_of(found).encode())
    return found


def _checked(options: Options, pipeline: Pipeline) -> tuple[str, ...]:
    names = options.scores or tuple(pipeline.measure.scores)
    for name in names:
        score_class(name)
    known = [family.name for family in FAMILIES]
    for name in options.families:
        if name not in known:
            raise UsageError(f"no perturbation {name!r}; there are {', '.join(known)}")
    if not 0.5 < options.precision < 1:
        raise UsageError(f"a precision of {options.precision:g}: more than 0.5 and less than 1 is needed")
    if options.seconds < 3:
        raise UsageError(f"{options.seconds:g} s: clips of 3 s and more can be measured")
    if min(options.clips, options.picture_clips) < 1 or (options.workers is not None and options.workers < 1):
        raise UsageError("1 or more clips, and 1 or more workers, are needed")
    return names


def _apart(chosen: Sequence[Candidate]) -> list[Candidate]:
    """The same, files of one name in two places told apart; a place that was given twice counts once."""
    distinct = list(dict.fromkeys((candidate.where, candidate.row) for candidate in chosen))
    by_place = {(candidate.where, candidate.row): candidate for candidate in chosen}
    times: dict[str, int] = {}
    out = []
    for place in distinct:
        name = by_place[place].name
        times[name] = times.get(name, 0) + 1
        out.append(by_place[place] if times[name] == 1 else replace(by_place[place], name=f"{name}-{times[name]}"))
    return out


def _brought(
    chosen: Sequence[Candidate], out: Path, options: Options, pipeline: Pipeline, told: Told
) -> tuple[list[Good], dict[str, str]]:
    """The clips, and why the others are none."""
    goods: dict[str, Good] = {}
    left_out: dict[str, str] = {}
    for done, candidate in enumerate(chosen):
        told("clips", done, len(chosen))
        try:
            goods[candidate.name] = bring(candidate, out / "clips", options.seconds, pipeline)
        except MediaError as fault:
            left_out[candidate.name] = fault.code
        except VividHeadError as fault:
            if candidate.is_known_good:
                raise
            left_out[candidate.name] = str(fault)
    _check_enough(goods, left_out)
    return list(goods.values()), left_out


def _check_enough(goods: Sized, left_out: Mapping[str, str]) -> None:
    if len(goods) < LEAST_GOODS:
        why = "; ".join(f"{name}: {reason}" for name, reason in list(left_out.items())[-NAMED_AT_MOST:])
        raise UsageError(
            f"{len(goods)} good clips; two, of two speakers, are needed for a wrong voice and face"
            + (f"; left out are {len(left_out)} ({why})" if why else "")
        )


def _tasks(
    goods: Sequence[Good], names: tuple[str, ...], options: Options, pipeline: Pipeline, policy: Policy, out: Path
) -> list[Task]:
    least_px = least_face_px(policy)
    pictured = _pictured(
        [good for good in goods if good.face_px_in_source >= least_px], options.picture_clips, options.seed
    )
    wanted = [family for family in FAMILIES if not options.families or family.name in options.families]
    return [
        Task(
            good=good, other=other, families=_families_for(wanted, good in pictured),
            everything=k % BYSTANDER_CLIPS == 0, scores=names, seed=options.seed, pipeline=pipeline, folder=out,
        )
        for k, (good, other) in enumerate(zip(goods, others_of(goods, options.seed), strict=True))
    ]  # fmt: skip


def _pictured(large: Sequence[Good], most: int, seed: int) -> list[Good]:
    """Clips whose pictures are spoilt: one of each speaker, then a second one, in an order that is chance. Small faces
    are refused for their size, before anybody looks at their pictures."""
    turn: dict[str, int] = {}
    ordered = []
    for place, good in enumerate(large):
        turn[good.speaker] = turn.get(good.speaker, 0) + 1
        drawn = hashlib.sha256(f"{seed}/{good.name}".encode()).digest()
        ordered.append((turn[good.speaker], drawn, place))
    return [large[place] for _, _, place in sorted(ordered)[:most]]


def _families_for(wanted: Sequence[Family], is_pictured: bool) -> tuple[str, ...]:
    return tuple(family.name for family in wanted if is_pictured or family.changes == "sound")


def _is_good(task: Task, is_known: bool, policy: Policy) -> bool:
    """Is the clip measured, and known to be good or kept by the filters' rules on what was measured?"""
    readings = readings_of(task, UNTOUCHED)
    if not readings or not readings[0].measurements:
        return False
    return is_known or not is_refused(readings[0], rules_on(policy, set(task.scores) - {"framing"}))


def _gathered(tasks: Sequence[Task], policy: Policy, options: Options) -> Readings:
    by_family: dict[str, list[Reading]] = {}
    for task in tasks:
        for family in (UNTOUCHED, *task.families):
            by_family.setdefault(family, []).extend(readings_of(task, family))
    goods = [task.good for task in tasks]
    return Readings(goods, by_family, policy, options.precision, options.seed)


def _report(
    data: Readings, datasets: Sequence[str], where: Sequence[str], options: Options, wall_s: float
) -> Calibration:
    fields = sorted({field for family in FAMILIES for field in family.concerns})
    read = {short_name(place): candidate_readings(place, fields) for place in datasets}
    measured = {m.score for r in data.untouched.values() for m in r.measurements} - {"framing"}
    rules = rules_on(data.policy, measured)
    kept = [not is_refused(r, rules) for r in data.untouched.values() if all(has(r, f"{s}.") for s in measured)]
    return Calibration(
        vividhead=__version__, command=options.command, where=tuple(short_name(place) for place in where),
        filters=options.filters, seed=options.seed, seconds=options.seconds, precision=options.precision,
        clips=tuple(data.goods), untouched_kept=round(sum(kept) / max(1, len(kept)), 4), curves=tuple(curves(data)),
        thresholds=tuple(thresholds(data, read)), lip_sync=lip_sync_figures(data), bystanders=bystanders(data),
        cost_ms_per_s=costs(data), wall_s=round(wall_s, 1),
    )  # fmt: skip
