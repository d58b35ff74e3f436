"""What the default filters make of footage whose truth is known: the acceptance run, printed as docs/outcomes.md.

    python -m tests.outcomes [FOOTAGE] > docs/outcomes.md

FOOTAGE is the project's shared folder of labelled files with its `footage.csv`. Files that carry a person's name
are called by the first eight hex digits of their sha256 here.
"""

import csv
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from vividhead import curate, open_dataset
from vividhead.audit.account import account
from vividhead.ledger import Ledger
from vividhead.policy import load_policy
from vividhead.records import GRID_FPS

SUFFIXES = (".mp4", ".mpg")
NAMED_AFTER_A_PERSON = frozenset({"3f8df935"})
LARGE_FACE_RULE = "framing.face_height_px_in_source"
LOWERED_PX, RAISED_PX = 120, 250
"""Limits in place of the shipped one: the small clips' faces are about 135 px high."""
SHIFTED = "radio34"
SHIFTS_FRAMES = (-12, -8, -5, 5, 8, 12)
"""Grid frames by which the sound of `SHIFTED` is made later (negative: earlier)."""

ASKED: Mapping[str, str] = {
    "radio34": "kept", "3f8df935": "kept", "portrait_kitchen": "kept", "portrait_sofa": "kept",
    "suit_oddfps": "kept, unless its sync is unknown",
    "two_speakers_hardcut": "no clip across 4.0 s",
    "stage_cuts": "rejected", "portrait_mute": "rejected", "bottles_noface": "rejected",
    "two_faces_12fps": "rejected", "hand_gesture_mute": "rejected", "still_face_music": "rejected",
    "grid_swiz3n": "rejected for resolution", "grid_lwbsza": "rejected for resolution",
    "vox_00104": "rejected for resolution", "vox_741400163": "rejected for resolution",
}  # fmt: skip
"""What is asked of each file with the default filters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One candidate clip and its reading of the lips; None where it was not measured or is unknown."""

    start_s: float
    end_s: float
    kept: bool
    reasons: tuple[str, ...]
    offset_ms: float | None
    confidence: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file's part of the account."""

    name: str
    duration_s: float
    outcome: str
    kept_s: float
    reasons: Mapping[str, float]
    clips: tuple[Row, ...]

    @property
    def kept_share(self) -> float:
        return self.kept_s / self.duration_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One more run with other filters: what it made anew, and what came of it."""

    least_px: int
    units: Mapping[str, int]
    """Stage → new commits in the ledger."""
    measured: frozenset[str]
    """Names of the files whose clips were measured."""
    files: Mapping[str, File]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Everything the tables say."""

    files: Mapping[str, File]
    shifted: Mapping[int, File]
    """Frames by which the sound was made later → the file."""
    lowered: Round
    raised: Round


def outcomes(footage: Path, work: Path) -> Outcomes:
    """Curate `footage` with the default filters, then with one line lowered and raised, and the shifted files."""
    given = work / "footage.jsonl"
    paths = sorted(path for path in footage.iterdir() if path.suffix in SUFFIXES)
    given.write_text("".join(f'{{"uri": "{path.absolute()}"}}\n' for path in paths), encoding="utf-8")
    names = {str(footage.absolute() / row["path"]): _name(row) for row in _labels(footage)}
    dataset = curate(given, work / "dataset", on="local")
    files = _files(dataset, names)
    lowered = _again(given, dataset, names, work, LOWERED_PX)
    raised = _again(given, dataset, names, work, RAISED_PX)
    late = work / "shifted"
    late.mkdir()
    for frames in SHIFTS_FRAMES:
        shift_sound(footage / f"{SHIFTED}.mp4", late / f"{frames}.mkv", Fraction(frames, GRID_FPS))
    shifted = _files(curate(late, work / "shifted-dataset", on="local"), {})
    return Outcomes(
        files=files, lowered=lowered, raised=raised,
        shifted={frames: shifted[str(frames)] for frames in SHIFTS_FRAMES},
    )  # fmt: skip


def _labels(footage: Path) -> list[dict[str, str]]:
    with (footage / "footage.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _name(row: Mapping[str, str]) -> str:
    digest = row["sha256"][:8]
    return digest if digest in NAMED_AFTER_A_PERSON else Path(row["path"]).stem


def in_sync(footage: Path) -> set[str]:
    """Names of the files that their labels call a talking head in sync."""
    return {_name(row) for row in _labels(footage) if row["in_sync"] == "yes"}


def _files(dataset: Path, names: Mapping[str, str]) -> dict[str, File]:
    opened = open_dataset(dataset)
    readings = {row["clip_id"]: row for row in opened.measurements("lip_sync").to_pylist()}
    found = {}
    for source in account(opened).sources:
        name = names.get(source.uri, Path(source.uri).stem)
        rows = tuple(_row(clip, readings.get(clip["clip_id"], {})) for clip in source.clips)
        found[name] = File(
            name=name, duration_s=source.duration_s, outcome=source.outcome, kept_s=source.seconds["kept"],
            reasons=dict(source.reasons), clips=rows,
        )  # fmt: skip
    return found


def _row(clip: Mapping[str, Any], reading: Mapping[str, Any]) -> Row:
    return Row(
        start_s=clip["start_s_in_source"], end_s=clip["end_s_in_source"], kept=clip["kept"],
        reasons=tuple(clip["reasons"]), offset_ms=reading.get("offset_ms"), confidence=reading.get("confidence"),
    )  # fmt: skip


def with_least_face(px: int) -> str:
    """The default filters with another limit on resolution."""
    from vividhead.pipeline import load_pipeline

    text = load_policy("talking-head", load_pipeline("talking-head").measure.scores).text
    changed, count = re.subn(rf"^({re.escape(LARGE_FACE_RULE)} = {{ min = )\d+", rf"\g<1>{px}", text, flags=re.M)
    assert count == 1, f"the default filters have no one line {LARGE_FACE_RULE} = {{ min = …"
    return changed


def _again(given: Path, dataset: Path, names: Mapping[str, str], work: Path, least_px: int) -> Round:
    """Run again with another limit on resolution, and see what that made anew."""
    filters = work / f"least-{least_px}-px.toml"
    filters.write_text(with_least_face(least_px), encoding="utf-8")
    before = commits(dataset)
    curate(given, dataset, filters=str(filters), on="local")
    new = commits(dataset) - before
    ledger = Ledger(dataset)
    measured = {
        row["clip_id"]
        for stage, key in new
        if stage == "more"
        for row in (ledger.read(stage, key) or {})["measurements"]
    }
    opened = open_dataset(dataset)
    uri_of = {row["source_id"]: row["uri"] for row in opened.table("sources").to_pylist()}
    clips = [clip for clip in opened.table("clips").to_pylist() if clip["clip_id"] in measured]
    stages = sorted({stage for stage, _ in new})
    return Round(
        least_px=least_px, units={stage: sum(s == stage for s, _ in new) for stage in stages},
        measured=frozenset(names[uri_of[clip["source_id"]]] for clip in clips), files=_files(dataset, names),
    )  # fmt: skip


def commits(dataset: Path) -> set[tuple[str, str]]:
    """(stage, key) of all that the ledger holds."""
    ledger = Ledger(dataset)
    stages = [folder.name for folder in ledger.root.iterdir() if folder.is_dir()]
    return {(stage, key) for stage in stages for key in ledger.keys(stage)}


def shift_sound(path: Path, out: Path, later_s: Fraction) -> None:
    """Copy a file's pictures, and its sound `later_s` later (negative: earlier) to the sample; gaps are silence."""
    with av.open(str(path)) as source, av.open(str(out), "w") as target:
        film, voice = source.streams.video[0], source.streams.audio[0]
        rate = voice.codec_context.sample_rate
        shift = later_s * rate
        assert shift.denominator == 1, f"{later_s} s are no whole samples at {rate} Hz"
        blocks = [frame.to_ndarray()[:1] for frame in source.decode(voice)]  # the first channel will do
        moved_1S = _moved(np.concatenate(blocks, axis=1), int(shift))
        video = target.add_stream_from_template(film)
        audio = target.add_stream("pcm_s16le", rate=rate, layout="mono")
        source.seek(0)
        for packet in source.demux(film):
            if packet.dts is not None:
                packet.stream = video
                target.mux(packet)
        frame = av.AudioFrame.from_ndarray(np.rint(moved_1S * 32767).astype(np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        target.mux([*audio.encode(frame), *audio.encode(None)])


def _moved(samples_1S: np.ndarray[Any, Any], by: int) -> np.ndarray[Any, Any]:
    out = np.zeros_like(samples_1S)
    length = samples_1S.shape[1]
    out[:, max(by, 0) : length + min(by, 0)] = samples_1S[:, max(-by, 0) : length - max(by, 0)]
    return np.clip(out, -1, 1)


def markdown(found: Outcomes) -> Iterator[str]:
    """The document's lines."""
    yield from (
        "# What the default filters make of labelled footage",
        "",
        "Made by `python -m tests.outcomes > docs/outcomes.md`; `tests/test_outcomes.py` asserts it. Files named",
        "after a person are called by the first digits of their sha256. Offsets are positive where the picture is",
        "later than the sound; an offset is unknown (–) where its confidence is under one half.",
        "",
        "| file | asked | became | kept of | clips, s | why not | offset, ms | confidence |",
        "| --- | --- | --- | --: | --- | --- | --: | --: |",
    )
    for name, asked in ASKED.items():
        yield _line(found.files[name], name, asked)
    yield from (
        "",
        f"## {SHIFTED} with its sound shifted",
        "",
        "Expected is the unshifted reading less the shift: sound made later lets the picture come earlier.",
        "",
        "| sound later by | became | why not | expected, ms | read, ms | confidence |",
        "| --: | --- | --- | --: | --: | --: |",
    )
    for frames, file in found.shifted.items():
        clip = file.clips[0]
        expected = _shown(expected_offset_ms(found, frames))
        cells = (f"{frames:+d} frames", file.outcome, _why(file), expected, _shown(clip.offset_ms), _odds(clip))
        yield f"| {' | '.join(cells)} |"
    for about, round_ in (("lowered", found.lowered), ("raised", found.raised)):
        yield from _round_lines(about, round_, found)


def expected_offset_ms(found: Outcomes, frames: int) -> float | None:
    """What the shifted file should read, by the reading of the file as it is."""
    as_it_is = found.files[SHIFTED].clips[0].offset_ms
    return None if as_it_is is None else as_it_is - frames * 1000 / GRID_FPS


def _round_lines(about: str, round_: Round, found: Outcomes) -> Iterator[str]:
    units = ", ".join(f"{count} {stage}" for stage, count in round_.units.items()) or "none"
    yield from (
        "",
        f"## Run again with the line on resolution {about} to {round_.least_px} px",
        "",
        f"New units of work: {units}. Files with clips measured: {', '.join(sorted(round_.measured)) or 'none'}.",
        "What became another thing:",
        "",
        "| file | asked | became | kept of | clips, s | why not | offset, ms | confidence |",
        "| --- | --- | --- | --: | --- | --- | --: | --: |",
    )
    for name, file in round_.files.items():
        if file != found.files[name]:
            yield _line(file, name, "")


def _line(file: File, name: str, asked: str) -> str:
    spans = "<br>".join(f"{c.start_s:.2f}–{c.end_s:.2f}{'' if c.kept else ' ✗'}" for c in file.clips) or "none"
    offsets = "<br>".join(_shown(c.offset_ms) for c in file.clips)
    odds = "<br>".join(map(_odds, file.clips))
    kept = f"{file.kept_share:.0%} of {file.duration_s:.2f} s"
    return f"| {name} | {asked} | {file.outcome} | {kept} | {spans} | {_why(file)} | {offsets} | {odds} |"


def _why(file: File) -> str:
    return "<br>".join(f"{code} ({seconds:.2f} s)" for code, seconds in file.reasons.items())


def _shown(offset_ms: float | None) -> str:
    return "–" if offset_ms is None else f"{offset_ms:.0f}"


def _odds(clip: Row) -> str:
    return "–" if clip.confidence is None else f"{clip.confidence:.2f}"


def main(arguments: Sequence[str]) -> None:
    """Print the document for the footage named first, by default the project's."""
    footage = Path(arguments[0]) if arguments else Path(__file__).parents[2] / "shared" / "footage"
    with tempfile.TemporaryDirectory() as work:
        for line in markdown(outcomes(footage, Path(work))):
            print(line)


if __name__ == "__main__":
    main(sys.argv[1:])
