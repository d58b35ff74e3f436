"""What is opened and what is not: names that look like something else, playlists, pipes, folders."""

import os
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from media.truth import beep, numbered, source_of
from vividhead.errors import MediaError
from vividhead.media import probe
from vividhead.media.opening import open_media, regular_file
from vividhead.testing import write_video

NAMES = [
    "-i.mp4", "a:b.mp4", "http:x.mp4", "file:x.mp4", "pipe:0.mp4", "concat:a|b.mp4", "%d.mp4", "100%.mp4",
    "frame%04d.mp4", "a\nb.mp4", 'it\'s "quoted".mp4', "x?y*[z].mp4", "ü✓話.mp4", "back\\slash.mp4", " lead.mp4",
    "#x.mp4", "$HOME.mp4", b"\xff\xfe.mp4".decode(errors="surrogateescape"),
]  # fmt: skip


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return write_video(path, numbered(range(25)), audio=beep(1, 0.5), audio_rate_hz=48_000)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_is_a_name_and_nothing_else(
    name: str, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(film.read_bytes())
    (tmp_path / "sub").mkdir()
    assert probe(tmp_path / "sub" / ".." / name).n_frames == 25
    monkeypatch.chdir(tmp_path)
    assert probe(Path(name)).n_frames == 25


def playlists(film: Path) -> dict[str, str]:
    """Texts that some demuxer would follow to `film`."""
    return {
        "m3u8": f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{film}\n#EXT-X-ENDLIST\n",
        "ffconcat": f"ffconcat version 1.0\nfile '{film}'\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5000 RTP/AVP 96\n",
        "mpd": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
        f"<AdaptationSet><Representation id='1'><BaseURL>{film}</BaseURL></Representation></AdaptationSet>"
        "</Period></MPD>",
        "asx": f'<asx version="3.0"><entry><ref href="{film}"/></entry></asx>',
    }


@pytest.mark.parametrize("kind", ["m3u8", "ffconcat", "sdp", "mpd", "asx"])
@pytest.mark.parametrize("suffix", ["mp4", "own"])
def test_a_playlist_is_not_followed(kind: str, suffix: str, film: Path, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind if suffix == 'own' else suffix}"
    path.write_text(playlists(film)[kind])
    with pytest.raises(MediaError) as caught:
        open_media(path)
    assert caught.value.code == "failed.unreadable"


def write_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "1. interview\n" * 1000)


NOT_VIDEO: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("1. interview\n" * 500),
    "html": lambda path: path.write_text("<!doctype html><html><body>" + "<p>x</p>" * 500),
    "zip": write_zip,
    "noise": lambda path: path.write_bytes(bytes((k * k * 7919 >> 3) % 251 for k in range(50_000))),
    "one byte": lambda path: path.write_bytes(b"\0"),
}


@pytest.mark.parametrize("kind", NOT_VIDEO)
def test_what_is_no_video_is_unreadable_whatever_its_name(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    NOT_VIDEO[kind](path)
    source = source_of(path)
    assert (source.outcome, source.code) == ("failed", "failed.unreadable")
    assert source.bytes == path.stat().st_size
    assert not source.source_id.startswith("unread-")


def test_an_empty_file_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").touch()
    source = source_of(tmp_path / "film.mp4")
    assert (source.outcome, source.code, source.bytes) == ("failed", "failed.empty", 0)


@pytest.mark.parametrize("kind", ["pipe", "folder", "link to itself", "device", "very long name"])
def test_what_is_no_file_fails_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link to itself":
        path.symlink_to("film.mp4")
    elif kind == "device":
        path = Path(os.devnull)
    else:
        path = tmp_path / ("long" * 100 + ".mp4")
    found: list[str | None] = []
    reading = threading.Thread(target=lambda: found.append(source_of(path).code), daemon=True)
    reading.start()
    reading.join(timeout=20)
    assert found == ["failed.unreadable"], "opening a pipe waits for its other end"


@pytest.mark.parametrize("kind", ["nothing", "broken link", "file for a folder"])
def test_a_file_that_is_not_there_has_vanished(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    if kind == "broken link":
        path.symlink_to("elsewhere.mp4")
    elif kind == "file for a folder":
        path.touch()
        path = path / "film.mp4"
    for read in (regular_file, open_media, probe, source_of):
        with pytest.raises(MediaError) as caught:
            read(path)  # type: ignore[operator]
        assert caught.value.code == "failed.vanished"


def test_a_file_that_may_not_be_read_says_so(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's refusal is simulated: tests may run as root, who may read all."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(MediaError) as caught:
        source_of(film)
    assert caught.value.code == "failed.no_permission"


def test_a_folder_that_may_not_be_listed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(MediaError) as caught:
        source_of(tmp_path)
    assert caught.value.code == "failed.no_permission"


def test_a_failing_disk_is_not_blamed_on_the_file(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(OSError, match="Input/output error"):
        source_of(film)
