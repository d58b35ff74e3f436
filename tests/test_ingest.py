"""From where the footage is to Sources: folders, globs, source lists; duplicates; segments."""

import codecs
import csv
import json
import os
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media.truth import ANY, beep, numbered

from vividhead.errors import MediaError, UsageError
from vividhead.ingest import SOURCE_LISTS, VIDEO_SUFFIXES, examine, find, mark_duplicates, segments
from vividhead.pipeline import Pipeline, Segments
from vividhead.records import Listed, Source
from vividhead.testing import write_video


def touched(folder: Path, *names: str) -> list[str]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return [str(folder / name) for name in names]


def uris(where: Path | str) -> list[str]:
    return [entry.uri for entry in find(str(where))]


def test_a_folder_is_searched_in_depth_for_video_by_suffix(tmp_path: Path) -> None:
    films = touched(tmp_path, "a.mp4", "b/c/d.MKV", "b/e.webm", "ü ber.mov", "-x.avi", "new\nline.ts", ".hidden.mpg")
    touched(tmp_path, "notes.txt", "b/cover.jpg", "sound.wav", "mp4", "list.csv")
    (tmp_path / "folder.mp4").mkdir()
    assert uris(tmp_path) == sorted(films)


def test_the_order_is_that_of_the_names(tmp_path: Path) -> None:
    touched(tmp_path, "b.mp4", "a/z.mp4", "B.mp4", "a.mp4", "ä.mp4")
    names = [Path(uri).relative_to(tmp_path).as_posix() for uri in uris(tmp_path)]
    assert names == ["B.mp4", "a.mp4", "a/z.mp4", "b.mp4", "ä.mp4"]


def test_an_empty_folder_is_refused_with_what_was_looked_for(tmp_path: Path) -> None:
    touched(tmp_path, "notes.txt")
    with pytest.raises(UsageError) as caught:
        find(str(tmp_path))
    assert all(word in str(caught.value) for word in (str(tmp_path), ".mp4", ".mkv", ".csv", "glob"))


def test_a_place_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for where in (tmp_path / "nowhere", tmp_path / "no*.mp4"):
        with pytest.raises(UsageError, match="neither a folder nor a file"):
            find(str(where))


def test_links_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    touched(tmp_path, "a/film.mp4")
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self.mp4").symlink_to("self.mp4")
    assert [Path(uri).name for uri in uris(tmp_path)] == ["film.mp4", "self.mp4"]


def test_a_linked_folder_is_searched_and_its_files_come_once(tmp_path: Path) -> None:
    touched(tmp_path, "store/film.mp4")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "link").symlink_to(tmp_path / "store")
    assert uris(tmp_path / "set") == [str(tmp_path / "set" / "link" / "film.mp4")]
    assert len(uris(tmp_path)) == 1


def test_a_folder_that_may_not_be_searched_is_listed_so_that_it_fails_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal is simulated: tests may run as root, who may search all."""
    touched(tmp_path, "a.mp4", "secret/b.mp4")
    secret, scandir = str(tmp_path / "secret"), os.scandir

    def refuse(path: str) -> object:
        if str(path) == secret:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    listed = find(str(tmp_path))
    assert [entry.uri for entry in listed] == [str(tmp_path / "a.mp4"), secret]
    with pytest.raises(MediaError) as caught:
        examine(listed[1], ANY, lambda: None)
    assert caught.value.code == "failed.no_permission"


def test_a_file_named_itself_is_footage_whatever_its_suffix(tmp_path: Path) -> None:
    (name,) = touched(tmp_path, "film[1].dat")
    assert uris(name) == [name]


def test_a_glob_lists_the_files_it_matches(tmp_path: Path) -> None:
    films = touched(tmp_path, "a/1.mp4", "a/b/2.mp4", "3.mp4")
    (tmp_path / "a" / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "a" / "pipe.mp4")
    assert uris(tmp_path / "**" / "*.mp4") == sorted(films)
    assert uris(tmp_path / "a" / "[12].mp4") == films[:1]


def test_a_pipe_in_a_folder_does_not_hold_up_the_rest(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    sources = [examine(entry, ANY, lambda: None) for entry in find(str(tmp_path))]
    assert [s.code for s in sources] == ["failed.unreadable"]


ROWS: list[dict[str, object]] = [
    {"uri": "a.mp4", "licence": "CC0", "consent": "yes, 2024", "source_id": "s1", "language": "de", "studio": "north"},
    {"uri": "sub/ü.mp4", "licence": "", "consent": None, "source_id": 7, "language": None, "studio": 'the "old" one'},
]


def write_list(path: Path, rows: list[dict[str, object]]) -> Path:
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n", encoding="utf-8")
    else:
        columns = {name: [row[name] if row[name] is None else str(row[name]) for row in rows] for name in rows[0]}
        pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("suffix", sorted(SOURCE_LISTS))
def test_source_lists_say_the_same_in_every_format(suffix: str, tmp_path: Path) -> None:
    first, second = find(str(write_list(tmp_path / f"list{suffix}", ROWS)))
    assert first == Listed(
        uri=str(tmp_path / "a.mp4"), given_id="s1", licence="CC0", consent="yes, 2024", language="de",
        attributes={"studio": "north"},
    )  # fmt: skip
    assert second == Listed(uri=str(tmp_path / "sub/ü.mp4"), given_id="7", attributes={"studio": 'the "old" one'})


def test_relative_uris_start_at_the_list_and_absolute_ones_stay(tmp_path: Path) -> None:
    uris_in = ["x.mp4", "../y.mp4", "/abs/z.mp4", "file:///abs/a%20b.mp4", "a:b.mp4", "%d.mp4"]
    path = write_list(tmp_path / "list.jsonl", [{"uri": uri} for uri in uris_in])
    assert uris(path) == [
        f"{tmp_path}/x.mp4", f"{tmp_path}/../y.mp4", "/abs/z.mp4", "/abs/a b.mp4", f"{tmp_path}/a:b.mp4",
        f"{tmp_path}/%d.mp4",
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_byte_order_mark_is_no_part_of_the_first_column(suffix: str, tmp_path: Path) -> None:
    path = write_list(tmp_path / f"list{suffix}", ROWS)
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    assert [entry.given_id for entry in find(str(path))] == ["s1", "7"]


def test_attributes_of_other_types_become_text(tmp_path: Path) -> None:
    row = {"uri": "a.mp4", "takes": 3, "outdoors": True, "tags": ["a", "b"], "none": None, "line": "one\u2028two"}
    path = tmp_path / "list.jsonl"
    path.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    (entry,) = find(str(path))
    assert entry.attributes == {"takes": "3", "outdoors": "true", "tags": '["a", "b"]', "line": "one\u2028two"}


BAD_LISTS = {
    "no uri column.csv": ("path,licence\na.mp4,CC0\n", "row 1: no `uri`"),
    "empty uri.csv": ("uri,licence\na.mp4,CC0\n,CC0\n", "row 2: no `uri`"),
    "semicolons.csv": ("uri;licence\na.mp4;CC0\n", "it has uri;licence"),
    "too many cells.csv": ("uri,licence\na.mp4,CC0, by hand\n", "more cells than the header"),
    "open quote.csv": ('uri,licence\n"a.mp4,CC0\nb.mp4,CC0\n', "not a readable source list"),
    "two columns.csv": ("uri,uri\na.mp4,b.mp4\n", "two columns are called uri"),
    "empty.csv": ("", "has no rows"),
    "header only.csv": ("uri,licence\n", "has no rows"),
    "no object.jsonl": ('{"uri": "a.mp4"}\n[1, 2]\n', "line 2: every line must be one JSON object"),
    "no json.jsonl": ('{"uri": "a.mp4"}\n\nuri: b.mp4\n', "line 3, column 1: not JSON"),
    "uri is a number.jsonl": ('{"uri": 5}\n', "row 1: no `uri`"),
    "no parquet.parquet": ("uri\na.mp4\n", "not a readable source list"),
    "twice.csv": ("uri\na.mp4\nb.mp4\na.mp4\n", "listed more than once"),
    "bucket.csv": ("uri\ns3://bucket/a.mp4\n", "only files can be read"),
    "nul.jsonl": ('{"uri": "a\\u0000.mp4"}\n', "no path has"),
    "surrogate.jsonl": ('{"uri": "a\\ud800.mp4"}\n', "no path has"),
}


@pytest.mark.parametrize("name", BAD_LISTS)
def test_a_bad_list_is_refused_with_place_and_reason(name: str, tmp_path: Path) -> None:
    text, reason = BAD_LISTS[name]
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        find(str(path))
    assert reason in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_list_that_is_no_utf8_says_so(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes("uri,licence\nä.mp4,CC0\n".encode("utf-16"))
    with pytest.raises(UsageError, match="save it as UTF-8"):
        find(str(path))


def film(path: Path, seed: int = 0) -> Path:
    return write_video(path, numbered(range(seed, seed + 30)), audio=beep(1.2, 0.4), audio_rate_hz=48_000)


def test_the_same_bytes_have_the_same_id_wherever_they_are(tmp_path: Path) -> None:
    first = film(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_bytes(first.read_bytes())
    film(tmp_path / "c.mp4", seed=5)
    sources = mark_duplicates(examine(entry, ANY, lambda: None) for entry in find(str(tmp_path)))
    assert [s.outcome for s in sources] == ["ready", "duplicate", "ready"]
    assert (sources[1].code, sources[1].duplicate_of) == ("duplicate.bytes", sources[0].source_id)
    assert str(first) in sources[1].detail
    assert sources[1].duration_s == sources[0].duration_s, "a duplicate's seconds are counted"


def test_what_the_list_says_travels_with_the_source(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4")
    path = write_list(tmp_path / "list.csv", ROWS[:1])
    (entry,) = find(str(path))
    assert examine(entry, ANY, lambda: None).listed == entry


def test_a_file_that_changes_while_it_is_read_is_not_taken(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4")

    def grow() -> None:
        with path.open("ab") as file:
            file.write(b"\0")

    with pytest.raises(MediaError) as caught:
        examine(Listed(uri=str(path)), ANY, grow)
    assert caught.value.code == "failed.changed"


def source(content: int, given: int | None, outcome: str, uri: int) -> Source:
    given_id = None if given is None else f"id{given}"
    return Source(
        source_id=f"{content:064x}", listed=Listed(uri=f"{uri}.mp4", given_id=given_id), outcome=outcome,
        duration_s=5.0, n_frames=125,
    )  # fmt: skip


SOURCES = st.lists(
    st.tuples(
        st.integers(0, 4), st.none() | st.integers(0, 3), st.sampled_from(["ready", "ready", "rejected", "failed"])
    ),
    max_size=12,
).map(lambda rows: [source(*row, uri) for uri, row in enumerate(rows)])


@given(SOURCES)
def test_duplicates_keep_order_count_and_all_but_the_mark(given_sources: list[Source]) -> None:
    marked = mark_duplicates(given_sources)
    assert [s.listed for s in marked] == [s.listed for s in given_sources]
    for before, after in zip(given_sources, marked, strict=True):
        assert after == before or after.outcome == "duplicate"
        assert before.outcome != "failed" or after == before
        assert (after.duration_s, after.source_id) == (before.duration_s, before.source_id)


@given(SOURCES)
def test_no_content_and_no_given_id_is_left_twice(given_sources: list[Source]) -> None:
    left = [s for s in mark_duplicates(given_sources) if s.outcome in ("ready", "rejected")]
    ids = [s.listed.given_id for s in left if s.listed.given_id is not None]
    assert len({s.source_id for s in left}) == len(left)
    assert len(set(ids)) == len(ids)


@given(SOURCES)
def test_a_duplicate_names_an_earlier_source_that_is_left(given_sources: list[Source]) -> None:
    marked = mark_duplicates(given_sources)
    for at, duplicate in enumerate(marked):
        if duplicate.outcome != "duplicate":
            assert duplicate.duplicate_of is None
            continue
        kept = [s for s in marked[:at] if s.outcome != "duplicate" and s.source_id == duplicate.duplicate_of]
        assert kept
        if duplicate.code == "duplicate.bytes":
            assert kept[0].source_id == duplicate.source_id
        else:
            assert duplicate.listed.given_id in {s.listed.given_id for s in kept}


@given(SOURCES)
def test_every_content_that_could_be_read_is_left_once_or_is_a_given_id_twice(given_sources: list[Source]) -> None:
    marked = mark_duplicates(given_sources)
    left = {s.source_id for s in marked if s.outcome in ("ready", "rejected")}
    by_id = {s.source_id for s in marked if s.code == "duplicate.source_id"}
    assert {s.source_id for s in given_sources if s.outcome != "failed"} == left | by_id


@given(SOURCES)
def test_marking_again_changes_nothing(given_sources: list[Source]) -> None:
    once = mark_duplicates(given_sources)
    ready = [s for s in once if s.outcome in ("ready", "rejected")]
    assert mark_duplicates(ready) == ready


@given(st.integers(1, 400_000), st.floats(10, 3600))
def test_segments_cover_a_source_once_and_evenly(n_frames: int, max_s: float) -> None:
    long = Source(source_id="ab" * 32, listed=Listed(uri="a.mp4"), outcome="ready", n_frames=n_frames)
    cut = segments(long, Pipeline(segments=Segments(max_s=max_s)))
    assert (cut[0].start_frame, cut[-1].end_frame) == (0, n_frames)
    assert all(a.end_frame == b.start_frame for a, b in pairwise(cut))
    lengths = [s.end_frame - s.start_frame for s in cut]
    assert max(lengths) <= max_s * 25
    assert max(lengths) - min(lengths) <= 1
    assert len({s.segment_id for s in cut}) == len(cut)
    assert len(cut) == -(-n_frames // int(max_s * 25)), "no more than needed"


def test_a_segments_name_tells_its_source_and_start() -> None:
    long = Source(source_id="ab" * 32, listed=Listed(uri="a.mp4"), outcome="ready", n_frames=30_000)
    names = [s.segment_id for s in segments(long, Pipeline())]
    assert names == ["abababababababab-0000000", "abababababababab-0015000"]


def test_suffixes_are_lower_case_and_no_source_lists() -> None:
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in VIDEO_SUFFIXES)
    assert not VIDEO_SUFFIXES & SOURCE_LISTS
