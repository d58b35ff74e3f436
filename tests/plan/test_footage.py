"""How much footage there is, by headers alone."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vividhead.errors import UsageError
from vividhead.plan import footage
from vividhead.plan.footage import footage_at

if TYPE_CHECKING:
    from faults.film import Film


def test_every_readable_second_is_counted_and_what_is_no_footage_is_told(film: "Film") -> None:
    there = footage_at(str(film.folder))
    assert (there.summary.files, there.summary.unreadable) == (6, 2)
    assert there.summary.duration_s == pytest.approx(film.duration_s, abs=0.3)
    assert there.summary.guessed_s == 0
    assert there.summary.bytes == sum(Path(file.listed.uri).stat().st_size for file in there.files)


def test_a_header_that_does_not_say_how_long_counts_by_bytes(film: "Film", monkeypatch: pytest.MonkeyPatch) -> None:
    known = footage.header_duration_s
    silent = film.silent.stat().st_size

    def unknown_for_twin(path: Path) -> float | None:
        told = known(path)  # of the empty file and the text, which are no footage at all
        return None if path.name == film.twin.name else told

    before = {Path(f.listed.uri).name: f.duration_s for f in footage_at(str(film.folder)).files}
    monkeypatch.setattr(footage, "header_duration_s", unknown_for_twin)
    there = footage_at(str(film.folder))
    others = {name: seconds for name, seconds in before.items() if name != film.twin.name}
    sizes = {Path(f.listed.uri).name: Path(f.listed.uri).stat().st_size for f in there.files}
    expected = sum(others.values()) * silent / sum(sizes[name] for name in others)
    assert there.summary.guessed_s == pytest.approx(expected)
    assert there.summary.duration_s == pytest.approx(sum(others.values()) + expected)


def test_nothing_to_plan_for_is_said(tmp_path: Path, film: "Film", monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(UsageError, match="none of 1 files can be opened as footage"):
        footage_at(str(tmp_path))
    monkeypatch.setattr(footage, "header_duration_s", lambda path: None)
    with pytest.raises(UsageError, match="no header says how long its file is"):
        footage_at(str(film.silent))
