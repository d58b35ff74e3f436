"""The bundled ffmpeg program (imageio-ffmpeg's static build), driven by ffmpeg-python: yardsticks and remuxing."""

import resource
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
