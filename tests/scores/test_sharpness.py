from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import erf

from vividhead.score import Unmeasurable, loaded_score
from vividhead.testing.media import ArrayClipMedia

Picture = NDArray[np.uint8]
Boxes = NDArray[np.float32]


def read(pictures: NDArray[np.uint8], boxes: Boxes) -> float:
    clip = ArrayClipMedia(pictures, box_xyxy_px_T4=boxes)
    return dict(loaded_score("sharpness").measure(clip))["blurs_per_face_p10"]


def blurred(picture: Picture, box: Boxes, face_heights: float) -> Picture:
    return cv2.GaussianBlur(picture, (0, 0), face_heights * float(box[0, 3] - box[0, 1]))


def shrunk(picture: Picture, times: float = 0.5) -> Picture:
    return cv2.resize(picture, None, fx=times, fy=times, interpolation=cv2.INTER_AREA)


def noisy(picture: Picture, levels: float) -> Picture:
    grain = np.random.default_rng(0).normal(0, levels, picture.shape)
    return np.clip(picture + grain, 0, 255).round().astype(np.uint8)


@pytest.mark.parametrize("face_px", [600, 300, 150, 90])
@pytest.mark.parametrize("blur_face_heights", [0.02, 0.04])
def test_a_step_of_known_blur_is_read_back_at_any_size(face_px: int, blur_face_heights: float) -> None:
    across = (np.arange(2 * face_px) + 0.5 - face_px) / (blur_face_heights * face_px * np.sqrt(2))
    picture = np.tile((60 + 60 * (1 + erf(across)))[:, None], (1, 2 * face_px, 1, 3))
    box = np.array([[0.5, 0.5, 1.5, 1.5]], np.float32) * face_px
    assert read(picture.round().astype(np.uint8), box) == pytest.approx(1 / blur_face_heights, rel=0.15)


def test_each_further_defocus_of_a_face_reads_clearly_lower(astronaut: Picture, astronaut_box: Boxes) -> None:
    blurs = (0.0, 0.01, 0.02, 0.04)
    pictures = [blurred(astronaut, astronaut_box, blur) if blur else astronaut for blur in blurs]
    readings = [read(picture[None], astronaut_box) for picture in pictures]
    assert all(after < 0.75 * before for before, after in pairwise(readings))
    assert readings[-1] == pytest.approx(25, rel=0.15)


@pytest.mark.parametrize("levels", [3, 10])
@pytest.mark.parametrize("blur", [0.0, 0.02])
def test_camera_noise_makes_no_face_sharper(
    astronaut: Picture, astronaut_box: Boxes, levels: float, blur: float
) -> None:
    picture = blurred(astronaut, astronaut_box, blur) if blur else astronaut
    clean, grainy = (read(p[None], astronaut_box) for p in (picture, noisy(picture, levels)))
    assert grainy == pytest.approx(clean, rel=0.08 if blur else 0.02)


@pytest.mark.parametrize("stem", ["radio34", "portrait_sofa", "portrait_kitchen", "suit_oddfps"])
def test_the_same_face_reads_alike_at_less_resolution(footage: Callable[..., Picture], stem: str) -> None:
    picture = footage(stem, 10, 11)[0]
    box = ArrayClipMedia(picture[None]).box_xyxy_px_T4
    whole = read(picture[None], box)
    assert read(shrunk(picture, 0.75)[None], box * 0.75) == pytest.approx(whole, rel=0.1)
    assert read(shrunk(picture, 0.5)[None], box * 0.5) == pytest.approx(whole, rel=0.1)


def test_a_short_blur_lowers_the_clip(astronaut: Picture, astronaut_box: Boxes) -> None:
    pictures = np.stack([astronaut] * 72)
    sharp = read(pictures, astronaut_box)
    pictures[20:30] = blurred(astronaut, astronaut_box, 0.03)  # one sample of six
    assert read(pictures, astronaut_box) < 0.75 * sharp


@pytest.mark.parametrize("levels", [0, 15])
def test_a_flat_face_is_unmeasurable_with_noise_and_without(levels: float) -> None:
    picture = noisy(np.full((300, 300, 3), 128, np.uint8), levels)
    with pytest.raises(Unmeasurable) as why:
        read(picture[None], np.array([[80, 80, 220, 220]], np.float32))
    assert why.value.code == "no_edges"
