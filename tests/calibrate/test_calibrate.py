"""The verb on a small folder of footage: what it takes for good, what it finds, how it goes on where it stopped."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vividhead.calibrate import PAGE, REPORT, TABLE, Options, calibrate
from vividhead.calibrate.records import Calibration
from vividhead.cli import main
from vividhead.errors import UsageError

if TYPE_CHECKING:
    from faults.film import Film

SCORES = ("exposure", "speech", "loudness", "other_faces")
FAMILIES = ("clipped_sound", "only_noise", "over_exposure")
OPTIONS = Options(scores=SCORES, families=FAMILIES, seconds=3.0, workers=1, command="a test")


def told(what: str, done: int, total: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class Made:
    """A calibration and where it lies."""

    out: Path
    found: Calibration


@pytest.fixture(scope="session")
def made(film: "Film", tmp_path_factory: pytest.TempPathFactory) -> Made:
    out = tmp_path_factory.mktemp("calibration")
    return Made(out, calibrate([str(film.folder)], out, OPTIONS, told))


def test_footage_that_the_filters_refuse_is_not_taken_for_good(made: Made) -> None:
    sizes = sorted(good.face_px_in_source for good in made.found.clips)
    assert len(sizes) == 2 and sizes[0] < 160 < sizes[1]
    assert made.found.untouched_kept == 1


def test_what_takes_no_part_is_told_with_the_reason(made: Made, film: "Film") -> None:
    reasons = ["failed.empty", "failed.unreadable", "not good", "not good"]  # the last two: nobody speaks in them
    assert sorted(made.found.left_out.values()) == reasons
    assert "Left out: 4 (2 not good" in (made.out / TABLE).read_text(encoding="utf-8")


def test_clipping_reads_as_much_as_was_clipped(made: Made) -> None:
    (curve,) = (c for c in made.found.curves if c.family == "clipped_sound")
    assert [level.clips for level in curve.levels] == [2] * 5
    assert [level.within for level in curve.levels[1:]] == [1, 1, 1, 1]
    assert curve.auc.value == 1 and curve.monotone.value == 1


def test_noise_alone_is_no_speech_and_light_burns_the_large_face_out(made: Made) -> None:
    by_field = {t.field: t for t in made.found.thresholds}
    assert by_field["speech.speech_fraction"].auc.value == 1
    over = by_field["exposure.over_fraction"]
    assert over.auc.value == 1 and over.reached
    (curve,) = (c for c in made.found.curves if c.family == "over_exposure")
    assert [level.clips for level in curve.levels[1:]] == [1, 1, 1], "the small face's picture is not spoilt"


def test_the_report_is_written_as_json_page_and_table(made: Made) -> None:
    plain: dict[str, Any] = json.loads((made.out / REPORT).read_text(encoding="utf-8"))
    assert plain["seed"] == 0 and len(plain["curves"]) == len(made.found.curves)
    page = (made.out / PAGE).read_text(encoding="utf-8")
    assert page.count("<svg") == len(made.found.curves) and "http" not in page
    table = (made.out / TABLE).read_text(encoding="utf-8")
    assert "| exposure.over_fraction | at most |" in table


def test_it_goes_on_where_it_stopped_and_finds_the_same(made: Made, film: "Film") -> None:
    readings = sorted((made.out / "readings").glob("*.json"))
    before = {path: path.stat().st_mtime_ns for path in readings}
    lost = next(path for path in readings if "clipped_sound" in path.name)
    lost.unlink()
    again = calibrate([str(film.folder)], made.out, OPTIONS, told)
    after = {path: path.stat().st_mtime_ns for path in sorted((made.out / "readings").glob("*.json"))}
    assert [path for path in before if after[path] != before[path]] == [lost]
    assert again.curves == made.found.curves and again.thresholds == made.found.thresholds


@pytest.mark.parametrize(("change", "words"), [
    (["--perturbations", "defocuss"], "no perturbation 'defocuss'"),
    (["--scores", "sharpnes"], "did you mean sharpness"),
    (["--precision", "1"], "less than 1"),
    (["--seconds", "1"], "clips of 3 s"),
])  # fmt: skip
def test_a_mistake_is_named_before_anything_is_opened(
    change: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", str(tmp_path), "--out", str(tmp_path / "out"), *change]) == 2
    assert words in capsys.readouterr().err


def test_one_speaker_is_not_enough(film: "Film", tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two speakers"):
        calibrate([str(film.kept)], tmp_path, OPTIONS, told)


def test_where_no_clip_is_good_no_report_of_nothing_is_written(film: "Film", tmp_path: Path) -> None:
    filters = tmp_path / "blinding.toml"
    filters.write_text('exposure.face_luma_median = { min = 254, why = "a test" }\n', encoding="utf-8")
    options = replace(OPTIONS, scores=("exposure",), filters=str(filters))
    with pytest.raises(UsageError, match=r"0 good clips; two.*left out are \d+ \(.*not good"):
        calibrate([str(film.folder)], tmp_path / "out", options, told)
    assert not (tmp_path / "out" / REPORT).exists()
