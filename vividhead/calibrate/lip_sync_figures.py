"""What is asked of `lip_sync` alone: offsets right within a frame, wrong sound refused, a confidence that holds."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from vividhead.calibrate.figures import Readings, is_refused, rules_on, value_of
from vividhead.calibrate.perturbations.timing import FRAME_MS
from vividhead.calibrate.records import UNTOUCHED, Bin, LipSync, Reading, Span
from vividhead.calibrate.stats import auc, bootstrap, gathered
from vividhead.lip_audio import LipAudioMap
from vividhead.records import GRID_FPS
from vividhead.scores.lip_sync import MAP

OFFSET, CONFIDENCE, PEAK = "lip_sync.offset_ms", "lip_sync.confidence", "lip_sync.peak"
WRONG_SOUND = ("other_voice", "only_music", "only_noise")
RIGHT_FRAMES = 3.5
SHIFT, MOST_FRAMES = "audio_shift", 12
EDGES = (0.0, 0.2, 0.5, 0.8, 0.95, 1.0001)
LEAST_CONFIDENCE = 0.5
LONG_FRAMES = 5 * GRID_FPS


def lip_sync_figures(data: Readings) -> dict[str, LipSync]:
    """For all clips, and apart: by length, and by whether the shipped map was fitted on them."""
    if not data.of(PEAK, UNTOUCHED) or not data.of(PEAK, SHIFT):
        return {}
    seen = {c["clip_sha256"] for c in LipAudioMap.load(MAP).provenance.get("clips", ()) if c["in_coefficients"]}
    fitted = frozenset(g.name for g in data.goods if g.source_id[:16] in seen)
    parts = {"all": frozenset(g.name for g in data.goods)}
    parts["fitted on"] = fitted
    parts["never fitted on"] = parts["all"] - fitted
    parts["of 5 s"] = frozenset(g.name for g in data.goods if g.n_frames >= LONG_FRAMES)
    parts["shorter"] = parts["all"] - parts["of 5 s"]
    return {name: _figures(data, clips) for name, clips in parts.items() if data.of(PEAK, UNTOUCHED, clips)}


def _figures(data: Readings, clips: frozenset[str]) -> LipSync:
    clean = data.of(PEAK, UNTOUCHED, clips)
    shifted = [r for r in data.of(PEAK, SHIFT, clips) if abs(r.level) <= MOST_FRAMES]
    wrong = {family: data.of(PEAK, family, clips) for family in WRONG_SOUND}
    sources = sorted({data.source_of[r.clip] for r in clean})
    good = data.badness(PEAK, clean)
    bad = data.badness(PEAK, [r for readings in wrong.values() for r in readings])
    rules = rules_on(data.policy, ["lip_sync"])

    def within(only_known: bool) -> Span:
        hits: dict[str, list[float]] = {}
        for reading in shifted:
            now, before = value_of(reading, OFFSET), value_of(data.untouched[reading.clip], OFFSET)
            if now is None or before is None:
                if only_known:
                    continue
                hit = 0.0
            else:
                hit = float(abs(now - before - reading.level * FRAME_MS) <= FRAME_MS)
            hits.setdefault(data.source_of[reading.clip], []).append(hit)
        return bootstrap(sources, lambda drawn: _mean(gathered(hits, drawn).tolist()), data.seed, is_share=True)

    return LipSync(
        clips=len(clean), within_1_frame=within(False), within_1_frame_of_known=within(True),
        peak_auc=bootstrap(
            sources, lambda drawn: auc(gathered(good, drawn), gathered(bad, drawn)), data.seed, is_share=True
        ),
        false_accepts={f: _share([not is_refused(r, rules) for r in rs]) for f, rs in wrong.items() if rs},
        false_confident={f: _share([_confidence(r) >= LEAST_CONFIDENCE for r in rs]) for f, rs in wrong.items() if rs},
        kept_good=_share([not is_refused(r, rules) for r in clean]),
        reliability=_reliability(data, [*clean, *shifted], [r for rs in wrong.values() for r in rs]),
    )  # fmt: skip


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _share(hits: Sequence[bool]) -> float:
    return round(float(np.mean(hits)), 4)


def _confidence(reading: Reading) -> float:
    return value_of(reading, CONFIDENCE) or 0.0


def _reliability(data: Readings, own: Sequence[Reading], wrong: Sequence[Reading]) -> tuple[Bin, ...]:
    """Own and wrong sound weigh the same, as `confidence` is defined. An own voice counts as right where the offset
    moved as the sound did, within 3 frames, from zero where the untouched clip has none. Under a confidence of 0.5 no
    offset is given that could be looked at: there it counts as right, so that `true` is the most that it can be."""
    rows = []
    for reading in own:
        now, before = value_of(reading, OFFSET), value_of(data.untouched[reading.clip], OFFSET)
        off_ms = 0.0 if now is None else now - (before or 0.0) - reading.level * FRAME_MS
        rows.append((_confidence(reading), float(abs(off_ms) <= RIGHT_FRAMES * FRAME_MS), 1 / len(own)))
    rows += [(_confidence(reading), 0.0, 1 / len(wrong)) for reading in wrong]
    said, right, weight = np.array(rows).T
    bins = []
    for low, high in pairwise(EDGES):
        here = (said >= low) & (said < high)
        if here.any():
            mean, true = (float(np.average(values[here], weights=weight[here])) for values in (said, right))
            bins.append(Bin(said=round(mean, 3), true=round(true, 3), readings=int(here.sum())))
    return tuple(bins)
