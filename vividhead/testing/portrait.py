"""Cut-out portraits of one public-domain face in many appearances, and backgrounds to put them before.

The face is Eileen Collins in NASA's photograph of 1993, `skimage.data.astronaut()`. Her silhouette is found
by GrabCut from a rough outline, her face by our own mesh.

Axes: H W C picture, N mesh points.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vividhead.errors import UsageError
from vividhead.faces import FaceDetector, FaceMesh
from vividhead.score import FACE_CROP_PX, FACE_CROP_SCALE

Backdrop = Literal["studio", "window", "shelf", "curtain"]

PORTRAIT_ROWS = 400
"""Rows of the photograph that are used: hair to chest. What lies below never comes into view."""
PHOTO_FACE_PX = 104.0
"""Side of the detected face box in the photograph: what `face_px` is measured against."""
_MAYBE_PERSON = (
    (160, 60), (190, 20), (230, 12), (280, 25), (303, 70), (296, 120), (275, 150), (300, 190), (308, 250),
    (345, 265), (362, 330), (420, 345), (470, 360), (500, 420), (20, 420), (30, 330), (45, 270), (80, 225),
    (110, 205), (125, 160), (175, 148), (155, 110),
)  # fmt: skip
_SURELY_PERSON = (
    (185, 50), (230, 28), (275, 45), (285, 100), (255, 150), (252, 184), (262, 200), (290, 240), (280, 280),
    (340, 300), (345, 340), (400, 360), (470, 400), (470, 420), (40, 420), (45, 340), (70, 280), (110, 240),
    (140, 200), (185, 180), (190, 130), (170, 90),
)  # fmt: skip
_NO_PERSON_XYXY = (
    (0, 0, 60, 230), (0, 0, 100, 200), (320, 0, 512, 150), (372, 0, 512, 340), (0, 280, 24, 420),
    (263, 148, 276, 190),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One appearance of the portrait: what a stranger would call another person's clothes, light and room."""

    mirrored: bool = False
    suit_hue_deg: float = 0.0
    """Turn of the suit's orange on the colour wheel."""
    gains_rgb: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Tint and brightness of the light on the person."""
    backdrop: Backdrop = "studio"
    backdrop_rgb: tuple[int, int, int] = (150, 150, 155)


@dataclass(frozen=True, slots=True)
class CutOut:
    """A person without background, at the size it is to be shown."""

    picture_HWC: NDArray[np.uint8]
    """RGB."""
    matte_HW: NDArray[np.uint8]
    """255 where the person is, 0 elsewhere, soft between."""
    mesh_N3: NDArray[np.float32]
    """MediaPipe's 478 points in this picture's pixels, z in the same unit, smaller is nearer."""
    px_per_photo_px: float


def coffee_cup() -> NDArray[np.uint8]:
    """A picture without a face, RGB (400, 600, 3)."""
    return _example_picture("coffee")


def _example_picture(name: str) -> NDArray[np.uint8]:
    try:
        import skimage.data
    except ImportError as missing:
        raise UsageError("the demo's pictures need `pip install 'vividhead[demo]'`") from missing
    return np.asarray(getattr(skimage.data, name)(), np.uint8)


@lru_cache(maxsize=1)
def photo() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
    """Picture (H, 512, 3), matte (H, 512) and mesh (478, 3) of the photograph's upper rows."""
    picture_HWC = np.ascontiguousarray(_example_picture("astronaut")[:PORTRAIT_ROWS])
    return picture_HWC, _matte(picture_HWC), _mesh(picture_HWC)


def _matte(picture_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    trimap_HW = np.full(picture_HWC.shape[:2], cv2.GC_PR_BGD, np.uint8)
    cv2.fillPoly(trimap_HW, [np.array(_MAYBE_PERSON, np.int32)], (cv2.GC_PR_FGD,))
    cv2.fillPoly(trimap_HW, [np.array(_SURELY_PERSON, np.int32)], (cv2.GC_FGD,))
    for x0, y0, x1, y1 in _NO_PERSON_XYXY:
        trimap_HW[y0:y1, x0:x1] = cv2.GC_BGD
    cv2.setRNGSeed(0)
    colours = np.zeros((1, 65)), np.zeros((1, 65))
    no_box = (0, 0, 0, 0)
    cv2.grabCut(picture_HWC, trimap_HW, no_box, *colours, 3, cv2.GC_INIT_WITH_MASK)
    person_HW = np.isin(trimap_HW, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8) * 255
    smaller_HW = cv2.erode(person_HW, np.ones((2, 2), np.uint8))  # the rim still holds the old background
    return np.asarray(cv2.GaussianBlur(smaller_HW, (0, 0), 0.8), np.uint8)


def _mesh(picture_HWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    x0, y0, x1, y1 = FaceDetector(0.5).detect(picture_HWC)[0].box
    side = FACE_CROP_SCALE * max(x1 - x0, y1 - y0)
    left, top, zoom = (x0 + x1 - side) / 2, (y0 + y1 - side) / 2, FACE_CROP_PX / side
    to_crop = np.array([[zoom, 0, -left * zoom], [0, zoom, -top * zoom]])
    crop_HWC = cv2.warpAffine(picture_HWC, to_crop, (FACE_CROP_PX, FACE_CROP_PX), borderMode=cv2.BORDER_REPLICATE)
    with FaceMesh() as mesh:
        looks = [np.asarray(crop_HWC, np.uint8)] * 3  # the tracker settles within a few
        *_, points_N3 = mesh.points(looks)
    return points_N3 / zoom + np.array([left, top, 0], np.float32)


def cut_out(look: Look, face_px: float) -> CutOut:
    """The person as `look` says, the face box about `face_px` pixels high."""
    picture_HWC, matte_HW, mesh_N3 = photo()
    zoom = face_px / PHOTO_FACE_PX
    size = round(picture_HWC.shape[1] * zoom), round(picture_HWC.shape[0] * zoom)
    method = cv2.INTER_CUBIC if zoom > 1 else cv2.INTER_AREA
    coloured_HWC = _in_light(_suit_turned(picture_HWC, look.suit_hue_deg), look.gains_rgb)
    large_HWC = np.asarray(cv2.resize(coloured_HWC, size, interpolation=method), np.uint8)
    if zoom > 1:
        soft_HWC = cv2.GaussianBlur(large_HWC, (0, 0), 0.9 * zoom)
        cv2.addWeighted(large_HWC, 1.6, soft_HWC, -0.6, 0, dst=large_HWC)
    large_matte_HW = np.asarray(cv2.resize(matte_HW, size, interpolation=cv2.INTER_AREA), np.uint8)
    points_N3 = (mesh_N3 * zoom).astype(np.float32)
    if look.mirrored:
        large_HWC, large_matte_HW = large_HWC[:, ::-1].copy(), large_matte_HW[:, ::-1].copy()
        points_N3[:, 0] = size[0] - points_N3[:, 0]
    return CutOut(large_HWC, large_matte_HW, points_N3, zoom)


def _suit_turned(picture_HWC: NDArray[np.uint8], hue_deg: float) -> NDArray[np.uint8]:
    if hue_deg == 0:
        return picture_HWC
    hsv_HWC = cv2.cvtColor(picture_HWC, cv2.COLOR_RGB2HSV)
    hue_HW, saturation_HW = hsv_HWC[..., 0], hsv_HWC[..., 1]
    orange_HW = ((hue_HW < 14) | (hue_HW > 172)) & (saturation_HW > 120)
    orange_HW[:190] = False  # above lies the face
    hsv_HWC[..., 0] = np.where(orange_HW, (hue_HW.astype(int) + round(hue_deg / 2)) % 180, hue_HW)
    return np.asarray(cv2.cvtColor(hsv_HWC, cv2.COLOR_HSV2RGB), np.uint8)


def _in_light(picture_HWC: NDArray[np.uint8], gains_rgb: tuple[float, float, float]) -> NDArray[np.uint8]:
    return np.clip(picture_HWC * np.array(gains_rgb, np.float32), 0, 255).astype(np.uint8)


def backdrop(look: Look, width_px: int, height_px: int, seed: int) -> NDArray[np.uint8]:
    """An out-of-focus room behind the person, RGB (H, W, 3)."""
    rng = np.random.default_rng(seed)
    room_HWC = np.empty((height_px, width_px, 3), np.float32)
    room_HWC[:] = look.backdrop_rgb
    room_HWC *= np.linspace(1.1, 0.85, height_px, dtype=np.float32)[:, None, None]
    if look.backdrop == "window":
        x0, y0 = int(width_px * 0.06), int(height_px * 0.08)
        x1, y1 = int(width_px * 0.32), int(height_px * 0.75)
        cv2.rectangle(room_HWC, (x0, y0), (x1, y1), (225, 232, 240), -1)
        cv2.line(room_HWC, ((x0 + x1) // 2, y0), ((x0 + x1) // 2, y1), (95, 85, 75), width_px // 70)
    elif look.backdrop == "shelf":
        for shelf in range(4):
            x, bottom = 0, int(height_px * (0.22 + 0.26 * shelf))
            while x < width_px:
                wide, high = (
                    int(rng.integers(10, 26) * width_px / 640),
                    int(rng.integers(55, 95) * height_px / 480),
                )
                colour = tuple(int(c) for c in rng.integers(45, 150, 3))
                cv2.rectangle(room_HWC, (x, bottom - high), (x + wide, bottom), colour, -1)
                x += wide
    elif look.backdrop == "curtain":
        folds_W = 1 + 0.14 * np.sin(np.linspace(0, 60, width_px) + 2 * np.sin(np.linspace(0, 9, width_px)))
        room_HWC *= folds_W[None, :, None].astype(np.float32)
    clouds_HWC = rng.normal(1, 0.05, (6, 8, 1)).astype(np.float32)
    room_HWC *= cv2.resize(clouds_HWC, (width_px, height_px), interpolation=cv2.INTER_CUBIC)[..., None]
    blurred_HWC = cv2.GaussianBlur(room_HWC, (0, 0), width_px / 130)
    return np.clip(blurred_HWC, 0, 255).astype(np.uint8)
