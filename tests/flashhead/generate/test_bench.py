"""What generation is said to cost: counted right, late when it is late, and told with what it was measured on."""

import json
from typing import Any

import pytest

from tests.flashhead.stubs import tiny_flashhead
from vividhead.flashhead.generate import bench
from vividhead.flashhead.generate.bench import _underruns, bench_generate, table
from vividhead.flashhead.model import flops


@pytest.mark.parametrize(
    ("times_ms", "late"),
    [
        ([99, 99, 99, 99], 0),
        ([101, 101, 101], 3),
        ([50, 140, 50], 1),  # time left over before the sound is there helps nobody
        ([150, 50, 50], 1),
        ([190, 150, 20, 20], 3),
        ([], 0),
    ],
)
def test_an_underrun_is_a_chunk_whose_pictures_come_after_those_before_were_played(
    times_ms: list[float], late: int
) -> None:
    assert _underruns(times_ms, 100.0) == late


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "STREAM_COUNTS", (1, 2))
        patch.setattr(flops, "MATMUL_SIDE", {"cpu": 64})
        return bench_generate(tiny_flashhead(), chunks=3)


def test_figures_say_what_was_measured_where_and_when(figures: dict[str, Any]) -> None:
    assert json.loads(json.dumps(figures)) == figures
    assert (figures["model"], figures["random_weights"], figures["dtype"]) == ("tiny", True, "float32")
    assert figures["measured"].startswith("20")
    assert figures["device"].startswith("CPU, ")
    assert set(figures["phases_ms"]) == {"audio", "dit", "decode", "colour", "encode", "pictures", "copy"}
    assert [wave["streams"] for wave in figures["streams"]] == [1, 2]
    assert figures["streams_sustained"] == 2


def test_a_rate_is_pictures_in_the_time_that_all_took_and_no_faster_than_its_parts(figures: dict[str, Any]) -> None:
    spread = figures["chunk_ms"]
    assert spread["median"] <= spread["p99"] <= spread["worst"]
    assert figures["fps"] >= 24 / spread["worst"] * 1000 * 0.99
    assert figures["floor_chunk_ms"] <= spread["worst"]
    assert sum(figures["phases_ms"].values()) > 0


def test_the_table_holds_every_figure_a_reader_looks_for(figures: dict[str, Any]) -> None:
    text = table(figures)
    for said in ("random weights of the real shapes", figures["measured"], "25 FPS: 2", "TFLOP", "peak memory"):
        assert said in text
    assert f"{figures['fps']:.1f} FPS" in text
