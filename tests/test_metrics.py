"""What a running job tells: Prometheus text, JSON lines, what was spent. All the panels' figures are among them."""

import io
import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from hand_made import Written, make_clip, make_source, rows_of

from vividhead.contain import Fault, Spent
from vividhead.errors import UsageError
from vividhead.ledger import Ledger
from vividhead.metrics import HELP, Meter, core_hours, served
from vividhead.progress import Progress
from vividhead.units import Failure, Unit, pack_key

DEPLOY = Path(__file__).parent.parent / "docs/deploy"


@pytest.fixture
def told(tmp_path: Path) -> tuple[Meter, io.StringIO]:
    """A meter that has heard of a job: a segment through before, one done after a lost attempt, one that fails."""
    written = Written(tmp_path, make_source(seconds=600.0))
    written.scan((0, 15000))
    clip = make_clip(written.segment, 0, 750)
    written.measure([clip], rows_of(clip))
    chain = written.chain()
    chain._packable = {pack_key(clip.clip_id, written.pipeline)}
    assert chain.advance(written.segment, written.source) == []
    units: list[Unit] = []
    for name in ("other", "third"):
        other = Written(tmp_path, make_source(name, seconds=600.0))
        units += chain.advance(other.segment, other.source)
    log = io.StringIO()
    meter = Meter(Progress(), tmp_path, log)
    with meter:
        meter.begin("ingest", 0)
        meter.footage(chain, units)
        meter.told(units[0], Fault("crash", "SIGSEGV"), Spent(2.0, 1.5, 100.0))
        meter.told(units[0], None, Spent(3.0, 2.5, 300.0))
        meter.done(units[0], None, [])
        gone = Failure("failed.unreadable", "no such film")
        meter.told(units[1], gone, Spent(1.0, 0.5, 200.0))
        meter.done(units[1], gone, [])
    return meter, log


def figures(text: str) -> dict[str, float]:
    return {n: float(v) for n, v in (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))}


def test_every_figure_of_a_job_is_told_as_prometheus_reads_it(told: tuple[Meter, io.StringIO]) -> None:
    text = told[0].text()
    assert figures(text) == {
        'vividhead_units_total{stage="scan",outcome="done"}': 1,
        'vividhead_units_total{stage="scan",outcome="failed"}': 1,
        'vividhead_attempts_total{stage="scan",outcome="crash"}': 1,
        'vividhead_attempts_total{stage="scan",outcome="done"}': 1,
        'vividhead_attempts_total{stage="scan",outcome="failed"}': 1,
        'vividhead_attempt_seconds_total{stage="scan"}': 6, 'vividhead_attempt_cpu_seconds_total{stage="scan"}': 4.5,
        'vividhead_attempt_memory_bytes_max{stage="scan"}': 3e8, 'vividhead_queue_units{stage="ingest"}': 0,
        'vividhead_queue_units{stage="scan"}': 0, 'vividhead_footage_seconds{state="all"}': 1800,
        'vividhead_footage_seconds{state="through"}': 1800, "vividhead_kept_seconds": 30,
    }  # fmt: skip
    for name, (kind, _) in HELP.items():
        assert f"# TYPE vividhead_{name} {kind}\n" in text


def test_every_attempt_is_a_line_of_json_with_run_stage_and_unit(told: tuple[Meter, io.StringIO]) -> None:
    meter, log = told
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert {line["run"] for line in lines} == {meter.run_id}
    assert [line["event"] for line in lines] == ["begun", "footage", *["attempt"] * 3, "failed", "ended"]
    crash, done, _ = (line for line in lines if line["event"] == "attempt")
    assert (crash["stage"], crash["outcome"], crash["detail"], crash["cpu_s"]) == ("scan", "crash", "SIGSEGV", 1.5)
    assert done["unit"] == crash["unit"] and done["unit"].startswith("scan/")
    (failed,) = (line for line in lines if line["event"] == "failed")
    assert failed["code"] == "failed.unreadable" and failed["unit"] != done["unit"]


def test_what_was_spent_is_kept_beside_the_commits_and_summed_over_runs(
    told: tuple[Meter, io.StringIO], tmp_path: Path
) -> None:
    (kept,) = (tmp_path / "ledger" / "spent").iterdir()
    assert core_hours(tmp_path) == 4.5 / 3600
    (kept.parent / "another-run.jsonl").write_bytes(kept.read_bytes())
    assert core_hours(tmp_path) == 9 / 3600
    assert core_hours(tmp_path / "elsewhere") is None
    assert Ledger(tmp_path).keys("spent") == [], "no commit"


def test_a_port_answers_with_the_metrics_and_nothing_else(told: tuple[Meter, io.StringIO]) -> None:
    with served(told[0], 0) as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=120) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            assert answer.read().decode() == told[0].text()
        with pytest.raises(urllib.error.HTTPError, match="404") as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=120)
        refused.value.close()
        with pytest.raises(UsageError, match=f"--metrics-port {port}: .*choose another"):
            with served(told[0], port):
                pass


def test_the_dashboard_asks_for_figures_that_there_are() -> None:
    board = json.loads((DEPLOY / "grafana.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    names = {name for expression in asked for name in re.findall(r"vividhead_(\w+)", expression)}
    assert names and names <= HELP.keys()
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
