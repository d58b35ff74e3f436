"""Reading pictures without converting the whole."""

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead.media.planes import Planes, rgb_from_i420


def smooth(width: int, height: int) -> NDArray[np.uint8]:
    """RGB whose red grows to the right and whose green grows downwards."""
    picture = np.full((height, width, 3), 100, np.uint8)
    picture[..., 0] = np.linspace(40, 220, width).astype(np.uint8)[None]
    picture[..., 1] = np.linspace(40, 220, height).astype(np.uint8)[:, None]
    return picture


def frame_of(picture: NDArray[np.uint8]) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")


@pytest.mark.parametrize("size", [(64, 48), (130, 98), (1000, 562)])
def test_planes_have_the_pictures_size_without_padding(size: tuple[int, int]) -> None:
    planes = Planes(frame_of(smooth(*size)))
    width, height = size
    assert planes.y_HW.shape == (height, width)
    assert planes.u_HW.shape == planes.v_HW.shape == (height // 2, width // 2)


@pytest.mark.parametrize("how", [cv2.INTER_AREA, cv2.INTER_LINEAR])
def test_a_thumbnail_shows_the_whole_picture(how: int) -> None:
    truth = smooth(1280, 720)
    small = Planes(frame_of(truth)).thumbnail_HWC(320, how=how)
    assert small.shape == (180, 320, 3)
    wanted = cv2.resize(truth, (320, 180), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(small.astype(int) - wanted)[4:-4, 4:-4].max() <= 8


def test_a_thumbnail_is_never_enlarged() -> None:
    assert Planes(frame_of(smooth(64, 48))).thumbnail_HWC(640).shape == (48, 64, 3)


def test_a_square_is_the_part_asked_for() -> None:
    truth = smooth(400, 300)
    square = rgb_from_i420(Planes(frame_of(truth)).square_i420(100, 60, 128, 128))
    assert square.shape == (128, 128, 3)
    assert np.abs(square.astype(int) - truth[60:188, 100:228]).max() <= 6


@pytest.mark.parametrize(("x0", "y0"), [(-40, -40), (340, 240), (-40, 240), (500, 400), (-300, -300)])
def test_outside_the_picture_its_border_is_repeated(x0: int, y0: int) -> None:
    truth = smooth(400, 300)
    square = rgb_from_i420(Planes(frame_of(truth)).square_i420(x0, y0, 100, 100))
    rows = np.clip(np.arange(y0, y0 + 100), 0, 299)
    columns = np.clip(np.arange(x0, x0 + 100), 0, 399)
    assert np.abs(square.astype(int) - truth[rows][:, columns]).max() <= 12
