"""Colours: a patch survives from footage of any matrix and range to the clip, which is BT.709 in video range."""

import io
import subprocess
from itertools import product
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray

from media.truth import remuxed, source_of
from vividhead.media import ClipWriter, EncodeOptions, pictures
from vividhead.media.colour import BT601, BT709, WEIGHTS, to_bt709, weights_of
from vividhead.media.planes import Planes

PATCHES = {
    "red": (200, 40, 40), "green": (40, 180, 60), "blue": (50, 60, 200), "skin": (210, 160, 130),
    "grey": (128, 128, 128), "white": (235, 235, 235), "black": (20, 20, 20), "yellow": (200, 190, 30),
}  # fmt: skip
SD, HD = (704, 480), (1280, 720)
SIDE_PX = 256


def patches(width: int, height: int) -> NDArray[np.uint8]:
    """The patches in a row across the middle square of a picture."""
    picture = np.full((height, width, 3), 90, np.uint8)
    x0 = (width - height) // 2
    edges = np.linspace(x0, x0 + height, len(PATCHES) + 1).astype(int)
    for colour, left, right in zip(PATCHES.values(), edges, edges[1:], strict=False):
        picture[:, left:right] = colour
    return picture


def film(path: Path, size: tuple[int, int], matrix: str, pixel_range: str, kind: str, tagged: bool) -> Path:
    width, height = size
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{width}x{height}", "-r", "25", "-i", "-"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "4"]
    exact = f"scale=out_color_matrix={matrix}:out_range={pixel_range}:flags=full_chroma_inp+accurate_rnd"
    command += ["-vf", f"{exact},format={kind}"]
    if not tagged:
        nothing = "colour_primaries=2:transfer_characteristics=2:matrix_coefficients=2"
        command += ["-bsf:v", f"h264_metadata={nothing}"]
    subprocess.run([*command, str(path)], input=patches(width, height).tobytes() * 3, check=True)
    return path


def rgb_of(mp4: bytes, path: Path) -> NDArray[np.int64]:
    """The first picture as an honest player shows it."""
    path.write_bytes(mp4)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-frames:v", "1"]
    command += ["-vf", "scale=flags=full_chroma_int+accurate_rnd,format=rgb24", "-f", "rawvideo", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(SIDE_PX, SIDE_PX, 3).astype(int)


CASES = [
    *product((SD, HD), ("bt601", "bt709"), ("tv", "pc"), ("yuv420p",), (True,)),
    (HD, "bt709", "pc", "yuvj420p", True),
    (HD, "bt709", "tv", "yuv422p10le", True),
    (SD, "bt601", "tv", "yuv420p", False),
    (HD, "bt709", "tv", "yuv420p", False),
]


@pytest.mark.parametrize(("size", "matrix", "pixel_range", "kind", "tagged"), CASES)
def test_colours_survive(
    size: tuple[int, int], matrix: str, pixel_range: str, kind: str, tagged: bool, tmp_path: Path
) -> None:
    path = film(tmp_path / "a.mp4", size, matrix, pixel_range, kind, tagged)
    width, height = size
    x0 = (width - height) // 2 // 2 * 2
    options = EncodeOptions(side_px=SIDE_PX, crf=8, preset="veryfast", gop_frames=50, aac_kbps=96)
    writer = ClipWriter((x0, 0, x0 + height, height), np.zeros(3 * 640, np.float32), options)
    for frame in pictures(path, source_of(path), 0, 3, 0.5):
        assert frame.picture is not None
        writer.add(frame.picture)
    rgb_HWC = rgb_of(writer.finish(), tmp_path / "clip.mp4")
    wide = SIDE_PX / len(PATCHES)
    off = {
        name: int(np.abs(rgb_HWC[SIDE_PX // 2, int((k + 0.5) * wide)] - colour).max())
        for k, (name, colour) in enumerate(PATCHES.items())
    }
    assert max(off.values()) <= 4, off
    assert max(off["grey"], off["white"], off["black"]) <= 2, off


def test_a_stream_may_change_its_matrix_and_range_on_the_way(tmp_path: Path) -> None:
    parts = []
    for at, (matrix, pixel_range) in enumerate((("bt601", "tv"), ("bt709", "pc"), ("bt601", "pc"), ("bt709", "tv"))):
        part = film(tmp_path / f"{at}.mp4", SD, matrix, pixel_range, "yuv420p", tagged=True)
        late = remuxed(part, tmp_path / f"{at}.ts", output_ts_offset=at * 0.12, muxdelay=0)
        parts.append(late.read_bytes())
    path = tmp_path / "all.ts"
    path.write_bytes(b"".join(parts))
    source = source_of(path)
    options = EncodeOptions(side_px=SIDE_PX, crf=4, preset="veryfast", gop_frames=50, aac_kbps=96)
    writer = ClipWriter((112, 0, 592, 480), np.zeros(12 * 640, np.float32), options)
    for frame in pictures(path, source, 0, 12, 0.5):
        assert frame.picture is not None
        writer.add(frame.picture)
    with av.open(io.BytesIO(writer.finish())) as container:
        coded = [Planes(picture) for picture in container.decode(video=0)]
    seen = np.array([[p.y_HW[128, 16], p.u_HW[64, 8], p.v_HW[64, 8]] for p in coded], int)
    assert len(seen) == 12
    assert np.abs(seen - seen[0]).max() <= 3, "the red patch is the same red throughout"


def frame_of(y: int, u: int, v: int, colorspace: int = 2, width: int = 64, height: int = 64) -> av.VideoFrame:
    flat = np.full((height * 3 // 2, width), y, np.uint8)
    flat[height : height * 5 // 4], flat[height * 5 // 4 :] = u, v
    frame = av.VideoFrame.from_ndarray(flat, format="yuv420p")
    frame.colorspace = colorspace
    return frame


def exact_bt709(y: float, u: float, v: float, weights: tuple[float, float]) -> list[float]:
    """The same colour by the standards' own equations."""
    kr, kb = weights
    luma, cb, cr = (y - 16) / 219, (u - 128) / 224, (v - 128) / 224
    red, blue = luma + 2 * (1 - kr) * cr, luma + 2 * (1 - kb) * cb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    new_kr, new_kb = BT709
    new = new_kr * red + (1 - new_kr - new_kb) * green + new_kb * blue
    return [
        16 + 219 * new,
        128 + 224 * (blue - new) / (2 * (1 - new_kb)),
        128 + 224 * (red - new) / (2 * (1 - new_kr)),
    ]


@pytest.mark.parametrize("code", sorted(WEIGHTS))
def test_every_matrix_is_turned_as_its_standard_says(code: int) -> None:
    for y, u, v in product((60, 128, 190), (90, 128, 150), (100, 128, 160)):
        got = Planes(to_bt709(frame_of(y, u, v), WEIGHTS[code]))
        truth = exact_bt709(y, u, v, WEIGHTS[code])
        for plane, value in zip((got.y_HW, got.u_HW, got.v_HW), truth, strict=True):
            assert np.abs(plane.astype(float) - value).max() <= 1.0


def test_bt709_passes_through_untouched() -> None:
    frame = frame_of(100, 110, 140, colorspace=1)
    assert to_bt709(frame, BT709) is frame


def test_untagged_pictures_are_taken_for_what_their_size_suggests() -> None:
    assert weights_of(frame_of(0, 0, 0, width=704, height=576)) == BT601
    assert weights_of(frame_of(0, 0, 0, width=576, height=704)) == BT601
    assert weights_of(frame_of(0, 0, 0, width=1280, height=720)) == BT709
    assert weights_of(frame_of(0, 0, 0, width=720, height=1280)) == BT709
    assert weights_of(frame_of(0, 0, 0, colorspace=6, width=1280, height=720)) == BT601
    assert weights_of(frame_of(0, 0, 0, colorspace=1, width=64, height=64)) == BT709
