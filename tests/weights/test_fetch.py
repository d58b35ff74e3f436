"""Fetching: licence first, resumed after a cut, and no file takes its name before it is proved."""

import fcntl
import hashlib
import io
import os
import shutil
import urllib.request
from collections import namedtuple
from http.client import HTTPMessage
from pathlib import Path

import pytest

from vividhead.errors import StorageError, UsageError, VividHeadError
from vividhead.weights.download import TRIES, _NoDowngrade
from vividhead.weights.fetch import fetch
from vividhead.weights.fetched import RECORD, digest, recorded
from weights.conftest import CONFIG, PICTURES, TENSORS, Shop, get

PART = ".model.safetensors.part"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != RECORD}


def test_a_model_comes_whole_and_is_recorded(shop: Shop) -> None:
    lines: list[str] = []
    seen: list[tuple[str, int, int]] = []
    folder = get("free", tell=lines.append, progress=lambda *step: seen.append(step))
    assert folder == shop.root / "Free"
    assert contents(folder) == {"config.json": CONFIG, "model.safetensors": TENSORS}
    note = recorded(folder / "config.json")
    assert note is not None
    assert note.sha256 == hashlib.sha256(CONFIG).hexdigest() == digest(folder / "config.json")
    assert note.source == f"{shop.publisher.address}/free/config.json"
    assert "Apache-2.0" in lines[0]
    assert any("no digest is published" in line for line in lines)
    assert seen[-1] == ("model.safetensors", len(TENSORS), len(TENSORS))


def test_what_is_there_is_not_fetched_again(shop: Shop) -> None:
    get("free")
    asked = len(shop.publisher.asked)
    get("free")
    assert len(shop.publisher.asked) == asked


def test_a_cut_connection_is_gone_on_with(shop: Shop) -> None:
    shop.publisher.cuts = [len(CONFIG), 30_000, 20_000]
    folder = get("free")
    assert (folder / "model.safetensors").read_bytes() == TENSORS
    ranges = [wanted for path, wanted in shop.publisher.asked if path.endswith(".safetensors")]
    assert ranges == [None, "bytes=30000-", "bytes=50000-"]


def test_a_second_run_goes_on_where_the_first_gave_up(shop: Shop) -> None:
    shop.publisher.cuts = [len(CONFIG), 40_000] + [0] * TRIES
    with pytest.raises(VividHeadError, match="cut after 40,000 of .* run the same command again"):
        get("free")
    assert not (shop.root / "Free" / "model.safetensors").exists()
    assert (shop.root / "Free" / PART).stat().st_size == 40_000
    get("free")
    assert shop.publisher.asked[-1] == ("/free/model.safetensors", "bytes=40000-")
    assert contents(shop.root / "Free") == {"config.json": CONFIG, "model.safetensors": TENSORS}


def test_a_server_without_ranges_is_read_from_the_start(shop: Shop) -> None:
    shop.publisher.knows_ranges = False
    shop.publisher.cuts = [len(CONFIG), 30_000]
    assert (get("free") / "model.safetensors").read_bytes() == TENSORS


def test_a_file_without_digest_is_never_resumed(shop: Shop) -> None:
    part = shop.root / "Free" / ".config.json.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"xxx")
    assert (get("free") / "config.json").read_bytes() == CONFIG
    assert shop.publisher.asked[0] == ("/free/config.json", None)


def test_a_part_of_another_file_is_refused_by_its_digest_and_removed(shop: Shop) -> None:
    part = shop.root / "Free" / PART
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 500)
    with pytest.raises(VividHeadError, match="sha256 .*; nothing was kept"):
        get("free")
    assert contents(part.parent) == {"config.json": CONFIG}
    assert (get("free") / "model.safetensors").read_bytes() == TENSORS


def test_a_wrong_digest_is_refused(shop: Shop) -> None:
    shop.publisher.files["/free/model.safetensors"] = TENSORS[:-1] + b"?"
    with pytest.raises(VividHeadError, match="is not the published model.safetensors: it has the sha256"):
        get("free")
    assert contents(shop.root / "Free") == {"config.json": CONFIG}


@pytest.mark.parametrize("tells_length", [True, False])
def test_a_longer_file_is_refused_before_it_fills_the_disk(shop: Shop, tells_length: bool) -> None:
    shop.publisher.tells_length = tells_length
    shop.publisher.files["/free/model.safetensors"] = TENSORS * 50
    with pytest.raises(VividHeadError, match="the published file 100,0"):
        get("free")
    assert contents(shop.root / "Free") == {"config.json": CONFIG}


def test_passing_faults_of_the_server_are_waited_out(shop: Shop) -> None:
    shop.publisher.statuses = [503, 429, 500]
    assert (get("free") / "config.json").read_bytes() == CONFIG


@pytest.mark.parametrize(("status", "words"), [(404, "not found"), (403, "refused .HTTP 403")])
def test_lasting_faults_of_the_server_are_told_at_once(shop: Shop, status: int, words: str) -> None:
    shop.publisher.statuses = [status]
    with pytest.raises(VividHeadError, match=words):
        get("free")
    assert len(shop.publisher.asked) == 1


def test_a_server_that_is_not_there_is_named_at_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vividhead.weights.download.PAUSE_S", 3600.0)  # a first contact is not tried again
    with pytest.raises(VividHeadError, match="http://127.0.0.1:9/.*no connection.*; run the same command again$"):
        get("free", source="http://127.0.0.1:9")


def test_a_redirect_is_followed_with_its_range(shop: Shop) -> None:
    shop.publisher.redirects["/free/model.safetensors"] = "/elsewhere"
    shop.publisher.files["/elsewhere"] = TENSORS
    shop.publisher.cuts = [len(CONFIG), 10]
    assert (get("free") / "model.safetensors").read_bytes() == TENSORS
    assert shop.publisher.asked[-1] == ("/elsewhere", "bytes=10-")


def test_a_bound_licence_is_said_and_must_be_accepted(shop: Shop) -> None:
    lines: list[str] = []
    with pytest.raises(UsageError, match="NON-COMMERCIAL.*--accept-licence"):
        get("bound", tell=lines.append)
    assert "bound: read the terms" in lines
    assert not shop.publisher.asked
    assert not shop.root.exists()
    assert contents(get("bound", accept_licence=True)) == {"bound.pth": b"b" * 300}


def test_no_licence_and_no_name_is_left_to_the_end_of_a_long_download(shop: Shop) -> None:
    with pytest.raises(UsageError, match="--accept-licence"):
        fetch(["free", "bound"])
    with pytest.raises(UsageError, match="no weights 'unheard'"):
        fetch(["free", "unheard"])
    assert not shop.publisher.asked


def test_an_archive_is_unpacked_into_the_models_own_folder_and_removed(shop: Shop) -> None:
    folder = get("packed")
    assert contents(folder) == PICTURES
    assert [path.name for path in shop.root.iterdir()] == ["packed"]
    assert [path for path, _ in shop.publisher.asked] == ["/packed.zip"]


def test_files_come_from_a_local_folder_in_either_layout(shop: Shop, tmp_path: Path) -> None:
    flat, laid = tmp_path / "flat", tmp_path / "laid"
    (laid / "Free").mkdir(parents=True)
    flat.mkdir()
    for folder in (flat, laid / "Free"):
        (folder / "config.json").write_bytes(CONFIG)
        (folder / "model.safetensors").write_bytes(TENSORS)
    for number, source in enumerate((flat, laid)):
        folder = get("free", to=tmp_path / f"to{number}", source=str(source))
        assert contents(folder) == {"config.json": CONFIG, "model.safetensors": TENSORS}
    assert not shop.publisher.asked


def test_a_local_archive_serves_as_the_publishers(shop: Shop, tmp_path: Path) -> None:
    source = tmp_path / "downloads"
    source.mkdir()
    (source / "packed.zip").write_bytes(shop.publisher.files["/packed.zip"])
    assert contents(get("packed", source=str(source))) == PICTURES
    assert not shop.publisher.asked


def test_a_local_file_is_held_against_the_published_digest(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "bound.pth").write_bytes(b"c" * 300)
    with pytest.raises(VividHeadError, match="is not the published bound.pth"):
        get("bound", source=str(tmp_path), accept_licence=True)
    assert contents(shop.root / "bound" / "deep") == {}


def test_a_local_folder_without_the_file_is_named(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no Free/config.json in it"):
        get("free", source=str(tmp_path))


def test_another_address_may_have_the_layout_of_a_weights_folder_or_of_one_model(shop: Shop, tmp_path: Path) -> None:
    files = shop.publisher.files
    for stem in ("/mirror/Free", "/flat"):
        files |= {f"{stem}/config.json": CONFIG, f"{stem}/model.safetensors": TENSORS}
    for number, stem in enumerate(("mirror", "flat")):
        folder = get("free", to=tmp_path / str(number), source=f"{shop.publisher.address}/{stem}/")
        assert contents(folder) == {"config.json": CONFIG, "model.safetensors": TENSORS}


def test_the_hubs_files_come_from_its_mirror_when_one_is_set(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vividhead.weights.sources._HUB", f"{shop.publisher.address}/free/")
    monkeypatch.setenv("HF_ENDPOINT", f"{shop.publisher.address}/mirror/")
    shop.publisher.files |= {"/mirror/config.json": CONFIG, "/mirror/model.safetensors": TENSORS}
    get("free")
    assert [path for path, _ in shop.publisher.asked] == ["/mirror/config.json", "/mirror/model.safetensors"]


def test_a_file_cut_short_is_replaced(shop: Shop) -> None:
    path = get("free") / "model.safetensors"
    path.write_bytes(TENSORS[:-5])
    get("free")
    assert path.read_bytes() == TENSORS


def test_a_whole_file_of_the_users_is_not_overwritten(shop: Shop) -> None:
    path = get("free") / "model.safetensors"
    path.write_bytes(TENSORS[:-1] + b"?")
    with pytest.raises(VividHeadError, match="is there and is not the published file; move it away"):
        get("free")
    assert path.read_bytes() == TENSORS[:-1] + b"?"


def test_two_fetches_into_one_folder_do_not_mix(shop: Shop) -> None:
    folder = shop.root / "Free"
    folder.mkdir(parents=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(VividHeadError, match="another fetch is writing"):
            get("free")
    finally:
        os.close(handle)
    get("free")


def test_a_full_disk_is_told_before_the_first_byte(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10, 9, 1_000))
    with pytest.raises(StorageError, match="1 kB free, free needs 50.1 MB"):
        get("free")
    assert not shop.publisher.asked


def test_a_folder_that_cannot_be_made_is_named(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot make .*file/Free"):
        get("free", to=tmp_path / "file")


def test_an_unknown_name_lists_the_known_ones_and_touches_nothing(shop: Shop) -> None:
    with pytest.raises(UsageError, match="no weights '../free'; there are free, bound, packed"):
        get("../free")
    assert not shop.root.exists()


def test_no_redirect_leads_from_https_to_http() -> None:
    asked = urllib.request.Request("https://example.org/model")
    with pytest.raises(VividHeadError, match="https://example.org/model leads to http://.*, which is not https"):
        _NoDowngrade().redirect_request(asked, io.BytesIO(), 302, "", HTTPMessage(), "http://example.org/model")
    further = _NoDowngrade().redirect_request(asked, io.BytesIO(), 302, "", HTTPMessage(), "https://cdn.example.org/m")
    assert further is not None
    assert further.full_url == "https://cdn.example.org/m"
