"""The same chain on Ray: the driver killed, a worker killed, a disk full; the bytes are the local runner's."""

import os
import signal
import time
from pathlib import Path

from conftest import Whole
from faults import driver
from faults.entries import Planned, write_plan
from faults.film import Film
from faults.trees import commits, copied, segment_of, tree, undo

RAY = ("--on", "ray", "--workers", "2", "--quiet")
PATIENCE_S = 180


def test_a_run_whose_driver_is_killed_and_a_worker_of_the_next_ends_with_the_local_runners_bytes(
    film: Film, whole: Whole, tmp_path: Path
) -> None:
    dataset = tmp_path / "dataset"
    process = driver.start(["curate", film.folder, "--out", dataset, *RAY])
    until = time.monotonic() + PATIENCE_S
    while not any(stage == "scan" for stage, _ in commits(dataset)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.05)
    process.kill()
    driver.finish(process)
    before = commits(dataset)
    assert before < commits(whole.dataset)
    plan = write_plan(tmp_path / "plan.json", [Planned("measure", film.kept, "worker_killed", times=1)])
    arguments = ["curate", film.folder, "--out", dataset, "--on", "ray", "--workers", "2"]
    code, words = driver.finish(driver.start(arguments, plan))
    assert code == 0, words
    assert "crash: its Ray worker was lost" in words
    assert tree(dataset) == whole.tree
    assert commits(dataset) == commits(whole.dataset)


def test_a_full_disk_at_a_worker_ends_the_run_on_ray_with_its_own_code(
    film: Film, whole: Whole, tmp_path: Path
) -> None:
    dataset = copied(whole.dataset, tmp_path / "dataset")
    undo(dataset, "scan", segment_of(film.silent))
    plan = write_plan(tmp_path / "plan.json", [Planned("scan", film.silent, "disk_full")])
    code, words = driver.finish(driver.start(["curate", film.folder, "--out", dataset, *RAY], plan))
    assert code == 5, words
    assert "the disk is full" in words and "Traceback" not in words


def test_an_interrupted_run_on_ray_ends_at_once_and_says_how_to_go_on(film: Film, whole: Whole, tmp_path: Path) -> None:
    dataset = copied(whole.dataset, tmp_path / "dataset")
    undo(dataset, "scan", segment_of(film.silent))
    plan = write_plan(tmp_path / "plan.json", [Planned("scan", film.silent, "endless")])
    process = driver.start(["curate", film.folder, "--out", dataset, *RAY], plan)
    until = time.monotonic() + PATIENCE_S
    while not list(tmp_path.glob("plan.json.*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does at Ctrl-C
    code, words = driver.finish(process)
    assert code == 130, words
    assert words.strip().endswith("run the same command again to go on")
