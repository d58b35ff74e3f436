"""Whole runs on this machine, disturbed: whatever is killed, stopped or full, running again gives the same bytes."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from conftest import Whole
from faults import driver, dying
from faults.driver import DIE_WRITING
from faults.entries import Planned, write_plan
from faults.film import LEAST_FACE_PX, REFUSED, Film
from faults.trees import commits, copied, segment_of, tree, undo
from outcomes import with_least_face

from vividhead.main_job import curate
from vividhead.view import open_dataset

PATIENCE_S = 120


def _curate(film: Film, out: Path, *more: str) -> list[object]:
    return ["curate", film.folder, "--out", out, "--on", "local", "--quiet", *more]


def _wait_for(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not true():
        assert process.poll() is None, f"ended by itself: {process.communicate()}"
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.02)


def _children(process: subprocess.Popen[str]) -> list[int]:
    folder = Path(f"/proc/{process.pid}/task")
    return [int(pid) for task in folder.glob("*/children") for pid in task.read_text().split()]


def _has_commits(dataset: Path, count: int) -> bool:
    return len(commits(dataset)) >= count


def _is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def unpublished(film: Film, whole: Whole, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset whose runs were killed at three moments by chance, and a last one when it began to publish."""
    dataset, rng = tmp_path_factory.mktemp("killed") / "dataset", random.Random(41)
    for done in sorted(rng.sample(range(1, len(commits(whole.dataset))), 3)):
        process = driver.start(_curate(film, dataset, "--workers", "2"))
        _wait_for(partial(_has_commits, dataset, done), process)
        time.sleep(rng.uniform(0, 0.5))
        children = _children(process)
        process.kill()
        driver.finish(process)
        until = time.monotonic() + 120
        while any(map(_is_alive, children)) and time.monotonic() < until:
            time.sleep(0.05)
        assert not any(map(_is_alive, children)), "a child outlives its killed parent"
    process = driver.start(_curate(film, dataset, "--workers", "2"), {DIE_WRITING: "sources.parquet"})
    code, words = driver.finish(process)
    assert code == -signal.SIGKILL, words
    return dataset


def test_a_run_killed_again_and_again_ends_with_the_bytes_of_an_undisturbed_one(
    film: Film, whole: Whole, unpublished: Path, tmp_path: Path
) -> None:
    dataset = copied(unpublished, tmp_path / "dataset")
    before = commits(dataset)
    assert before == commits(whole.dataset)
    curate(film.folder, dataset, on="local", workers=1)
    assert tree(dataset) == whole.tree
    assert commits(dataset) == before


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_how_to_go_on_and_keeps_what_is_done(
    film: Film, whole: Whole, tmp_path: Path, how: signal.Signals
) -> None:
    dataset = copied(whole.dataset, tmp_path / "dataset")
    undo(dataset, "scan", segment_of(film.silent))
    plan = write_plan(tmp_path / "plan.json", [Planned("scan", film.silent, "endless")])
    process = driver.start(_curate(film, dataset, "--workers", "1"), plan)
    _wait_for(lambda: bool(list(tmp_path.glob("plan.json.*"))), process)
    os.killpg(process.pid, how)  # as a terminal does at Ctrl-C
    code, words = driver.finish(process)
    assert code == 130
    assert words.strip().endswith("interrupted; what is done is kept, run the same command again to go on")
    curate(film.folder, dataset, on="local", workers=1)
    assert tree(dataset) == whole.tree


def test_attempts_that_crash_hang_stop_or_fail_are_made_again_and_leave_no_trace(
    film: Film, whole: Whole, tmp_path: Path
) -> None:
    faults = [
        Planned("ingest", film.text, "segfault", times=1),
        Planned("ingest", film.empty, "error", times=2),
        Planned("scan", film.silent, "crash", times=1),
        Planned("scan", film.small, "killed", times=1),
        Planned("measure", film.kept, "stopped", times=1),
        Planned("pack", film.kept, "hang", times=1),
    ]
    hasty = tmp_path / "hasty.toml"
    hasty.write_text("[run]\nattempts = 5\nstall_limit_s = 12.0\n")
    dataset = tmp_path / "dataset"
    plan = write_plan(tmp_path / "plan.json", faults)
    arguments = ["curate", film.folder, "--out", dataset, "--on", "local", "--pipeline", hasty, "--workers", "2"]
    code, words = driver.finish(driver.start(arguments, plan))
    assert code == 0, words
    assert len(list(tmp_path.glob("plan.json.*"))) == sum(fault.times for fault in faults), "not all faults befell"
    for told in ("SIGABRT", "SIGSEGV", "SIGKILL", "a mistake of ours", "no progress for 12 s"):
        assert told in words
    assert tree(dataset) == whole.tree


@dataclass(frozen=True, slots=True)
class JudgedAnew:
    """The whole dataset run again with filters that let the small face pass."""

    filters: Path
    unpublished: Path
    """As a run left it that was killed when it began to publish."""
    dataset: Path


@pytest.fixture(scope="module")
def judged_anew(film: Film, whole: Whole, tmp_path_factory: pytest.TempPathFactory) -> JudgedAnew:
    folder = tmp_path_factory.mktemp("judged-anew")
    filters = folder / "lower.toml"
    filters.write_text(with_least_face(LEAST_FACE_PX), encoding="utf-8")
    unpublished = copied(whole.dataset, folder / "unpublished")
    arguments = _curate(film, unpublished, "--filters", str(filters), "--workers", "1")
    code, words = driver.finish(driver.start(arguments, {DIE_WRITING: "sources.parquet"}))
    assert code == -signal.SIGKILL, words
    dataset = copied(unpublished, folder / "dataset")
    curate(film.folder, dataset, filters=str(filters), on="local", workers=1)
    return JudgedAnew(filters, unpublished, dataset)


def test_lower_filters_measure_only_what_a_hard_rule_had_skipped(
    film: Film, whole: Whole, judged_anew: JudgedAnew
) -> None:
    dataset = judged_anew.dataset
    new = commits(dataset) - commits(whole.dataset)
    assert sorted(stage for stage, _ in new) == ["more", "pack"]
    before, now = (open_dataset(d).clips().set_index("uri").loc[str(film.small)] for d in (whole.dataset, dataset))
    assert (before["lip_sync.status"], now["lip_sync.status"]) == ("skipped", "measured")
    assert not before["kept"] and before["reasons"][0] == REFUSED
    assert now["kept"] and not now["reasons"]


def test_stricter_filters_do_no_new_work(film: Film, whole: Whole, judged_anew: JudgedAnew, tmp_path: Path) -> None:
    done = judged_anew.dataset
    dataset = copied(done, tmp_path / "dataset")
    filters = tmp_path / "stricter.toml"
    filters.write_text(with_least_face(2 * LEAST_FACE_PX), encoding="utf-8")
    curate(film.folder, dataset, filters=str(filters), on="local", workers=1)
    assert commits(dataset) <= commits(done)
    kept = open_dataset(dataset).table("manifest")["uri"].to_pylist()
    expected = open_dataset(done).clips()
    assert kept == list(expected[expected["framing.face_height_px_in_source"] >= 2 * LEAST_FACE_PX]["uri"])


def test_filters_judged_anew_leave_what_a_run_with_them_alone_leaves(
    film: Film, judged_anew: JudgedAnew, tmp_path: Path
) -> None:
    filters, dataset = judged_anew.filters, judged_anew.dataset
    alone = curate(film.folder, tmp_path / "alone", filters=str(filters), on="local", workers=2)
    assert tree(dataset) == tree(alone)  # the first filters' decisions are gone: more has been measured since


@pytest.mark.parametrize("before", ["nothing is published", "other filters' shards are published"])
def test_a_run_killed_at_any_write_while_publishing_is_mended_by_the_next(
    film: Film, unpublished: Path, judged_anew: JudgedAnew, tmp_path: Path, before: str
) -> None:
    anew = before != "nothing is published"
    filters = str(judged_anew.filters) if anew else "talking-head"
    template = judged_anew.unpublished if anew else unpublished
    found = dying.try_every_moment(film.folder, filters, template, tmp_path, every=2)
    assert found["moments"] > 30
    assert found["differing"] == []
