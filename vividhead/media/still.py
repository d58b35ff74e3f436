"""Still pictures: a PNG, JPEG or WebP file as upright sRGB, and RGB arrays as pictures like those of footage.

The only owner of Pillow, which honours what cameras and painting programs write beside the pixels.

Axes: H W picture, C channel (RGB).
"""

import io
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
from av import VideoFrame
from av.filter import Graph
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from vividhead.errors import MediaError
from vividhead.media.opening import MAX_PIXELS, faults_of, regular_file
from vividhead.media.planes import Picture
from vividhead.media.upright import chain
from vividhead.records import GRID_FPS

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_BYTES = 1 << 28
"""A picture of `MAX_PIXELS` needs no more, unless it is made to fill the memory."""
PAPER = (255, 255, 255)
"""What is seen through transparent parts."""
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error, zlib.error)
"""What Pillow raises on broken files; the file is in memory by then, so an OSError is about its content."""


def read_still(path: Path) -> NDArray[np.uint8]:
    """The picture in a file as RGB (H, W, 3): turned upright by its EXIF, in sRGB, 8 bits, on white if transparent.

    Of an animation the first picture. Raises MediaError saying in a closed code why there is none.
    """
    size = regular_file(path).st_size
    if size == 0:
        raise MediaError("failed.empty", "the file has no bytes")
    if size > MAX_BYTES:
        raise MediaError("failed.too_large", f"{size >> 20} MB; at most {MAX_BYTES >> 20} MB are read")
    with faults_of(path):
        data = path.read_bytes()
    return decode_still(data)


def decode_still(data: bytes, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """The picture in the bytes of a file, as `read_still` gives it; not decoded where it has more than `max_pixels`."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                raise MediaError("failed.too_large", _too_large(f"{width} × {height} pixels", max_pixels))
            picture.load()
            return np.array(_opaque_srgb(ImageOps.exif_transpose(picture)), np.uint8)
    except UnidentifiedImageError as fault:
        raise MediaError("failed.unreadable", f"not a {', '.join(FORMATS)} picture") from fault
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as fault:
        raise MediaError("failed.too_large", _too_large("too many pixels", max_pixels)) from fault
    except _BROKEN as fault:
        raise MediaError("failed.undecodable", f"the picture is damaged or cut off: {fault}") from fault


def _too_large(what: str, max_pixels: int) -> str:
    return f"{what}; at most {max_pixels >> 20} megapixels are read"


def _opaque_srgb(picture: Image.Image) -> Image.Image:
    """Mode RGB, whatever it was: grey, palette, CMYK, 16 bits, another colour space, transparent."""
    if picture.mode.startswith(("I", "F")):  # 16-bit grey
        grey_HW = np.asarray(picture, np.float64)
        return Image.fromarray(np.clip(np.rint(grey_HW / 257), 0, 255).astype(np.uint8)).convert("RGB")
    if not picture.has_transparency_data:
        return _srgb(picture, picture)
    layered = picture.convert("RGBA")
    paper = Image.new("RGB", picture.size, PAPER)
    paper.paste(_srgb(layered.convert("RGB"), picture), mask=layered.getchannel("A"))
    return paper


def _srgb(colours: Image.Image, described: Image.Image) -> Image.Image:
    """`colours` by the ICC profile in the file of `described`; as sRGB where there is none or it is no good."""
    profile = described.info.get("icc_profile")
    if profile and colours.mode in ("L", "RGB", "CMYK"):
        try:
            written = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            turned = ImageCms.profileToProfile(colours, written, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            return colours.convert("RGB")
        assert turned is not None
        return turned
    return colours.convert("RGB")


def resampled(picture_HWC: NDArray[np.uint8], box: tuple[int, int, int, int], side_px: int) -> NDArray[np.uint8]:
    """The square `box` (x0, y0, x1, y1; inside the picture) brought to `side_px`, bicubic and antialiased."""
    square = Image.fromarray(picture_HWC).crop(box)
    if square.size != (side_px, side_px):
        square = square.resize((side_px, side_px), Image.Resampling.BICUBIC)
    return np.array(square, np.uint8)


class FromRgb:
    """RGB arrays as `Picture`s: yuv420p in video range and BT.709. One for each size."""

    def __init__(self) -> None:
        """Begin with no size."""
        self._graph: Graph | None = None
        self._shape: tuple[int, ...] = ()
        self._done = 0

    def __call__(self, picture_HWC: NDArray[np.uint8]) -> Picture:
        """The picture; its width and height are even."""
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture_HWC), format="rgb24")
        frame.pts, frame.time_base = self._done, Fraction(1, GRID_FPS)
        self._done += 1
        if self._graph is None or self._shape != picture_HWC.shape:
            # Averaging over areas takes chroma from all four pixels; luma keeps its size and is not filtered.
            scale = "flags=area+accurate_rnd+full_chroma_inp+bitexact:in_range=pc:out_range=tv:out_color_matrix=bt709"
            self._graph = chain(frame, frame.time_base, [("scale", scale), ("format", "yuv420p")])
            self._shape = picture_HWC.shape
        self._graph.push(frame)
        made = self._graph.pull()
        assert isinstance(made, VideoFrame)
        return made
