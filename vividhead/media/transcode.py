"""The bundled ffmpeg program (imageio-ffmpeg's static build), driven by ffmpeg-python: yardsticks and remuxing."""

import resource
from collections.abc import Sequence
from pathlib import Path

import ffmpeg
import imageio_ffmpeg

from vividhead.errors import MediaError


def _run(stream: object, *options: str) -> float:
    """Run ffmpeg to its end; returns the CPU seconds it took (its start included)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        ffmpeg.run(stream, cmd=[imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", *options], quiet=True)
    except ffmpeg.Error as fault:
        words = fault.stderr.decode(errors="replace").strip().splitlines()
        raise MediaError("failed.undecodable", words[-1] if words else "ffmpeg failed") from fault
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def plain_decode_cpu_s(path: Path) -> float:
    """CPU seconds of one full decode of pictures and sound on one thread, thrown away: the unit of our costs."""
    return _run(ffmpeg.input(f"file:{path}", threads=1).output("-", format="null"), "-v", "error")


def looped(path: Path, out: Path, duration_s: float) -> None:
    """Write the file's packets again and again, unchanged, until `duration_s` is filled."""
    source = ffmpeg.input(f"file:{path}", stream_loop=-1)
    _run(source.output(f"file:{out}", c="copy", t=duration_s).overwrite_output(), "-v", "error")


def as_720p(path: Path, out: Path) -> None:
    """Write the file as a piece of a film: 1280×720 with borders, 25 pictures a second, H.264, PCM in Matroska.

    Sound lasts as long as the pictures, so that pieces laid end to end stay in step. Raises MediaError, also for a file
    without sound.
    """
    source = ffmpeg.input(f"file:{path}")
    pictures = source.video.filter("scale", 1280, 720, force_original_aspect_ratio="decrease")
    pictures = pictures.filter("pad", 1280, 720, "(ow-iw)/2", "(oh-ih)/2").filter("setsar", 1).filter("fps", 25)
    sound = source.audio.filter("aresample", 48_000).filter("apad")
    out_stream = ffmpeg.output(
        pictures, sound, f"file:{out}", format="matroska", vcodec="libx264", preset="veryfast", crf=23, g=250,
        pix_fmt="yuv420p", acodec="pcm_s16le", ac=1, shortest=None,
    )  # fmt: skip
    _run(out_stream.overwrite_output(), "-v", "error")


def laid_end_to_end(pieces: Sequence[Path], out: Path) -> None:
    """Write pieces of one form (see `as_720p`) as one film, their packets unchanged."""
    names = "".join(f"file 'file:{path}'\n" for path in pieces)  # ours, in a scratch folder: nothing to escape
    listed = out.with_suffix(".txt")
    listed.write_text(names, encoding="utf-8")
    source = ffmpeg.input(f"file:{listed}", format="concat", safe=0)
    _run(source.output(f"file:{out}", c="copy").overwrite_output(), "-v", "error")
