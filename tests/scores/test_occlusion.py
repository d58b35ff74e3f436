"""Hands and other things drawn over a real mouth, for a known part of the time."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead.calibrate.perturbations import FAMILIES
from vividhead.calibrate.perturbations.family import Scene
from vividhead.score import FACE_CROP_PX, Unmeasurable, loaded_score
from vividhead.testing.media import ArrayClipMedia

Picture = NDArray[np.uint8]
Boxes = NDArray[np.float32]
Mesh = NDArray[np.float32]
N_FRAMES = 48
COVER = {family.name: family.make for family in FAMILIES}


def read(pictures: NDArray[np.uint8], box: Boxes, mesh: Mesh) -> dict[str, float]:
    clip = ArrayClipMedia(pictures, box_xyxy_px_T4=box)
    clip.landmarks_TNC = np.stack([mesh] * len(pictures))
    return dict(loaded_score("occlusion").measure(clip))


def covered(name: str, level: float, picture: Picture, box: Boxes, mesh: Mesh) -> NDArray[np.uint8]:
    """The still picture with something over the mouth in the middle `level` of the time."""
    square_4 = ArrayClipMedia(picture[None], box_xyxy_px_T4=box).crop_xyxy_px_T4[0]
    mouth_2 = square_4[:2] + mesh[[13, 14], :2].mean(0) * (square_4[2] - square_4[0]) / FACE_CROP_PX
    x0, y0, x1, y1 = box[0].tolist()
    scene = Scene(
        frames_THWC=np.stack([picture] * N_FRAMES), heard_S=np.zeros(0, np.float32), face=(x0, y0, x1, y1),
        mouth_xy_T2=np.stack([mouth_2] * N_FRAMES).astype(np.float32),
    )  # fmt: skip
    return COVER[name](scene, scene, level, np.random.default_rng(0)).frames_THWC


@pytest.mark.parametrize("name", ["hand_over_mouth", "object_over_mouth"])
@pytest.mark.parametrize("level", [0.25, 0.5, 1.0])
def test_the_mouth_is_hidden_for_as_long_as_something_is_before_it(
    astronaut: Picture, astronaut_box: Boxes, astronaut_mesh: Mesh, name: str, level: float
) -> None:
    pictures = covered(name, level, astronaut, astronaut_box, astronaut_mesh)
    assert read(pictures, astronaut_box, astronaut_mesh)["mouth_hidden_fraction"] == pytest.approx(level, abs=0.13)


@pytest.mark.parametrize("light", [1.0, 0.5, 0.25])
def test_lips_are_seen_in_any_light(
    astronaut: Picture, astronaut_box: Boxes, astronaut_mesh: Mesh, light: float
) -> None:
    found = read((astronaut[None] * light).astype(np.uint8), astronaut_box, astronaut_mesh)
    assert found["mouth_hidden_fraction"] == 0
    assert found["lip_contrast_median"] > 1.5


def test_grey_pictures_still_show_lips(astronaut: Picture, astronaut_box: Boxes, astronaut_mesh: Mesh) -> None:
    grey = np.repeat(astronaut.mean(-1, keepdims=True), 3, -1).astype(np.uint8)
    assert read(grey[None], astronaut_box, astronaut_mesh)["mouth_hidden_fraction"] == 0


@pytest.mark.parametrize("stem", ["suit_oddfps", "portrait_kitchen"])
def test_a_beard_and_pale_lips_hide_no_mouth(footage: Callable[..., Picture], stem: str) -> None:
    clip = ArrayClipMedia(footage(stem, 0, 13))
    assert dict(loaded_score("occlusion").measure(clip))["mouth_hidden_fraction"] == 0


def test_without_a_face_nothing_is_told(astronaut: Picture, astronaut_box: Boxes, astronaut_mesh: Mesh) -> None:
    with pytest.raises(Unmeasurable) as why:
        read(astronaut[None], astronaut_box, np.full_like(astronaut_mesh, np.nan))
    assert why.value.code == "no_face"
