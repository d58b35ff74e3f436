"""Footage that is none, or no longer there: each file ends as a row with a clear text, and the run goes on."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from faults import driver
from faults.bad_files import MAKERS, make_bad_files
from faults.entries import Planned, write_plan
from faults.film import REFUSED, Film
from faults.trees import commits, segment_of

from vividhead.audit.account import SourceAccount, account
from vividhead.main_job import curate
from vividhead.view import open_dataset

LOCAL = ("--on", "local", "--quiet")


@dataclass(frozen=True, slots=True)
class BadFiles:
    """Bad files, some of which vanished or changed while they were curated."""

    folder: Path
    dataset: Path
    sources: dict[str, SourceAccount]
    """By name."""
    seconds: dict[str, float]


def _by_name(dataset: Path) -> dict[str, SourceAccount]:
    return {Path(source.uri).name: source for source in account(open_dataset(dataset)).sources}


@pytest.fixture(scope="module")
def bad(film: Film, tmp_path_factory: pytest.TempPathFactory) -> BadFiles:
    parent = tmp_path_factory.mktemp("bad")
    folder, dataset = parent / "footage", parent / "dataset"
    make_bad_files(folder, film)
    plan = write_plan(parent / "plan.json", [
        Planned("scan", folder / "to_vanish.mp4", "vanish"), Planned("scan", folder / "to_grow.mp4", "grow"),
        Planned("scan", folder / "to_be_rewritten.mp4", "rewrite"),
    ])  # fmt: skip
    code, words = driver.finish(driver.start(["curate", folder, "--out", dataset, *LOCAL], plan))
    assert code == 0, words
    return BadFiles(folder, dataset, _by_name(dataset), account(open_dataset(dataset)).seconds())


FATES = {
    "empty.mp4": ("failed", {"failed.empty"}, "the file has no bytes"),
    "no_moov.mp4": ("failed", {"failed.unreadable"}, "not a readable video file"),
    "cut_mid_gop.mp4": ("rejected", {"failed.truncated", "too_short"}, ""),
    "corrupt.mp4": ("rejected", {"failed.corrupt", "too_short"}, ""),
    "text.mp4": ("failed", {"failed.unreadable"}, "not a readable video file"),
    "page.mp4": ("failed", {"failed.unreadable"}, "not a readable video file"),
    "zip.mp4": ("failed", {"failed.unreadable"}, "not a readable video file"),
    "sound_only.mp4": ("rejected", {"source.no_video"}, "sound only"),
    "picture_only.mp4": ("rejected", {"source.no_audio"}, "no audio stream"),
    "no_time.mp4": ("failed", {"failed.unreadable"}, "neither a video nor an audio stream"),
    "one_pixel.mkv": ("rejected", {"source.too_small"}, "under 96 px"),
    "bomb.avi": ("failed", {"failed.undecodable"}, "no picture could be decoded"),
    "as_it_is.mp4": ("rejected", {REFUSED}, ""),
    "to_vanish.mp4": ("failed", {"failed.vanished"}, "went away during the run"),
    "to_grow.mp4": ("failed", {"failed.changed"}, "hashed"),
    "to_be_rewritten.mp4": ("failed", {"failed.changed"}, "hashed"),
}
"""File → outcome, reasons, and words in the detail or in a failure's text."""
DISTURBED = ("to_vanish.mp4", "to_grow.mp4", "to_be_rewritten.mp4")


@pytest.mark.parametrize(("name", "fate"), FATES.items())
def test_a_bad_file_ends_as_a_row_that_says_why(bad: BadFiles, name: str, fate: tuple[str, set[str], str]) -> None:
    source = bad.sources[name]
    outcome, reasons, words = fate
    assert (source.outcome, set(source.reasons)) == (outcome, reasons)
    assert words in " ".join([source.detail, *source.failures])


def test_no_bad_file_is_left_out_of_the_account(bad: BadFiles) -> None:
    assert bad.sources.keys() == MAKERS.keys() == FATES.keys()
    for source in bad.sources.values():
        assert sum(source.seconds.values()) == pytest.approx(source.duration_s)
    assert bad.seconds["not_yet"] == 0


def test_a_file_that_vanished_or_changed_is_taken_up_again_when_it_is_back(bad: BadFiles, film: Film) -> None:
    before = commits(bad.dataset)
    for name in DISTURBED:
        MAKERS[name](bad.folder / name, film)
    curate(bad.folder, bad.dataset, on="local", workers=1)
    now = _by_name(bad.dataset)
    for name in DISTURBED:
        assert set(now[name].reasons) == {REFUSED}
        assert now[name].sha256 == hashlib.sha256((bad.folder / name).read_bytes()).hexdigest()
    again = tuple(segment_of(bad.folder / name) for name in DISTURBED)
    new = commits(bad.dataset) - before
    assert all(stage == "ingest" or key.startswith(again) for stage, key in new)


def test_a_file_that_may_not_be_read_is_a_row_until_it_may(film: Film, tmp_path: Path) -> None:
    footage, dataset = tmp_path / "footage", tmp_path / "dataset"
    footage.mkdir()
    shutil.copyfile(film.text, footage / "locked.mp4")
    shutil.copyfile(film.empty, footage / "open.mp4")
    (footage / "locked.mp4").chmod(0)
    arguments = ["curate", footage, "--out", dataset, *LOCAL]
    code, words = driver.finish(driver.start(arguments, {driver.POWERLESS: "1"}))
    if code == driver.STILL_POWERFUL:
        pytest.skip("the superuser's powers cannot be laid down here")
    assert code == 0, words
    assert set(_by_name(dataset)["locked.mp4"].reasons) == {"failed.no_permission"}
    (footage / "locked.mp4").chmod(0o644)
    code, words = driver.finish(driver.start(arguments, {driver.POWERLESS: "1"}))
    assert code == 0, words
    assert set(_by_name(dataset)["locked.mp4"].reasons) == {"failed.unreadable"}
