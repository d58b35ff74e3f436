"""Commits that are there whole or not at all, and one writer at a time."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from vividhead.errors import DatasetError, StorageError
from vividhead.ledger import Ledger, sole_writer, storage_error, write_atomically


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_a_commit_can_be_read_back_with_the_digests_of_its_parts(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.read("scan", "a") is None
    ledger.commit("scan", "a", {"found": [1, None, "ö"]}, {"npz": b"array", "tar": b"tape"})
    assert ledger.read("scan", "a") == {
        "found": [1, None, "ö"],
        "parts": {name: hashlib.sha256(data).hexdigest() for name, data in (("npz", b"array"), ("tar", b"tape"))},
    }
    assert ledger.part("scan", "a", "npz").read_bytes() == b"array"
    assert files(tmp_path) == {"ledger/scan/a.json", "ledger/scan/a.npz", "ledger/scan/a.tar"}


def test_the_same_commit_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        order = {"b": 1, "a": 2} if name == "one" else {"a": 2, "b": 1}
        Ledger(tmp_path / name).commit("scan", "a", order, {})
    one, two = (tmp_path / name / "ledger/scan/a.json" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("dies_at", range(1, 7))
def test_a_commit_that_dies_anywhere_is_not_there_or_there_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    """Two files, each: fsync, rename, fsync of the folder. The power goes just before one of the six."""
    step = 0

    class PowerCut(BaseException):
        pass

    def dying(work):  # type: ignore[no-untyped-def]
        def run(*given, **named):  # type: ignore[no-untyped-def]
            nonlocal step
            step += 1
            if step == dies_at:
                raise PowerCut
            return work(*given, **named)

        return run

    ledger = Ledger(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", dying(os.fsync))
        patch.setattr(Path, "replace", dying(Path.replace))
        with pytest.raises(PowerCut):
            ledger.commit("pack", "a", {"n": 1}, {"tar": b"tape"})
    assert (ledger.read("pack", "a") is None) == (dies_at < 6)
    if dies_at == 6:
        assert ledger.part("pack", "a", "tar").read_bytes() == b"tape"
    ledger.sweep()
    assert not any(name.endswith(".part") for name in files(tmp_path))
    ledger.commit("pack", "a", {"n": 1}, {"tar": b"tape"})
    assert files(tmp_path) == {"ledger/pack/a.json", "ledger/pack/a.tar"}


def test_an_older_commit_stays_until_the_newer_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table"
    write_atomically(path, b"old")

    def no_room(handle: int) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(StorageError, match="the disk is full.*make room and run the same command again"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == {"table"}


def test_a_commit_is_synced_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(handle: int) -> None:
        order.append("sync")
        fsync(handle)

    def noted_replace(self: Path, target: Path) -> Path:
        order.append("name")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    write_atomically(tmp_path / "a", b"1")
    assert order == ["sync", "name", "sync"]


def test_what_cannot_be_written_says_why_and_the_way_out() -> None:
    told = str(storage_error(OSError(errno.EACCES, "Permission denied"), Path("out/a.json")))
    assert told.startswith("cannot write out/a.json: Permission denied")
    assert "make room" not in told
    assert "quota" in str(storage_error(OSError(errno.EDQUOT, "?"), Path("a")))


def test_a_record_that_is_damaged_is_named_with_the_way_out(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.commit("scan", "a", {"n": 1}, {})
    path = tmp_path / "ledger/scan/a.json"
    for damage in (b"", path.read_bytes()[:-3], b"\xff\xfe"):
        path.write_bytes(damage)
        with pytest.raises(DatasetError, match="a.json is damaged.*delete that file and run the same command again"):
            ledger.read("scan", "a")


def test_numbers_that_json_lacks_are_refused_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        Ledger(tmp_path).commit("scan", "a", {"n": float("nan")}, {})
    assert Ledger(tmp_path).read("scan", "a") is None


def test_keys_are_those_of_whole_commits_in_order(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.keys("more") == []
    for key in ("b.2", "a.1", "b.1"):
        ledger.commit("more", key, {}, {"npz": b""})
    (tmp_path / "ledger/more/b.3.npz").write_bytes(b"a part without its commit")
    (tmp_path / "ledger/more/.b.4.json.77.part").write_bytes(b"half")
    assert ledger.keys("more") == ["a.1", "b.1", "b.2"]
    assert ledger.keys("more", "b.") == ["b.1", "b.2"]


def test_a_commit_taken_back_is_gone_with_its_parts_and_no_other(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for key in ("a", "ab"):
        ledger.commit("pack", key, {}, {"tar": b"tape"})
    ledger.forget("pack", "a")
    assert files(tmp_path) == {"ledger/pack/ab.json", "ledger/pack/ab.tar"}
    ledger.forget("pack", "never there")


def test_sweep_removes_half_written_files_wherever_they_lie_and_nothing_else(tmp_path: Path) -> None:
    Ledger(tmp_path).commit("scan", "a", {}, {})
    (tmp_path / "shards").mkdir()
    for left in ("ledger/scan/.b.json.7.part", ".clips.parquet.7.part", "shards/.train-000000.tar.part"):
        (tmp_path / left).write_bytes(b"half")
    (tmp_path / "shards/part.tar").write_bytes(b"whole")
    assert Ledger(tmp_path).sweep() == 3
    assert files(tmp_path) == {"ledger/scan/a.json", "shards/part.tar"}


HOLDER = """
import sys, time
from pathlib import Path
from vividhead.ledger import sole_writer
with sole_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_refused_and_told_who_holds_the_dataset(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(DatasetError, match=rf"is being written by process {other.pid} on .*--out"):
            with sole_writer(tmp_path):
                pass
        other.send_signal(signal.SIGKILL)
        other.wait()
        with sole_writer(tmp_path):
            assert (tmp_path / ".lock").read_text().startswith(f"process {os.getpid()} on ")
    with sole_writer(tmp_path):
        pass


def test_a_dataset_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StorageError, match="cannot write"):
        with sole_writer(tmp_path / "file" / "dataset"):
            pass


def test_records_are_plain_json_that_other_tools_read(tmp_path: Path) -> None:
    Ledger(tmp_path).commit("scan", "a", {"uri": "caf\udce9.mp4"}, {})
    assert json.loads((tmp_path / "ledger/scan/a.json").read_bytes())["uri"] == "caf\udce9.mp4"
    assert Ledger(tmp_path).read("scan", "a") == {"uri": "caf\udce9.mp4", "parts": {}}
