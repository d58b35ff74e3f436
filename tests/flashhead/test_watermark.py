"""The watermark: not seen, found again after what happens to films, and not found where it is not."""

import io
import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from vividhead.cli import main
from vividhead.errors import MediaError
from vividhead.flashhead import watermark_bench
from vividhead.flashhead.detect import detect
from vividhead.flashhead.watermark import CERTAIN, DETAILED, agreement, all_marked, marked


def face_film(side_px: int, n_frames: int = 12) -> NDArray[np.uint8]:
    """A photograph that sways."""
    data = pytest.importorskip("skimage.data", reason="needs the demo extra")
    photo_HWC = data.astronaut()[:320, 60:380]
    frames = []
    for number in range(n_frames):
        shift = np.float32([[1, 0, 3 * np.sin(number / 4)], [0, 1, 2 * np.cos(number / 4)]])
        moved = cv2.warpAffine(photo_HWC, shift, (320, 320), borderMode=cv2.BORDER_REFLECT)
        frames.append(cv2.resize(moved, (side_px, side_px), interpolation=cv2.INTER_AREA))
    return np.stack(frames)


def greys(frames_THWC: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [np.asarray(cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2GRAY), np.uint8) for frame_HWC in frames_THWC]


def written(path: Path, frames_THWC: NDArray[np.uint8], crf: int, side_px: int) -> Path:
    """Encoded as H.264, scaled."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        film = out.add_stream("libx264", 25)
        film.width = film.height = side_px
        film.pix_fmt, film.options = "yuv420p", {"crf": str(crf)}
        for frame_HWC in frames_THWC:
            small = cv2.resize(frame_HWC, (side_px, side_px), interpolation=cv2.INTER_AREA)
            out.mux(film.encode(av.VideoFrame.from_ndarray(small, format="rgb24")))
        out.mux(film.encode(None))
    path.write_bytes(file.getvalue())
    return path


@pytest.mark.parametrize("side_px", [128, 512])
def test_it_is_found_in_one_picture_and_changes_it_by_little(side_px: int) -> None:
    plain_HWC = face_film(side_px, 1)[0]
    found_HWC = marked(plain_HWC)
    error_HWC = found_HWC.astype(float) - plain_HWC
    assert np.abs(error_HWC).max() <= DETAILED and 10 * np.log10(255**2 / (error_HWC**2).mean()) > 39
    assert agreement(greys(found_HWC[None])) > 2 * CERTAIN
    assert abs(agreement(greys(plain_HWC[None]))) < 3


@pytest.mark.parametrize(
    ("side_px", "crf", "to_px"), [(128, 20, 128), (128, 20, 256), (128, 23, 64), (512, 28, 512), (512, 28, 256)]
)
def test_it_outlives_encoding_and_scaling(tmp_path: Path, side_px: int, crf: int, to_px: int) -> None:
    film = face_film(side_px)
    again = detect(written(tmp_path / "marked.mp4", all_marked(film), crf, to_px))
    assert again.is_marked and again.provenance is None
    assert not detect(written(tmp_path / "plain.mp4", film, crf, to_px)).is_marked


def test_it_outlives_jpeg(tmp_path: Path) -> None:
    for name, picture_HWC, there in (("m", marked(face_film(128, 1)[0]), True), ("p", face_film(128, 1)[0], False)):
        bgr_HWC = cv2.cvtColor(picture_HWC, cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(tmp_path / f"{name}.jpg"), bgr_HWC, [cv2.IMWRITE_JPEG_QUALITY, 60])
        assert detect(tmp_path / f"{name}.jpg").is_marked == there


def test_pictures_of_chance_are_not_taken_for_marked() -> None:
    found = [agreement([np.random.default_rng(seed).integers(0, 256, (64, 64), np.uint8)]) for seed in range(400)]
    assert max(found) < CERTAIN and 0.8 < np.std(found) < 1.2 and abs(np.mean(found)) < 0.2


@settings(max_examples=30)
@given(arrays(np.uint8, st.tuples(st.integers(1, 70), st.integers(1, 70), st.just(3))))
def test_any_picture_can_be_marked_and_read(picture_HWC: NDArray[np.uint8]) -> None:
    found_HWC = marked(picture_HWC)
    assert found_HWC.shape == picture_HWC.shape and found_HWC.dtype == np.uint8
    assert np.isfinite(agreement(greys(found_HWC[None])))


def test_nothing_to_see_agrees_with_nothing() -> None:
    assert agreement([]) == agreement([np.full((50, 50), 7, np.uint8)]) == 0
    assert all_marked(np.zeros((0, 8, 8, 3), np.uint8)).shape == (0, 8, 8, 3)


def test_the_command_tells_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = written(tmp_path / "talk.mp4", all_marked(face_film(128)), 23, 128)
    assert main(["detect", str(film)]) == 0
    said = capsys.readouterr().out
    assert "carry the watermark" in said and "its metadata says nothing" in said
    assert main(["detect", str(film), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["is_marked"] is True and found["provenance"] is None and found["agreement"] >= CERTAIN


def test_the_benchmark_finds_marks_and_none_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watermark_bench, "SIDES_PX", (128,))
    monkeypatch.setattr(watermark_bench, "CRFS", (23,))
    written(tmp_path / "film.mp4", face_film(128, 24), 12, 256)
    (tmp_path / "no.mp4").write_bytes(b"no film")
    assert main(["bench", "watermark", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["films"] == 1 and [(row["scale"], row["found"]) for row in found["rows"]] == [(1.0, 1), (0.5, 1)]
    assert all(row["found_wrongly"] == 0 and row["psnr_db"] > 39 for row in found["rows"])
    assert main(["bench", "watermark", str(tmp_path / "absent")]) == 2


def test_what_has_no_pictures_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "none.mp4").write_bytes(b"no film")
    with pytest.raises(MediaError, match=r"none\.mp4"):
        detect(tmp_path / "none.mp4")
    with pytest.raises(MediaError):
        detect(tmp_path / "absent.png")
