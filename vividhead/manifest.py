"""The tables of a dataset: their columns (the contract), and writing and reading them as Parquet.

Column types are Arrow's; times are seconds since the source's first grid frame unless the name says otherwise.
`manifests/` holds this contract for people who read no Python; `python -m vividhead.contract` writes it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vividhead.errors import DatasetError
from vividhead.plain import to_plain, utf8
from vividhead.records import Clip

if TYPE_CHECKING:
    import pyarrow

    from vividhead.score import Score


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: its Arrow type in words, its unit, what it means."""

    name: str
    type: str
    unit: str
    meaning: str
    since: int = 1
    """The schema version that brought it."""

    @property
    def may_be_null(self) -> bool:
        """Null says: unknown, not given, or not applicable."""
        return self.name not in NEVER_NULL


C = Column
TEXT_MAP = "map<string, string>"

SOURCES = (
    C("source_id", "string", "", "sha256 of the file's bytes; `unread-…` (of the uri) where unreadable"),
    C("uri", "string", "", "where the file was, as given"),
    C("given_id", "string", "", "`source_id` of the user's source list"),
    C("licence", "string", "", "as given in the source list"),
    C("consent", "string", "", "as given in the source list"),
    C("language", "string", "", "as given in the source list"),
    C("attributes", TEXT_MAP, "", "every further column of the source list"),
    C("outcome", "string", "", "ready (was curated), duplicate, rejected (no such footage) or failed"),
    C("code", "string", "", "why it is not ready, e.g. source.no_audio, duplicate.bytes, failed.unreadable"),
    C("detail", "string", "", "the same in words, with the numbers"),
    C("duplicate_of", "string", "", "source_id of the source kept in its place"),
    C("bytes", "int64", "B", "size of the file"),
    C("container", "string", "", "FFmpeg's name of the format"),
    C("duration_s", "double", "s", "footage: the container's duration; the account sums to it"),
    C("n_frames", "int64", "frames", "whole frames of the 25 fps grid"),
    C("pictures_end_frame", "int64", "frames", "grid frames up to which the file holds video packets"),
    C("torn", "bool", "", "the file ends over 0.5 s before its header says, or cannot be read to its end"),
    C("zero_s_in_container", "double", "s", "container time of grid frame 0"),
    C("video_codec", "string", "", "FFmpeg's name of the video codec"),
    C("width_px", "int32", "px", "width of the upright, square-pixel picture"),
    C("height_px", "int32", "px", "height of the upright, square-pixel picture"),
    C("fps", "double", "1/s", "average frame rate of the file"),
    C("pixel_format", "string", "", "FFmpeg's name of the pixel format"),
    C("rotation_deg", "int32", "°", "counter-clockwise turn that sets the coded picture upright"),
    C("interlaced", "bool", "", "whether the pictures are interlaced (they are deinterlaced)"),
    C("audio_codec", "string", "", "FFmpeg's name of the audio codec"),
    C("audio_rate_hz", "int32", "Hz", "sample rate of the file"),
    C("audio_channels", "int32", "", "channels of the file (mixed to one)"),
)

STRETCH = "list<struct<start_frame: int64, end_frame: int64, code: string>>"

SEGMENTS = (
    C("segment_id", "string", "", "first 16 digits of source_id, and the first frame"),
    C("source_id", "string", "", "its source"),
    C("start_frame", "int64", "frames", "first grid frame in the source"),
    C("end_frame", "int64", "frames", "first grid frame after it"),
    C("state", "string", "", "done, failed, or pending (an interrupted run)"),
    C("code", "string", "", "why it failed, e.g. failed.crash"),
    C("detail", "string", "", "the same in words, with the command that reproduces it"),
    C("stretches", STRETCH, "frames", "what is in no clip, and why: no_speech, no_face, too_short, …"),
    C("speech_s_in_source", "list<struct<start_s: double, end_s: double>>", "s", "speech heard in it"),
    C("cut_frames", "list<int64>", "frames", "first frames of new shots found in it"),
    C("decode_errors", "int64", "", "packets that the decoder refused"),
)

CLIPS = (
    C("clip_id", "string", "", "made of source, span, crop and geometry version"),
    C("source_id", "string", "", "its source"),
    C("segment_id", "string", "", "its segment"),
    C("track", "int32", "", "number of the face track in its segment"),
    C("shot", "int32", "", "number of the shot in its segment"),
    C("start_frame", "int64", "frames", "first grid frame in the source"),
    C("end_frame", "int64", "frames", "first grid frame after it"),
    C("start_s_in_source", "double", "s", "start_frame / 25"),
    C("end_s_in_source", "double", "s", "end_frame / 25"),
    C("duration_s", "double", "s", "length"),
    C("crop_x0_px", "int32", "px", "left edge of the still crop in the upright source picture"),
    C("crop_y0_px", "int32", "px", "top edge"),
    C("crop_x1_px", "int32", "px", "right edge (excluded)"),
    C("crop_y1_px", "int32", "px", "bottom edge (excluded)"),
)

MEASUREMENTS = (
    C("clip_id", "string", "", "the clip measured"),
    C("status", "string", "", "measured, unmeasurable (code says why), failed (detail says why) or skipped"),
    C("code", "string", "", "why it is unmeasurable or what failed"),
    C("detail", "string", "", "the same in words"),
    C("version", "int32", "", "version of the score"),
    C("fingerprint", "string", "", "the model behind it"),
    C("unknown", TEXT_MAP, "", "field → code for each field that is null although the score was measured"),
)
"""Followed by the `score_columns`: one double column for each field of the score, one of text for each of its texts."""

REASON = "list<struct<code: string, field: string, value: double, limit: double, detail: string>>"

DECISIONS = (
    C("clip_id", "string", "", "the clip judged"),
    C("kept", "bool", "", "no rule broken, nothing failed: it is in a shard once the run is done"),
    C("reasons", REASON, "", "all broken rules, in the policy's order (codes: README.md)"),
    C("failure", "string", "", "why missing scores or media could not be made, e.g. failed.crash"),
    C("failure_detail", "string", "", "the same in words, with the command that reproduces it"),
)

MEMBERS = ("mp4", "flac", "landmarks.npz", "json")
MEMBER_MEANING = {
    "mp4": "H.264 (512×512 px unless `pack.side_px` says otherwise), 25 fps, with AAC for viewing",
    "flac": "16 kHz mono, exactly 640 samples a frame",
    "landmarks.npz": "`landmarks` int16 (T, 478, 3) in 1/16 px of the clip's picture, -32768 unknown; embeddings",
    "json": "the clip's record and scores",
}

MANIFEST = (
    C("clip_id", "string", "", "stem of the clip's members in its shard"),
    C("source_id", "string", "", "sha256 of the source's bytes"),
    *(c for c in SOURCES if c.name in ("uri", "given_id", "licence", "consent", "language", "attributes")),
    *(c for c in CLIPS if c.name not in ("clip_id", "source_id")),
    C("n_frames", "int64", "frames", "frames of the clip at 25 fps"),
    C("shard", "string", "", "file in shards/"),
    C("shard_bytes", "int64", "B", "size of that file"),
    C("shard_sha256", "string", "", "sha256 of that file"),
    *(
        column
        for member in MEMBERS
        for column in (
            C(f"{member}_offset", "int64", "B", f"where in the shard it begins: {MEMBER_MEANING[member]}"),
            C(f"{member}_bytes", "int64", "B", f"length of the member .{member}"),
            C(f"{member}_sha256", "string", "", f"sha256 of the member .{member}"),
        )
    ),
)
"""Followed by the `score_columns` of all measured scores, each named `<score>.<field>`."""

_HELD = """
    source_id uri attributes outcome duration_s n_frames torn zero_s_in_container rotation_deg interlaced
    segment_id start_frame end_frame state stretches speech_s_in_source cut_frames decode_errors
    clip_id track shot start_s_in_source end_s_in_source crop_x0_px crop_y0_px crop_x1_px crop_y1_px
    status version fingerprint unknown kept reasons shard shard_bytes shard_sha256
"""
NEVER_NULL = {*_HELD.split(), *(f"{m}_{what}" for m in MEMBERS for what in ("offset", "bytes", "sha256"))}
"""Names of columns that always hold a value, in whatever table."""


def score_columns(score: "type[Score]", prefix: str = "") -> tuple[Column, ...]:
    """Columns of what a score yields: its fields, then its texts."""
    fields = (Column(prefix + name, "double", about.unit, about.meaning) for name, about in score.fields.items())
    return (*fields, *(Column(prefix + name, "string", "", meaning) for name, meaning in score.texts.items()))


def arrow_type(text: str) -> "pyarrow.DataType":
    """The Arrow type behind a column's type text."""
    import pyarrow as pa

    plain = {
        "string": pa.string(), "bool": pa.bool_(), "int32": pa.int32(), "int64": pa.int64(), "double": pa.float64(),
        TEXT_MAP: pa.map_(pa.string(), pa.string()),
    }  # fmt: skip
    if text in plain:
        return plain[text]
    if text.startswith("list<"):
        return pa.list_(arrow_type(text[5:-1]))
    members = (part.split(": ") for part in text.removeprefix("struct<").removesuffix(">").split(", "))
    return pa.struct([(name, arrow_type(kind)) for name, kind in members])


def table(columns: Sequence[Column], rows: Iterable[Mapping[str, Any]]) -> "pyarrow.Table":
    """Rows (column name → plain value; what is left out is null) as an Arrow table with the columns' schema."""
    import pyarrow as pa

    listed = list(rows)
    data = {c.name: _cells([row.get(c.name) for row in listed], c.type) for c in columns}
    return pa.table(data, schema=schema(columns))


def schema(columns: Sequence[Column]) -> "pyarrow.Schema":
    """The Arrow schema of a table with these columns; each carries its unit."""
    import pyarrow as pa

    return pa.schema([pa.field(c.name, arrow_type(c.type), c.may_be_null, {"unit": c.unit}) for c in columns])


def _cells(values: list[Any], kind: str) -> list[Any]:
    """What a column of this type holds, made fit for Arrow."""
    if kind == "string":
        return [utf8(v) if isinstance(v, str) and not v.isascii() else v for v in values]
    if kind == TEXT_MAP:
        return [v if v is None else sorted((utf8(key), utf8(text)) for key, text in v.items()) for v in values]
    return values


def clip_row(clip: Clip) -> dict[str, Any]:
    """The clip's cells in clips.parquet and manifest.parquet."""
    x0, y0, x1, y1 = clip.crop_xyxy_px
    return {
        **to_plain(clip), "start_s_in_source": clip.start_s_in_source, "end_s_in_source": clip.end_s_in_source,
        "duration_s": clip.duration_s, "crop_x0_px": x0, "crop_y0_px": y0, "crop_x1_px": x1, "crop_y1_px": y1,
    }  # fmt: skip


ROWS_OF_A_GROUP = 1 << 16
"""Of a table's file: to read one row, so many are read."""


def parquet(arrow: "pyarrow.Table") -> bytes:
    """The table as Parquet, the same bytes for the same rows."""
    import io

    import pyarrow.parquet

    file = io.BytesIO()
    pyarrow.parquet.write_table(arrow, file, compression="zstd", row_group_size=ROWS_OF_A_GROUP)
    return file.getvalue()


def read(path: Path) -> "pyarrow.Table":
    """One Parquet table, or DatasetError saying what is missing or damaged."""
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_table(path)
    except FileNotFoundError as fault:
        raise DatasetError(
            f"{path} is missing: no run has come to its end here. Wait for the one at work, or run `vividhead curate` "
            "again with the same arguments to finish"
        ) from fault
    except (pyarrow.ArrowInvalid, OSError) as fault:
        raise DatasetError(f"{path} is damaged: {fault}") from fault
