"""Still pictures as their makers meant them: upright, opaque, sRGB, 8 bits; and refused in words if broken."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from vividhead.errors import MediaError
from vividhead.media.planes import Planes
from vividhead.media.still import FromRgb, read_still, resampled


def ramp(height: int = 40, width: int = 60) -> NDArray[np.uint8]:
    """A picture that looks different in every orientation."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 6, columns * 4, np.full_like(rows, 90)], axis=2).astype(np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.jpg", "nameless"])
def test_formats_are_told_by_content(name: str, tmp_path: Path) -> None:
    kind = {"a.webp": "WEBP", "a.jpg": "JPEG"}.get(name, "PNG")
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 98, "subsampling": 0}}.get(kind, {})
    Image.fromarray(ramp()).save(tmp_path / name, kind, **options)
    got = read_still(tmp_path / name)
    assert (got.dtype, got.shape) == (np.uint8, (40, 60, 3))
    assert np.abs(got.astype(int) - ramp()).max() <= (4 if kind == "JPEG" else 0)


TURNED = {
    1: lambda p: p, 2: lambda p: p[:, ::-1], 3: lambda p: p[::-1, ::-1], 4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2), 6: lambda p: np.rot90(p, 1), 7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: np.rot90(p, -1),
}  # fmt: skip
"""EXIF orientation → how the upright picture lies in the file."""


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("orientation", TURNED)
def test_pictures_are_turned_upright(orientation: int, kind: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    Image.fromarray(np.ascontiguousarray(TURNED[orientation](ramp()))).save(tmp_path / "a", kind, exif=exif, **options)
    assert np.array_equal(read_still(tmp_path / "a"), ramp())


def test_transparent_parts_are_seen_on_white(tmp_path: Path) -> None:
    rgba = np.dstack([np.full((4, 4, 3), (200, 100, 0), np.uint8), np.repeat([0, 51, 128, 255], 4).reshape(4, 4)])
    Image.fromarray(rgba.astype(np.uint8)).save(tmp_path / "a.png")
    got = read_still(tmp_path / "a.png")
    assert got[0, 0].tolist() == [255, 255, 255]
    assert got[1, 0].tolist() == pytest.approx([244, 224, 204], abs=1)
    assert got[3, 0].tolist() == [200, 100, 0]


def test_a_palette_may_be_transparent(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.save(tmp_path / "a.png", transparency=0)
    assert read_still(tmp_path / "a.png").tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 257 * 77, 65535]], np.uint16)).save(tmp_path / "grey.png")
    assert read_still(tmp_path / "grey.png")[0, :, 0].tolist() == [0, 77, 255]
    rgb = np.array([[[0, 257 * 77, 65535]]], ">u2")
    (tmp_path / "rgb.png").write_bytes(png(1, 1, 16, 2, b"\0" + rgb.tobytes()))
    assert read_still(tmp_path / "rgb.png").tolist() == [[[0, 77, 255]]]


@pytest.mark.parametrize("mode", ["L", "LA", "1", "CMYK", "RGBA"])
def test_other_kinds_of_colour_become_rgb(mode: str, tmp_path: Path) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    Image.fromarray(np.full((8, 8, 3), 255, np.uint8)).convert(mode).save(tmp_path / "a", kind)
    assert read_still(tmp_path / "a").tolist() == np.full((8, 8, 3), 255).tolist()


def test_colours_are_those_of_the_files_own_colour_space(tmp_path: Path) -> None:
    """sRGB with red and blue changed over: what the file calls red is blue."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    n_tags = struct.unpack_from(">I", profile, 128)[0]
    at = {bytes(profile[132 + 12 * k : 136 + 12 * k]): 136 + 12 * k for k in range(n_tags)}
    red, blue = (bytes(profile[at[name] : at[name] + 8]) for name in (b"rXYZ", b"bXYZ"))
    profile[at[b"rXYZ"] : at[b"rXYZ"] + 8], profile[at[b"bXYZ"] : at[b"bXYZ"] + 8] = blue, red
    red_picture = Image.fromarray(np.full((4, 4, 3), (255, 0, 0), np.uint8))
    red_picture.save(tmp_path / "a.png", icc_profile=bytes(profile))
    assert read_still(tmp_path / "a.png")[0, 0].tolist() == pytest.approx([0, 0, 255], abs=3)
    red_picture.save(tmp_path / "b.png", icc_profile=b"no profile")
    assert read_still(tmp_path / "b.png")[0, 0].tolist() == [255, 0, 0]


def png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    """A PNG file by hand."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (b"", "failed.empty", "no bytes"),
        (b"Good evening.", "failed.unreadable", "not a PNG, JPEG, WEBP picture"),
        (b"GIF89a" + bytes(100), "failed.unreadable", "not a PNG, JPEG, WEBP picture"),
        (encoded("PNG")[:-3000], "failed.undecodable", "damaged or cut off"),
        (encoded("JPEG")[:-1000], "failed.undecodable", "damaged or cut off"),
        (encoded("WEBP")[:-1000], "failed.undecodable", "damaged or cut off"),
        (png(8193, 8193, 8, 2, b""), "failed.too_large", "8193 × 8193 pixels; at most 64 megapixels are read"),
        (png(30_000, 30_000, 8, 2, b""), "failed.too_large", "at most 64 megapixels are read"),
    ],
)  # fmt: skip
def test_broken_files_are_refused_in_words(data: bytes, code: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with pytest.raises(MediaError) as caught:
        read_still(path)
    assert caught.value.code == code
    assert says in str(caught.value)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"failed\.vanished"):
        read_still(tmp_path / "gone.png")
    with pytest.raises(MediaError, match="not a file but a folder"):
        read_still(tmp_path)


@pytest.mark.parametrize("scale", [0.37, 1.0, 1.9])
def test_resampling_keeps_the_picture_in_place(scale: float) -> None:
    rows, columns = np.mgrid[0:200, 0:200] + 0.5
    wave = np.stack([128 + 100 * np.sin(rows / 23), 128 + 100 * np.cos(columns / 31), rows], axis=2)
    side = round(100 * scale)
    got = resampled(np.rint(wave).astype(np.uint8), (40, 60, 140, 160), side)
    at_rows, at_columns = (np.mgrid[0:side, 0:side] + 0.5) * 100 / side
    truth = np.stack(
        [128 + 100 * np.sin((at_rows + 60) / 23), 128 + 100 * np.cos((at_columns + 40) / 31), at_rows + 60], axis=2
    )
    inner = slice(3, -3)
    assert np.abs(got.astype(float) - truth)[inner, inner].max() <= 2


def test_shrinking_is_antialiased() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    got = resampled(stripes, (0, 0, 256, 256), 60)
    assert np.abs(got.astype(int) - 128)[:, 4:-4].max() <= 6


def test_rgb_becomes_bt709_in_video_range() -> None:
    colours = [(255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 120, 200)]
    make = FromRgb()
    for colour in colours:
        planes = Planes(make(np.full((32, 48, 3), colour, np.uint8)))
        luma = float(np.dot(colour, (0.2126, 0.7152, 0.0722)))
        blue, red = (colour[2] - luma) / 1.8556, (colour[0] - luma) / 1.5748
        truth = (16 + luma * 219 / 255, 128 + blue * 224 / 255, 128 + red * 224 / 255)
        for plane, value in zip((planes.y_HW, planes.u_HW, planes.v_HW), truth, strict=True):
            assert np.abs(plane - value).max() <= 1
        assert (int(planes.picture.colorspace), int(planes.picture.color_range)) == (1, 1)


def test_pictures_of_changing_size_are_converted_each_in_its_own() -> None:
    make = FromRgb()
    shapes = [(32, 48), (64, 16), (32, 48)]
    assert [Planes(make(np.zeros((*s, 3), np.uint8))).y_HW.shape for s in shapes] == shapes
