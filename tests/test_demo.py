"""`vividhead demo` on a small cast; `.ci/run` makes the whole of it."""

from functools import partial
from pathlib import Path

import pytest

import vividhead.testing
from vividhead.cli import main
from vividhead.testing import demo_sources, make_demo_footage
from vividhead.view import open_dataset

SMALL_CAST = ("silence.mp4", "notes.mp4", "cut_off.mp4")


@pytest.fixture
def small_cast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vividhead.testing, "make_demo_footage", partial(make_demo_footage, only=SMALL_CAST))


@pytest.mark.usefixtures("small_cast")
def test_the_demo_tells_what_each_file_was_made_to_be_and_became(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo-out"
    assert main(["demo", str(out), "--on", "local", "--workers", "1", "--quiet"]) == 0
    lines = capfd.readouterr().out.splitlines()
    for name, outcome, because in (
        ("silence.mp4", "rejected", "no_speech"),
        ("notes.mp4", "failed", "failed.unreadable"),
        ("cut_off.mp4", "failed", "failed.unreadable"),
    ):
        assert [line.split() for line in lines if line.startswith(name)] == [[name, outcome, outcome, because]]
    assert "3 of 3 became what they were made to be, for the reason they were made with" in lines
    assert f"  vividhead status {out}/dataset --json" in "\n".join(lines)
    assert open_dataset(out / "dataset").table("sources").num_rows == len(SMALL_CAST)


def test_the_demo_does_not_touch_a_folder_of_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (thesis := tmp_path / "thesis.tex").write_text("years of work")
    assert main(["demo", str(tmp_path), "--on", "local"]) == 3
    assert "is not empty and holds no demo; choose a new folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [thesis]


def test_the_demo_has_footage_to_keep_and_each_reason_to_turn_footage_down_once(tmp_path: Path) -> None:
    sources = demo_sources(tmp_path)
    assert sum(source.expect == "kept" for source in sources) >= 3
    turned_down = [source for source in sources if source.expect != "kept"]
    assert len({source.story for source in turned_down}) == len(turned_down) >= 12
    assert 100 <= sum(source.duration_s for source in sources) <= 180
