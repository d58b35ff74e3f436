"""What a running job shows."""

import io
from pathlib import Path

import pytest
from hand_made import Written, make_clip, make_source, rows_of

import vividhead.progress as room
from vividhead.chain import Chain
from vividhead.contain import Fault
from vividhead.progress import LINE_EVERY_S, Progress
from vividhead.units import Failure, Unit


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(room, "time", made)
    return made


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def chain(tmp_path: Path) -> tuple[Chain, list[Unit]]:
    """Two sources of ten minutes; the first is through, with a minute kept. Also the units still to be done."""
    written = Written(tmp_path, make_source(seconds=600.0))
    written.scan((0, 15000))
    clips = [make_clip(written.segment, at, at + 750) for at in (0, 750, 1500)]
    written.measure(clips, [*rows_of(clips[0]), *rows_of(clips[1]), *rows_of(clips[2], face_px=100, blurs=None)])
    chain = written.chain()
    chain._packable = {room_key(written, clip.clip_id) for clip in clips}
    assert chain.advance(written.segment, written.source) == []
    other = Written(tmp_path, make_source("other", seconds=600.0))
    return chain, chain.advance(other.segment, other.source)


def room_key(written: Written, clip_id: str) -> str:
    from vividhead.units import pack_key

    return pack_key(clip_id, written.pipeline)


def test_a_log_gets_a_plain_line_every_ten_seconds_at_most(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress.shown(stream) as progress:
        progress.begin("ingest", 3)
        for _ in range(5):
            progress.begin("ingest", 3)
        clock.now_s += LINE_EVERY_S
        progress.begin("ingest", 3)
    assert stream.getvalue() == "ingest 0/3 files\n" * 2


def test_a_resumed_run_counts_what_was_done_before_as_done_but_not_as_its_own_speed(
    clock: Clock, chain: tuple[Chain, list[Unit]]
) -> None:
    stream = io.StringIO()
    progress = Progress.shown(stream)
    progress.footage(*chain)
    assert stream.getvalue() == "10.0 of 20.0 min · 0.0 h/h · kept 1.0 min\n"


def test_speed_time_left_and_failures_are_told(clock: Clock, chain: tuple[Chain, list[Unit]]) -> None:
    stream = io.StringIO()
    progress = Progress.shown(stream)
    progress.footage(*chain)
    (unit,) = chain[1]
    half = Unit(
        stage="scan", key="k", listed=unit.listed, source=unit.source,
        segment=type(unit.segment)(
            segment_id=unit.segment.segment_id, source_id="s", start_frame=0, end_frame=7500
        ) if unit.segment else None,
    )  # fmt: skip
    clock.now_s += 60
    progress.done(half, Failure("failed.crash", "?"), [])
    assert stream.getvalue().splitlines()[-1] == (
        "15.0 of 20.0 min · 5.0 h/h · kept 1.0 min · scan 1 · 1 failed · 60 s left"
    )


def test_a_segment_is_through_when_nothing_follows(clock: Clock, chain: tuple[Chain, list[Unit]]) -> None:
    stream = io.StringIO()
    progress = Progress.shown(stream)
    progress.footage(*chain)
    (unit,) = chain[1]
    clock.now_s += 60
    progress.done(unit, None, [unit])
    assert stream.getvalue().splitlines()[-1].startswith("10.0 of 20.0 min")
    clock.now_s += 60
    progress.done(unit, None, [])
    assert stream.getvalue().splitlines()[-1].startswith("20.0 of 20.0 min · 5.0 h/h")


def test_faults_are_told_when_they_happen(clock: Clock, chain: tuple[Chain, list[Unit]]) -> None:
    stream = io.StringIO()
    progress = Progress.shown(stream)
    (unit,) = chain[1]
    progress.fault(unit, Fault("hang", "no progress for 120 s"), 2)
    assert stream.getvalue() == "scan other.mp4: attempt 2: hang: no progress for 120 s\n"


def test_a_terminal_gets_one_line_that_changes_and_faults_above_it(chain: tuple[Chain, list[Unit]]) -> None:
    stream = Terminal()
    (unit,) = chain[1]
    with Progress.shown(stream) as progress:
        progress.begin("ingest", 2)
        progress.footage(*chain)
        progress.fault(unit, Fault("crash", "[red] is no markup here"), 1)
        progress.done(unit, None, [])
    text = stream.getvalue()
    assert "attempt 1: crash: [red] is no markup here" in text.replace("\n", " ")
    assert "20.0 of 20.0 min" in text


def test_without_a_stream_nothing_is_said(chain: tuple[Chain, list[Unit]], capsys: pytest.CaptureFixture[str]) -> None:
    (unit,) = chain[1]
    with Progress() as progress:
        progress.begin("ingest", 1)
        progress.footage(*chain)
        progress.fault(unit, Fault("crash", "?"), 1)
        progress.done(unit, None, [])
    assert capsys.readouterr() == ("", "")
