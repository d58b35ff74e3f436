"""Real talk with frames taken out, and a photo that a camera moves over."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead.score import Unmeasurable, loaded_score
from vividhead.testing.media import ArrayClipMedia

Frames = Callable[..., NDArray[np.uint8]]


def read(clip: ArrayClipMedia) -> dict[str, float]:
    return dict(loaded_score("jump_cut").measure(clip))


@pytest.mark.parametrize("stem", ["radio34", "edmarkey"])
def test_frames_taken_out_of_a_talk_are_found_where_they_are_missing(footage: Frames, stem: str) -> None:
    pictures = footage(stem, 0, 150)
    whole = ArrayClipMedia(pictures)
    boxes = whole.box_xyxy_px_T4
    kept = np.r_[0:40, 100:150]
    jumped = read(ArrayClipMedia(pictures[kept], box_xyxy_px_T4=boxes[kept]))
    assert jumped["largest_jump"] > 1.5 * read(whole)["largest_jump"]
    assert jumped["at_s"] == pytest.approx(40 / 25)


def test_a_real_jump_cut_that_shot_detection_overlooks_is_found(footage: Frames) -> None:
    pictures = footage("portrait_sofa", 240, 300)  # of 30 a second; the 271st follows another take
    jumped = read(ArrayClipMedia(pictures))
    assert jumped["largest_jump"] > 2
    assert jumped["at_s"] == pytest.approx(31 / 25)


def test_a_swift_camera_is_no_jump_and_a_step_of_the_picture_is(
    astronaut: NDArray[np.uint8], astronaut_box: NDArray[np.float32], moved: Callable[..., ArrayClipMedia]
) -> None:
    assert read(moved(astronaut, astronaut_box, 60, px_per_frame=3, turn_deg=8, noise=3))["largest_jump"] < 2.0

    def show(frame: int) -> NDArray[np.uint8]:
        grain = np.random.default_rng(frame).normal(0, 3, astronaut.shape)
        return np.clip(np.roll(astronaut, 12 * (frame >= 30), 1) + grain, 0, 255).astype(np.uint8)

    stepped = read(ArrayClipMedia(show, 60, box_xyxy_px_T4=astronaut_box))
    assert stepped["largest_jump"] > 4
    assert stepped["at_s"] == pytest.approx(30 / 25)


def test_under_half_a_second_is_unmeasurable() -> None:
    with pytest.raises(Unmeasurable, match="11 frames"):
        read(ArrayClipMedia(np.zeros((11, 64, 64, 3), np.uint8), box_xyxy_px_T4=np.array([[16, 16, 48, 48]])))
