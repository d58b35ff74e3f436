"""Clips known to be good, brought into the calibration's folder: windows of kept clips, or of labelled footage.

dataset   its kept clips less those that somebody labelled bad: those labelled good first, then the best-scored of
          each source
folder    with a footage.csv: its talking heads in sync (columns as for python -m vividhead.fit_lip_sync)
          without: the longest clip of each file, taken for good where the filters keep it
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from vividhead.calibrate.perturbations.family import MARGIN_FRAMES, Pictures, Samples
from vividhead.calibrate.records import Good
from vividhead.errors import MediaError, UsageError
from vividhead.fit_lip_sync.talks import LABELS, clips_of, labelled_talks
from vividhead.ingest import examine, find
from vividhead.labels import newest, read_labels
from vividhead.ledger import write_atomically
from vividhead.loader.folder import Folder
from vividhead.loader.members import MemberCache
from vividhead.media import ClipWriter, EncodeOptions, flac, pictures, sound
from vividhead.media.still import FromRgb
from vividhead.media.window import window_pictures, window_sound
from vividhead.pipeline import Pipeline
from vividhead.plain import from_plain, to_plain
from vividhead.policy import Policy
from vividhead.records import GRID_FPS, SAMPLES_PER_FRAME, Listed

if TYPE_CHECKING:
    import pyarrow

LONGEST_SIDE_PX = 400
"""Scores see crops of 256 px of a face framed like this in 320 px: larger pictures would only cost."""
LEAST_FRAMES = 3 * GRID_FPS
FINE_CRF = 10
"""How a window is written: fine enough that the scores do not tell it from the original."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Where a good clip is to be had."""

    where: str
    """The dataset, or the file."""
    row: int | None
    """Row of the dataset's manifest; None for a file."""
    name: str
    is_known_good: bool
    """Else it must pass the filters first."""
    facts: Mapping[str, str]
    speaker: str = ""


def is_dataset(where: str) -> bool:
    """Is it a dataset, by path or address, rather than footage?"""
    return "://" in where or (Path(where) / "run.toml").is_file()


def candidates(where: str, most: int, policy: Policy) -> list[Candidate]:
    """At most so many; raises UsageError or DatasetError where there is nothing to choose from."""
    found = _of_dataset(where, policy) if is_dataset(where) else _of_footage(where)
    if not found:
        raise UsageError(f"{where} holds no clip known to be good: a dataset with kept clips, or footage, is needed")
    return found[:most]


def _of_dataset(where: str, policy: Policy) -> list[Candidate]:
    """Kept clips, those labelled good first, then the best; the second of a source comes after the first of all
    others. Labels are read beside a dataset on this machine."""
    table = Folder(where).manifest()
    labels = newest(read_labels(Path(where))) if "://" not in where else {}
    verdicts = {clip_id: label.label for clip_id, label in labels.items()}
    best = np.argsort(-_rank(table, policy), kind="stable").tolist()
    rows = table.select(["clip_id", "source_id", "language", "licence", "n_frames"]).to_pylist()
    turn: dict[str, int] = {}
    ordered = []
    for row in best:
        about = rows[row]
        verdict = verdicts.get(about["clip_id"])
        if about["n_frames"] >= LEAST_FRAMES and verdict != "bad":
            turn[about["source_id"]] = turn.get(about["source_id"], 0) + (verdict != "good")
            ordered.append((0 if verdict == "good" else turn[about["source_id"]], row))
    return [
        Candidate(
            where=where, row=row, name=f"clip-{rows[row]['clip_id']}", is_known_good=True,
            facts={k: str(rows[row][k]) for k in ("language", "licence") if rows[row][k]},
        )
        for _, row in sorted(ordered, key=lambda pair: pair[0])
    ]  # fmt: skip


def _rank(table: "pyarrow.Table", policy: Policy) -> NDArray[np.float64]:
    """Mean over the filters' rules of a clip's place among the others, 1 the best."""
    places = [np.zeros(table.num_rows)]
    for rule in policy.rules:
        if rule.id in table.column_names:
            read_N = np.array([np.nan if v is None else v for v in table[rule.id].to_pylist()], float)
            bad_N = np.nan_to_num(-read_N if rule.max is None else np.abs(read_N), nan=np.inf)
            places.append(1 - rankdata(bad_N, "max") / len(bad_N))  # the part of all that are worse
    return np.asarray(np.mean(places, axis=0))


def _of_footage(where: str) -> list[Candidate]:
    labels = Path(where) / LABELS
    if not labels.is_file():
        return [
            Candidate(
                where=listed.uri, row=None, name=_file_name(listed.uri), is_known_good=False, facts=_facts(listed)
            )
            for listed in find(where)
        ]
    return [
        Candidate(
            where=str(labels.parent / row["path"]), row=None, name=_file_name(row["path"]), is_known_good=True,
            facts={k: row[k] for k in ("language", "licence") if row.get(k)},
            speaker=row.get("speaker") or Path(row["path"]).stem.split("_")[0],
        )
        for row in labelled_talks(labels)
    ]  # fmt: skip


def _file_name(path: str) -> str:
    """A name for a file's clip that says nothing of whom it shows."""
    return f"file-{hashlib.sha256(os.fsencode(Path(path).name)).hexdigest()[:12]}"


def _facts(listed: Listed) -> dict[str, str]:
    known = {"language": listed.language, "licence": listed.licence}
    return {name: value for name, value in known.items() if value}


def bring(candidate: Candidate, folder: Path, seconds: float, pipeline: Pipeline) -> Good:
    """Write the candidate's window into `folder` unless it is there. Raises MediaError where the file makes no clip."""
    told, most = folder / f"{candidate.name}.json", round(seconds * GRID_FPS)
    request = _request(candidate, most)
    if told.is_file():
        before = json.loads(told.read_text(encoding="utf-8"))
        if before.get("request") == request:
            return from_plain(Good, before["good"])
    if candidate.row is None:
        good, mp4, heard_S = _from_file(candidate, most, pipeline)
    else:
        good, mp4, heard_S = _from_dataset(candidate, candidate.row, most)
    write_atomically(folder / f"{candidate.name}.mp4", mp4)
    write_atomically(folder / f"{candidate.name}.flac", flac(heard_S))
    write_atomically(told, json.dumps({"request": request, "good": to_plain(good)}, indent=1).encode())
    return good


def _request(candidate: Candidate, most: int) -> list[object]:
    """What the window is made of; another one is made when it changes."""
    if candidate.row is not None:
        return [candidate.name, most]  # a clip's id is of its content
    try:
        about = Path(candidate.where).stat()
    except OSError:
        return [candidate.name, most]
    return [candidate.name, most, about.st_size, about.st_mtime_ns, dict(candidate.facts), candidate.speaker]


def _window(n_frames: int, most: int) -> tuple[int, int]:
    """First frame and length of the window: the middle of the clip."""
    count = min(n_frames, most)
    return (n_frames - count) // 2, count


def _from_dataset(candidate: Candidate, row: int, most: int) -> tuple[Good, bytes, Samples]:
    folder = Folder(candidate.where)
    table = folder.manifest()
    about: dict[str, Any] = table.slice(row, 1).to_pylist()[0]
    members = MemberCache(folder, table, ("mp4", "flac"), limit_bytes=0).members(row)
    first, count = _window(about["n_frames"], most)
    side = _side_of(folder)
    seen_THWC = window_pictures(members["mp4"], range(first, first + count), side)
    said_S = window_sound(members["flac"], 0, about["n_frames"] * SAMPLES_PER_FRAME)
    face_px = about.get("framing.face_height_px_in_source") or 0.0
    good = Good(
        name=candidate.name, source_id=about["source_id"], speaker=about["source_id"][:16], n_frames=count,
        side_px=side, face_px_in_source=face_px, facts=candidate.facts,
    )  # fmt: skip
    return good, _written(seen_THWC), _with_margins(said_S, first, count)


def _side_of(folder: Folder) -> int:
    from vividhead.loader.checks import packed_side_px

    return min(LONGEST_SIDE_PX, packed_side_px(folder) or LONGEST_SIDE_PX)


def _fine(side_px: int) -> EncodeOptions:
    return EncodeOptions(side_px=side_px, crf=FINE_CRF, preset="veryfast", gop_frames=50, aac_kbps=64)


def _written(seen_THWC: Pictures) -> bytes:
    side = seen_THWC.shape[1]
    silent_S = np.zeros(len(seen_THWC) * SAMPLES_PER_FRAME, np.float32)
    writer = ClipWriter((0, 0, side, side), silent_S, _fine(side))
    picture_of = FromRgb()
    for picture_HWC in seen_THWC:
        writer.add(picture_of(picture_HWC))
    return writer.finish()


def _with_margins(said_S: Samples, first: int, count: int) -> Samples:
    """Sound from `MARGIN_FRAMES` before the window to as many after it; silence beyond what there is."""
    start, end = (SAMPLES_PER_FRAME * k for k in (first - MARGIN_FRAMES, first + count + MARGIN_FRAMES))
    before, after = max(0, -start), max(0, end - len(said_S))
    return np.pad(said_S[max(0, start) : end], (before, after)).astype(np.float32)


def _from_file(candidate: Candidate, most: int, pipeline: Pipeline) -> tuple[Good, bytes, Samples]:
    """The longest clip that curation would make of the file."""
    path = Path(candidate.where)
    source = examine(Listed(uri=candidate.where), pipeline.ingest, lambda: None)
    if source.outcome != "ready":
        raise MediaError(source.code or "failed", f"{path}: {source.detail}")
    found = max(clips_of(path), key=lambda media: media.clip.n_frames, default=None)
    if found is None or found.clip.n_frames < LEAST_FRAMES:
        raise MediaError("failed.no_clip", f"{path}: no face for {LEAST_FRAMES / GRID_FPS:g} s")
    clip = found.clip
    first, count = _window(clip.n_frames, most)
    first += clip.start_frame
    x0, _, x1, _ = clip.crop_xyxy_px
    side = min(LONGEST_SIDE_PX, x1 - x0)
    silent_S = np.zeros(count * SAMPLES_PER_FRAME, np.float32)
    writer = ClipWriter(clip.crop_xyxy_px, silent_S, _fine(side))
    for grid in pictures(path, source, first, first + count, pipeline.track.max_picture_gap_s):
        if grid.picture is None:
            raise MediaError("failed.changed", f"{path}: no picture at frame {grid.frame}")
        writer.add(grid.picture)
    boxes_T4 = found.box_xyxy_px_T4
    good = Good(
        name=candidate.name, source_id=source.source_id, speaker=candidate.speaker or source.source_id[:16],
        n_frames=count, side_px=side, face_px_in_source=float(np.median(boxes_T4[:, 3] - boxes_T4[:, 1])),
        facts=candidate.facts,
    )  # fmt: skip
    said_S = sound(path, source, 0, source.n_frames)
    return good, writer.finish(), _with_margins(said_S, first, count)


@lru_cache(maxsize=2)
def opened(folder: Path, name: str, n_frames: int, side_px: int) -> tuple[Pictures, Samples]:
    """The window's pictures and its sound with margins."""
    seen_THWC = window_pictures((folder / f"{name}.mp4").read_bytes(), range(n_frames), side_px)
    n_samples = (n_frames + 2 * MARGIN_FRAMES) * SAMPLES_PER_FRAME
    return seen_THWC, window_sound((folder / f"{name}.flac").read_bytes(), 0, n_samples)


def others_of(goods: Sequence[Good], seed: int) -> Iterator[Good]:
    """For each clip one of another speaker, drawn by the seed."""
    rng = np.random.default_rng(seed)
    for good in goods:
        strangers = [g for g in goods if g.speaker != good.speaker and g.source_id != good.source_id]
        if not strangers:
            raise UsageError("all clips are of one speaker: another voice and another face are needed, too")
        yield strangers[int(rng.integers(len(strangers)))]
