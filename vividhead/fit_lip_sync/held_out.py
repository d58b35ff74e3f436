"""What a map is worth on speakers it has not seen: trials, confidence, figures. See docs/lip-sync.md."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vividhead import lip_audio
from vividhead.errors import UsageError
from vividhead.fit_lip_sync.coefficients import fit_map
from vividhead.fit_lip_sync.talks import Prepared, Talk
from vividhead.lip_audio import LagReading, LipAudioMap
from vividhead.records import GRID_FPS, SAMPLES_PER_FRAME

logger = logging.getLogger(__name__)

LONGEST_CALIBRATED_FRAMES = 12 * GRID_FPS
"""Few clips are longer, so length beyond this adds no confidence."""
RIGHT_FRAMES = 3.5
"""Labels are good to about 3 frames: a reading that rounds to one of those is right."""
BETA_PRIOR = 1e-3
"""Keeps the confidence finite where few clips tell true from wrong without a mistake."""
WINDOWS_S = (3, 5, 8, None)
SHIFTS = (0, -12, -6, 6, 12)
STEP_FRAMES = 25
OTHER_VOICES, ROLLED_VOICES = 8, 2
LEAST_ROLL_FRAMES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One window of one talk, read by a map that has not seen its speaker."""

    talk: Talk
    window_s: int | None
    """None: the whole clip."""
    used_frames: int
    true: Mapping[int, LagReading]
    """Frames by which the picture was made later than the sound → reading (its confidence not fitted yet)."""
    wrong: Sequence[LagReading]
    """Readings with a voice that does not belong: other clips', or the own one rolled by at least 1.6 s."""

    def is_right(self, shift: int) -> bool:
        """Is the lag read at this shift right, as far as the labels can tell?"""
        return abs(self.true[shift].lag_frames - shift) <= RIGHT_FRAMES


def trials_of(talk: Talk, talks: Sequence[Talk], map_: LipAudioMap, window_s: int | None) -> Iterator[Trial]:
    """Cut the talk into overlapping windows; each sees its own frames only."""
    count = window_s * GRID_FPS if window_s else len(talk)
    rng = np.random.default_rng(len(talk) + count)
    file = talk.name.split("#")[0]
    others = [t for t in talks if t.name.split("#")[0] != file and len(t) >= count]
    for start in range(0, len(talk) - count + 1, STEP_FRAMES):
        mesh_TNC = talk.landmarks_TNC[start : start + count]
        true = {s: lip_audio.read_lag(map_, mesh_TNC, talk.heard(start + s, count)) for s in SHIFTS}
        voices = []
        for _ in range(OTHER_VOICES if others else 0):
            other = others[rng.integers(len(others))]
            voices.append(other.heard(int(rng.integers(len(other) - count + 1)), count))
        for _ in range(ROLLED_VOICES if len(talk) > 2 * LEAST_ROLL_FRAMES else 0):
            by = int(rng.integers(LEAST_ROLL_FRAMES, len(talk) - LEAST_ROLL_FRAMES)) * SAMPLES_PER_FRAME
            voices.append(replace(talk, audio_S=np.roll(talk.audio_S, by)).heard(start, count))
        yield Trial(
            talk=talk, window_s=window_s, used_frames=int(lip_audio.bridged(mesh_TNC)[1].sum()), true=true,
            wrong=[lip_audio.read_lag(map_, mesh_TNC, voice_S) for voice_S in voices],
        )  # fmt: skip


def held_out_trials(talks: Sequence[Talk], prepared: Sequence[Prepared]) -> list[Trial]:
    """All windows of all talks, each read by the map of the fitted talks less that talk's speaker."""
    trials: list[Trial] = []
    for speaker in sorted({t.speaker for t in talks}):
        seen = [p for t, p in zip(talks, prepared, strict=True) if t.fitted and t.speaker != speaker]
        if not seen:
            raise UsageError("one speaker alone cannot be held out; give footage of more")
        map_, _ = fit_map(seen)
        for talk in (t for t in talks if t.speaker == speaker):
            for window_s in WINDOWS_S:
                trials += trials_of(talk, talks, map_, window_s)
        logger.info("held out %s", speaker)
    return trials


def fit_confidence(trials: Sequence[Trial]) -> NDArray[np.float64]:
    """`LipAudioMap.confidence`: a logistic curve that tells true voices, their lag read right, from all else.

    In every window length, true voices and wrong ones weigh the same: as likely as not beforehand.
    """
    rows, right, weight = [], [], []
    for window_s in WINDOWS_S:
        same = [t for t in trials if t.window_s == window_s]
        true = [(t.used_frames, t.true[s].peak, t.is_right(s)) for t in same for s in SHIFTS]
        wrong = [(t.used_frames, reading.peak, False) for t in same for reading in t.wrong]
        for group in filter(None, (true, wrong)):  # no clip may be as long as the window
            seconds = [min(frames, LONGEST_CALIBRATED_FRAMES) / GRID_FPS for frames, _, _ in group]
            rows += [(1.0, s * peak, -s) for s, (_, peak, _) in zip(seconds, group, strict=True)]
            right += [good for _, _, good in group]
            weight += [1 / len(group)] * len(group)
    design, w = np.array(rows), np.array(weight)
    beta = np.zeros(design.shape[1])
    prior = BETA_PRIOR * np.eye(len(beta))
    for _ in range(50):  # Newton's method; a dozen steps suffice
        p = 1 / (1 + np.exp(-design @ beta))
        hessian = design.T @ (design * (w * p * (1 - p))[:, None]) + prior
        beta += np.linalg.solve(hessian, design.T @ (w * (np.array(right, float) - p)) - prior @ beta)
    return np.array([*beta, LONGEST_CALIBRATED_FRAMES])


def held_out_maps(trials: Sequence[Trial], map_: LipAudioMap) -> dict[str, LipAudioMap]:
    """Speaker → the map with a confidence that was fitted without the trials of that speaker, to judge them by."""
    speakers = sorted({t.talk.speaker for t in trials})
    others = {speaker: [t for t in trials if t.talk.speaker != speaker] for speaker in speakers}
    return {speaker: replace(map_, confidence=fit_confidence(rest)) for speaker, rest in others.items()}


def figures(trials: Sequence[Trial], maps: Mapping[str, LipAudioMap]) -> dict[str, float]:
    """What trials of one window length say; `maps` are those of `held_out_maps`."""
    shifts = [s for s in SHIFTS if s]
    moved = [abs(t.true[s].lag_frames - t.true[0].lag_frames - s) <= 1 for t in trials for s in shifts]
    peaks = np.array([t.true[0].peak for t in trials])
    wrong_peaks = np.array([reading.peak for t in trials for reading in t.wrong])
    sure = np.array([_confidence(maps, t, t.true[0]) for t in trials])
    sure_of_wrong = np.array([_confidence(maps, t, reading) for t in trials for reading in t.wrong])
    right = np.array([t.is_right(0) for t in trials])
    out = {
        "windows": len(trials), "rel1": np.mean(moved), "abs3": right.mean(),
        "auc": np.mean(peaks[:, None] > wrong_peaks),
    }  # fmt: skip
    out |= {f"null {q} %": np.percentile(wrong_peaks, q) for q in (50, 90, 95, 99)}
    for least in (0.5, 0.8):
        out[f"kept {least}"], out[f"false {least}"] = (sure >= least).mean(), (sure_of_wrong >= least).mean()
    near = np.array([abs(reading.lag_frames) <= RIGHT_FRAMES for t in trials for reading in t.wrong])
    out["false 0.5, abs3"] = (near & (sure_of_wrong >= 0.5)).mean()
    out["abs3 of kept 0.5"] = right[sure >= 0.5].mean() if (sure >= 0.5).any() else 0.0
    return {name: round(float(value), 3) for name, value in out.items()}


def _confidence(maps: Mapping[str, LipAudioMap], trial: Trial, reading: LagReading) -> float:
    return lip_audio.confidence_of(maps[trial.talk.speaker], reading.peak, trial.used_frames)


def figures_table(found: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The figures in Markdown, one line a set of trials."""
    names = list(next(iter(found.values())))
    lines = ["| clips, window | " + " | ".join(names) + " |", "| --- " * (len(names) + 1) + "|"]
    for row, values in found.items():
        cells = [f"{values[n]:.0f}" if n == "windows" else f"{values[n]:.2f}" for n in names]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return lines


def clip_table(trials: Sequence[Trial], maps: Mapping[str, LipAudioMap]) -> list[str]:
    """Each whole clip as the score would read it with a map that has not seen the speaker."""
    lines = ["| clip | seconds | offset_ms | peak | confidence |", "| --- | --- | --- | --- | --- |"]
    for t in (t for t in trials if t.window_s is None):
        offset_ms = t.true[0].lag_frames * 1000 / GRID_FPS
        peak = t.true[0].peak
        sure = _confidence(maps, t, t.true[0])
        lines.append(f"| {t.talk.name} | {len(t.talk) / GRID_FPS:.1f} | {offset_ms:+.0f} | {peak:.2f} | {sure:.2f} |")
    return lines


def fit(talks: Sequence[Talk]) -> tuple[LipAudioMap, list[str]]:
    """The map with its confidence and provenance, and the report to print."""
    prepared = [Prepared.of(t) for t in talks]
    mine = [(t, p) for t, p in zip(talks, prepared, strict=True) if t.fitted]
    map_, lags = fit_map([p for _, p in mine])
    lag_of = {t.name: lag for (t, _), lag in zip(mine, lags, strict=True)}
    trials = held_out_trials(talks, prepared)
    maps = held_out_maps(trials, map_)
    map_ = replace(map_, confidence=fit_confidence(trials))
    found = {}
    for fitted, name in ((True, "fitted"), (False, "check")):
        for window_s in WINDOWS_S:
            some = [t for t in trials if t.window_s == window_s and t.talk.fitted is fitted]
            if some:
                found[f"{name}, {f'{window_s} s' if window_s else 'whole'}"] = figures(some, maps)
    map_ = replace(map_, provenance=_provenance(talks, lag_of, found))
    intercept, gain, loss, longest = map_.confidence
    formula = f"{intercept:.3f} + min(seconds, {longest / GRID_FPS:g}) * ({gain:.3f} * peak - {loss:.3f})"
    report = [*figures_table(found), "", *clip_table(trials, maps), "", f"confidence = sigmoid({formula})"]
    return map_, report


def _provenance(
    talks: Sequence[Talk], lag_of: Mapping[str, int], found: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    speakers = list(dict.fromkeys(t.speaker for t in talks))
    clips = [
        {
            "clip_sha256": t.sha256[:16], "speaker": speakers.index(t.speaker),
            "source_repo": t.source_repo, "licence": t.licence,
            "seconds": len(t) / GRID_FPS, "in_coefficients": t.fitted,
            "lag_frames_in_fit": lag_of.get(t.name),
        }
        for t in talks
    ]  # fmt: skip
    return {"made_by": "python -m vividhead.fit_lip_sync", "clips": clips, "held_out": found}
