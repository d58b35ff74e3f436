"""The bundled ffmpeg program as a maker of films."""

from pathlib import Path

import numpy as np
import pytest

from vividhead.errors import MediaError
from vividhead.media.probe import probe
from vividhead.media.transcode import as_720p, laid_end_to_end
from vividhead.testing import write_video

RATE_HZ = 16_000


def source(path: Path, side_px: tuple[int, int], seconds: float, *, sound: bool = True) -> Path:
    """A grey film whose sound is shorter than its pictures."""
    frames = [np.full((side_px[1], side_px[0], 3), 90, np.uint8)] * round(seconds * 25)
    tone = np.sin(np.arange(int((seconds - 0.5) * RATE_HZ)) / 10).astype(np.float32)
    return write_video(path, frames, audio=tone if sound else None, audio_rate_hz=RATE_HZ)


def test_pieces_of_any_form_become_one_720p_film_as_long_as_all_of_them(tmp_path: Path) -> None:
    wide, tall = source(tmp_path / "wide.mp4", (320, 180), 1.0), source(tmp_path / "tall.mp4", (180, 320), 2.0)
    pieces = [tmp_path / "0.mkv", tmp_path / "1.mkv"]
    for path, piece in zip((wide, tall), pieces, strict=True):
        as_720p(path, piece)
    laid_end_to_end([pieces[0], pieces[1], pieces[0]], tmp_path / "film.mkv")
    film = probe(tmp_path / "film.mkv")
    assert (film.width_px, film.height_px, film.video_codec, film.sample_aspect) == (1280, 720, "h264", (1, 1))
    assert film.duration_s == pytest.approx(4.0, abs=0.05)
    assert film.audio_rate_hz == 48_000


def test_a_file_without_sound_is_no_piece(tmp_path: Path) -> None:
    with pytest.raises(MediaError):
        as_720p(source(tmp_path / "silent.mp4", (320, 180), 1.0, sound=False), tmp_path / "piece.mkv")
