"""From readings to figures: a curve for each field and family, a threshold for each field, the cost of each score."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from vividhead.calibrate.perturbations import FAMILIES, Family, Truth
from vividhead.calibrate.records import UNTOUCHED, Curve, Good, Level, Reading, Span, Threshold
from vividhead.calibrate.senses import Direction, directions
from vividhead.calibrate.stats import Numbers, auc, bootstrap, gathered, held_out, limit_for, precision_at, spearman
from vividhead.policy import Policy, judge
from vividhead.records import GRID_FPS, Measurement

PARTED_FACE_SHARE = 0.9
TOLERANCE = {
    "lip_sync.offset_ms": 40.0, "other_faces.seconds_fraction": 0.05, "loudness.clipped_fraction": 0.02,
    "identity.switch_at_s": 0.5, "lip_sync_syncnet.offset_frames": 1.0,
}  # fmt: skip
"""What counts as right where there is a truth; for `times_untouched` it is a tenth."""
LEAST_CLIPS = 3
"""A part of the clips with fewer sources has no figure of its own."""


def value_of(reading: Reading, field: str) -> float | None:
    """What the reading says of a field, None where it is unmeasured."""
    score, _, name = field.partition(".")
    row = next((m for m in reading.measurements if m.score == score), None)
    return row.values.get(name) if row is not None and row.status == "measured" else None


def has(reading: Reading, field: str) -> bool:
    """Was the field's score asked of this reading, or the face lost?"""
    score = field.partition(".")[0]
    return not reading.measurements or any(m.score == score for m in reading.measurements)


def rules_on(policy: Policy, scores: Iterable[str]) -> Policy:
    """The policy less its rules on other scores."""
    wanted = set(scores)
    return replace(policy, rules=tuple(rule for rule in policy.rules if rule.score in wanted))


def is_refused(reading: Reading, policy: Policy) -> bool:
    """Do these rules refuse it? A lost face is refused in any case."""
    rows: Mapping[str, Measurement] = {m.score: m for m in reading.measurements}
    return not rows or not judge(policy, reading.clip, rows).kept


def least_face_px(policy: Policy) -> float:
    """Smallest face in the source that the rules let pass; 0 without such a rule."""
    return next((r.min for r in policy.rules if r.id == "framing.face_height_px_in_source"), None) or 0.0


@dataclass(frozen=True)
class Readings:
    """All readings of a calibration, and what is needed to make figures of them."""

    goods: Sequence[Good]
    by_family: Mapping[str, Sequence[Reading]]
    policy: Policy
    precision: float
    seed: int

    @cached_property
    def source_of(self) -> dict[str, str]:
        """Clip → speaker: who is drawn together."""
        return {good.name: good.speaker for good in self.goods}

    @cached_property
    def directions(self) -> dict[str, Direction]:
        """Field → which readings of it are bad."""
        return directions(self.policy)

    @cached_property
    def untouched(self) -> dict[str, Reading]:
        """Clip → its reading as it is."""
        return {reading.clip: reading for reading in self.by_family.get(UNTOUCHED, ())}

    @cached_property
    def large(self) -> frozenset[str]:
        """Clips whose face is as large as the filters ask: small ones are refused before their picture is judged."""
        return frozenset(good.name for good in self.goods if good.face_px_in_source >= least_face_px(self.policy))

    def of(self, field: str, family: str, clips: frozenset[str] | None = None) -> list[Reading]:
        """Readings of a family that were asked for the field."""
        found = self.by_family.get(family, ())
        return [r for r in found if has(r, field) and (clips is None or r.clip in clips)]

    def badness(self, field: str, readings: Iterable[Reading]) -> dict[str, list[float]]:
        """Source → badness of its readings."""
        way, out = self.directions[field], dict[str, list[float]]()
        for reading in readings:
            out.setdefault(self.source_of[reading.clip], []).append(way.badness(value_of(reading, field)))
        return out

    def population(self, field: str) -> frozenset[str] | None:
        """Clips that a limit on the field is for; None: all. Lip sync and sound do not ask for large faces."""
        return None if field.split(".")[0] in ("lip_sync", "loudness", "speech", "audio_quality") else self.large


def curves(data: Readings) -> list[Curve]:
    """One for each family and each field that it concerns, that is watched, or of which the truth is known."""
    found = []
    for family in FAMILIES:
        for field in dict.fromkeys((*family.concerns, *family.watches, *(t.field for t in family.truth))):
            if field in data.directions and data.of(field, family.name) and data.of(field, UNTOUCHED):
                found.append(_curve(data, family, field))
    return found


def _curve(data: Readings, family: Family, field: str) -> Curve:
    truth = next((t for t in family.truth if t.field == field), None)
    readings = data.of(field, family.name)
    clean = data.of(field, UNTOUCHED, frozenset(r.clip for r in readings))  # else other clips are compared, too
    good = data.badness(field, clean)
    bad = data.badness(field, [r for r in readings if r.level in family.harmful])
    sources = sorted(good)
    rules = rules_on(data.policy, [field.split(".")[0]])
    tolerance = None if truth is None else TOLERANCE.get(field, 0.1)
    levels = [_level(0.0, False, clean, field, rules)]
    for level in family.levels:
        here = [r for r in readings if r.level == level]
        levels.append(_level(level, level in family.harmful, here, field, rules))
        if truth is not None and tolerance is not None:
            middle, most, within = _errors(data, truth, tolerance, here)
            levels[-1] = replace(levels[-1], error_median=middle, error_p95=most, within=within)
    return Curve(
        field=field, family=family.name, tolerance=tolerance, levels=tuple(levels),
        auc=bootstrap(
            sources, lambda drawn: auc(gathered(good, drawn), gathered(bad, drawn)), data.seed, is_share=True
        ),
        monotone=_monotone(data, family, field, readings), subgroups=_subgroups(data, field, family),
    )  # fmt: skip


def _level(level: float, harmful: bool, readings: Sequence[Reading], field: str, rules: Policy) -> Level:
    values = [value_of(r, field) for r in readings]
    known = [v for v in values if v is not None]
    low, middle, high = np.percentile(known, (10, 50, 90)).tolist() if known else (None, None, None)
    count = max(1, len(readings))
    parted = sum(r.cuts > 0 or r.face_share < PARTED_FACE_SHARE for r in readings) / count
    refused = sum(is_refused(r, rules) for r in readings) / count if rules.rules else None
    return Level(
        level=level, harmful=harmful, clips=len(readings), p10=low, median=middle, p90=high,
        unmeasured=len(values) - len(known), refused=refused, parted=parted,
    )  # fmt: skip


def _errors(
    data: Readings, truth: Truth, tolerance: float, readings: Sequence[Reading]
) -> tuple[float | None, float | None, float | None]:
    """Median and 95th percentile of the error, and the part within `tolerance`; where the untouched clip has a value,
    if the truth is relative to it."""
    errors, right, of = [], 0, 0
    for reading in readings:
        before = data.untouched.get(reading.clip)
        known = value_of(before, truth.field) if before is not None else None
        if known is None and truth.needs_untouched():
            continue
        of += 1
        value = value_of(reading, truth.field)
        if value is not None:
            expected = truth.expected(reading.level, known or 0.0, reading.n_frames / GRID_FPS)
            error = abs(value - expected)
            errors.append(error / abs(expected) if truth.compared == "times_untouched" and expected else error)
            right += errors[-1] <= tolerance
    middle, most = np.percentile(errors, (50, 95)).tolist() if errors else (None, None)
    return middle, most, right / of if of else None


def _monotone(data: Readings, family: Family, field: str, readings: Sequence[Reading]) -> Span:
    """Spearman within each clip, so that differences between clips do not count; the untouched clip comes first."""
    way = data.directions[field]
    signed = way.sense == "size" and family.truth != ()
    order = {level: k for k, level in enumerate(family.levels)}
    by_source: dict[str, list[float]] = {}
    for clip, source in data.source_of.items():
        pairs = [] if signed else [(-1.0, _of_clip(data, clip, field, signed))]
        pairs += [
            (float(order[r.level]), value_of(r, field) if signed else way.badness(value_of(r, field)))
            for r in readings
            if r.clip == clip
        ]
        known = [(x, y) for x, y in pairs if y is not None]
        rho = spearman(np.array([x for x, _ in known]), np.array([min(y, 1e9) for _, y in known]))
        if rho is not None:
            by_source.setdefault(source, []).append(rho)

    def mean(drawn: Sequence[str]) -> float | None:
        found = gathered(by_source, drawn)
        return float(found.mean()) if len(found) else None

    return bootstrap(sorted(by_source), mean, data.seed)


def _of_clip(data: Readings, clip: str, field: str, signed: bool) -> float | None:
    reading = data.untouched.get(clip)
    if reading is None or not has(reading, field):
        return None
    value = value_of(reading, field)
    return value if signed else data.directions[field].badness(value)


def divisions(data: Readings) -> dict[str, dict[str, frozenset[str]]]:
    """How clips are divided, and which clips each part holds."""
    out: dict[str, dict[str, set[str]]] = {}

    def put(division: str, part: str, clip: str) -> None:
        out.setdefault(division, {}).setdefault(part, set()).add(clip)

    for good in data.goods:
        reading = data.untouched[good.name]
        yaw, lufs = value_of(reading, "head_pose.yaw_deg_p95"), value_of(reading, "loudness.integrated_lufs")
        if yaw is not None:
            put("pose", "yaw under 20°" if yaw < 20 else "yaw of 20° and more", good.name)
        if lufs is not None:
            put("loudness", "under -25 LUFS" if lufs < -25 else "-25 LUFS and more", good.name)
        put("face", "under 160 px" if good.face_px_in_source < 160 else "160 px and more", good.name)
        if "language" in good.facts:
            put("language", good.facts["language"], good.name)
    return {d: {p: frozenset(clips) for p, clips in sorted(parts.items())} for d, parts in out.items()}


def _subgroups(data: Readings, field: str, family: Family) -> dict[str, dict[str, float]]:
    out: dict[str, dict[str, float]] = {}
    for division, parts in divisions(data).items():
        for part, clips in parts.items():
            harmful = [r for r in data.of(field, family.name, clips) if r.level in family.harmful]
            good, bad = (data.badness(field, rs) for rs in (data.of(field, UNTOUCHED, clips), harmful))
            found = auc(gathered(good, sorted(good)), gathered(bad, sorted(bad)))
            if found is not None and len(good) >= LEAST_CLIPS:
                out.setdefault(division, {})[part] = round(found, 3)
    return out


def thresholds(data: Readings, datasets: Mapping[str, Mapping[str, Numbers]]) -> list[Threshold]:
    """One for each field that families concern; `datasets` are name → field → readings of its candidate clips."""
    concerned: dict[str, list[Family]] = {}
    for family in FAMILIES:
        for field in family.concerns:
            if field in data.directions and family.harmful and data.of(field, family.name):
                concerned.setdefault(field, []).append(family)
    found = (_threshold(data, field, families, datasets) for field, families in concerned.items())
    return [threshold for threshold in found if threshold is not None]


def _threshold(
    data: Readings, field: str, families: Sequence[Family], datasets: Mapping[str, Mapping[str, Numbers]]
) -> Threshold | None:
    way, clips = data.directions[field], data.population(field)
    harmful = [r for f in families for r in data.of(field, f.name, clips) if r.level in f.harmful]
    good, bad = data.badness(field, data.of(field, UNTOUCHED, clips)), data.badness(field, harmful)
    sources = sorted(set(good) & set(bad))
    good_N, bad_N = gathered(good, sources), gathered(bad, sources)
    limit = limit_for(data.precision, good_N, bad_N)
    if limit is None:
        return None

    def drawn_limit(drawn: Sequence[str]) -> float | None:
        again = limit_for(data.precision, gathered(good, drawn), gathered(bad, drawn))
        return None if again is None else way.limit(again.badness)

    def drawn_kept(drawn: Sequence[str]) -> float | None:
        return precision_at(limit.badness, gathered(good, drawn), bad_N)[1]

    shipped, dropped = way.shipped, {}
    at_shipped = (None, None) if shipped is None else _at_shipped(data, way, (clips, sources), harmful)
    for name, fields in datasets.items():
        read_N = np.array([way.badness(None if np.isnan(v) else v) for v in fields.get(field, np.zeros(0)).tolist()])
        if len(read_N):
            refused_N = read_N[np.isfinite(read_N)] if way.accepts_unmeasured else read_N
            refused = None if shipped is None else float((refused_N > way.badness_of(shipped)).sum() / len(read_N))
            dropped[name] = float((read_N > limit.badness).mean()), refused
    precision, kept = held_out(data.precision, good, bad)
    return Threshold(
        field=field, sense=way.sense, families=tuple(f.name for f in families),
        auc=bootstrap(sources, lambda d: auc(gathered(good, d), gathered(bad, d)), data.seed, is_share=True),
        wanted=replace(bootstrap(sources, drawn_limit, data.seed), value=round(way.limit(limit.badness), 4)),
        reached=limit.reached, precision=limit.precision, held_out_precision=precision, held_out_kept_good=kept,
        kept_good=bootstrap(sources, drawn_kept, data.seed, is_share=True),
        shipped=shipped, shipped_precision=at_shipped[0], shipped_kept_good=at_shipped[1],
        dropped_of_datasets=dropped,
    )  # fmt: skip


def _at_shipped(
    data: Readings, way: Direction, of: tuple[frozenset[str] | None, Sequence[str]], harmful: Sequence[Reading]
) -> tuple[float | None, float]:
    """As `precision_at`, of the rule itself: it may accept what is unmeasured. `of`: clips, and sources, that count."""
    assert way.rule is not None
    alone = replace(data.policy, rules=(way.rule,))
    clips, sources = of

    def refused(readings: Sequence[Reading]) -> Numbers:
        mine = [r for r in readings if data.source_of[r.clip] in sources]
        return np.array([is_refused(r, alone) for r in mine], float)

    return precision_at(0.5, refused(data.of(way.field, UNTOUCHED, clips)), refused(harmful))


def costs(data: Readings) -> dict[str, float]:
    """Score → median milliseconds a second of untouched clip."""
    out: dict[str, list[float]] = {}
    for reading in data.untouched.values():
        for name, ms in reading.cost_ms.items():
            out.setdefault(name, []).append(ms * GRID_FPS / max(1, reading.n_frames))
    return {name: round(float(np.median(found)), 2) for name, found in sorted(out.items())}


def bystanders(data: Readings) -> dict[str, dict[str, float]]:
    """Field → family that does not concern it → median change at its strongest level, in spreads of the good clips."""
    out: dict[str, dict[str, float]] = {}
    for field in data.directions:
        known = [v for r in data.untouched.values() if (v := value_of(r, field)) is not None]
        spread = float(np.subtract(*np.percentile(known, (90, 10)))) if len(known) >= LEAST_CLIPS else 0.0
        if spread <= 0:
            continue
        for family in FAMILIES:
            if field in (*family.concerns, *family.watches, *(t.field for t in family.truth)):
                continue
            changes = [
                abs(now - before)
                for r in data.of(field, family.name)
                if r.level == family.levels[-1]
                and (now := value_of(r, field)) is not None
                and (before := value_of(data.untouched[r.clip], field)) is not None
            ]
            if changes:
                out.setdefault(field, {})[family.name] = round(float(np.median(changes)) / spread, 3)
    return out
