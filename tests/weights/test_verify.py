"""Verifying, the record of what was fetched, and the three verbs as typed."""

import io
import json
import os
from pathlib import Path

import pytest

from vividhead.cli import main
from vividhead.errors import VividHeadError
from vividhead.weights.fetched import RECORD, digest, recorded, sha256_of
from vividhead.weights.report import Meter
from vividhead.weights.verify import verify
from weights.conftest import CONFIG, TENSORS, Shop, get


def states(name: str | None = None, folder: Path | None = None) -> dict[str, str]:
    return {finding.path.name: finding.state for finding in verify(name, folder)}


def test_what_was_fetched_verifies(shop: Shop) -> None:
    get("free")
    assert states() == {"config.json": "as fetched", "model.safetensors": "published"}


def test_a_change_is_found_even_where_no_digest_is_published(shop: Shop) -> None:
    (get("free") / "config.json").write_bytes(CONFIG.replace(b"8", b"9"))
    assert states("free") == {"config.json": "wrong", "model.safetensors": "published"}


def test_without_record_and_digest_a_file_is_unproved_and_says_so(shop: Shop) -> None:
    folder = get("free")
    (folder / RECORD).unlink()
    finding = verify("free")[0]
    assert finding.state == "unproved"
    assert "no digest is published or recorded" in finding.detail


def test_a_cut_and_a_changed_file_are_named(shop: Shop) -> None:
    path = get("free") / "model.safetensors"
    path.write_bytes(TENSORS[:-9])
    assert "cut short" in str(verify("free")[1])
    path.write_bytes(TENSORS[:-1] + b"?")
    assert "published" in verify("free")[1].detail
    assert verify("free")[1].state == "wrong"


def test_a_record_that_cannot_be_read_is_no_record(shop: Shop) -> None:
    folder = get("free")
    (folder / RECORD).write_text("{")
    assert recorded(folder / "config.json") is None
    assert states("free")["config.json"] == "unproved"


def test_a_folder_without_models_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(VividHeadError, match="holds none of the known model files"):
        verify(folder=tmp_path)


def test_the_digest_of_an_untouched_file_comes_from_its_record(shop: Shop) -> None:
    path = get("free") / "model.safetensors"
    stat = path.stat()
    path.write_bytes(TENSORS[:-1] + b"?")
    assert digest(path) == sha256_of(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    note = recorded(path)
    assert note is not None
    assert digest(path) == note.sha256 != sha256_of(path)  # as make and git do: size and time stand for the content


def test_the_verbs_list_fetch_and_verify(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "list", "--json"]) == 0
    before = {known["name"]: known["state"] for known in json.loads(capsys.readouterr().out)}
    assert before == {"free": "absent", "bound": "absent", "packed": "absent"}
    assert main(["weights", "fetch", "free", "packed"]) == 0
    heard = capsys.readouterr()
    assert heard.out.splitlines() == [str(shop.root / "Free"), str(shop.root / "packed")]
    assert "licence Apache-2.0" in heard.err
    assert main(["weights", "verify"]) == 0
    (shop.root / "Free" / "config.json").unlink()
    assert main(["weights", "verify", "free"]) == 1
    assert "missing" in capsys.readouterr().out
    assert main(["weights", "list"]) == 0
    rows = {line.split()[1]: line.split()[0] for line in capsys.readouterr().out.splitlines()[2:]}
    assert rows == {"free": "part", "bound": "absent", "packed": "present"}


def test_the_list_marks_a_broken_file(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    path = shop.root / "bound" / "deep" / "bound.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"b")
    main(["weights", "list"])
    assert "wrong   bound" in capsys.readouterr().out


def test_refusals_have_their_exit_codes(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "fetch", "bound"]) == 2
    assert "--accept-licence" in capsys.readouterr().err
    assert main(["weights", "fetch", "nothing"]) == 2
    shop.publisher.files.clear()
    assert main(["weights", "fetch", "free"]) == 1
    assert main(["weights", "verify"]) == 1


def test_a_live_meter_redraws_and_ends_its_line() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, log = Terminal(), io.StringIO()
    for stream in (terminal, log):
        meter = Meter(stream)
        meter("model.safetensors", 0, 2_000)
        meter("model.safetensors", 2_000, 2_000)
        meter.say("done")
    assert "\rmodel.safetensors" in terminal.getvalue().replace("\x1b[2K", "")
    assert "2 kB of 2 kB" in terminal.getvalue()
    assert terminal.getvalue().endswith("\ndone\n")
    assert log.getvalue() == "done\n"
