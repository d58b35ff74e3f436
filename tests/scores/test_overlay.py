"""A head that sways before a shelf full of edges, with and without words drawn over the picture."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead.score import Unmeasurable, loaded_score
from vividhead.testing.media import ArrayClipMedia

N_FRAMES, SIDE_PX, FACE_PX = 75, 264, 120
Picture = NDArray[np.uint8]


def shelf() -> Picture:
    """Upright spines of many shades, with titles."""
    rng = np.random.default_rng(0)
    picture = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    for x in range(0, SIDE_PX, 12):
        picture[:, x : x + 10] = rng.integers(30, 220, 3)
    for y in range(20, SIDE_PX, 40):
        cv2.putText(picture, "TITLES OF BOOKS", (4, y), cv2.FONT_HERSHEY_DUPLEX, 0.7, (255, 255, 255), 1)
    return picture


SHELF = shelf()


def middle(frame: int) -> int:
    return round(SIDE_PX / 2 + FACE_PX / 8 * np.sin(2 * np.pi * frame / 40))


def show(frame: int) -> Picture:
    seen = SHELF.copy()
    cv2.ellipse(seen, (middle(frame), SIDE_PX), (FACE_PX, 80), 0, 0, 360, (60, 70, 90), -1)
    cv2.circle(seen, (middle(frame), SIDE_PX // 2), FACE_PX * 6 // 10, (190, 150, 130), -1)
    grain = np.random.default_rng(frame).normal(0, 2, seen.shape)
    return np.clip(seen + grain, 0, 255).astype(np.uint8)


def said(frame: int, words: str, scale: float) -> Picture:
    """The picture with a line of words at its foot."""
    seen = show(frame)
    for colour, thick in (((0, 0, 0), 5), ((255, 255, 255), 2)):
        cv2.putText(seen, words, (12, SIDE_PX - 8), cv2.FONT_HERSHEY_DUPLEX, scale, colour, thick, cv2.LINE_AA)
    return seen


def read(frames: list[Picture]) -> float:
    half, y = FACE_PX / 2, SIDE_PX / 2
    boxes = [(middle(f) - half, y - half, middle(f) + half, y + half) for f in range(len(frames))]
    clip = ArrayClipMedia(np.stack(frames), box_xyxy_px_T4=np.array(boxes, np.float32))
    return dict(loaded_score("overlay").measure(clip))["swapped_fraction"]


def test_a_head_before_a_shelf_of_books_has_no_caption() -> None:
    assert read([show(f) for f in range(N_FRAMES)]) < 0.005


def test_captions_that_change_are_told_and_larger_ones_cover_more() -> None:
    small, large = (
        read([said(f, "SO IT WAS SAID" if f < 38 else "THEN WE WENT ON", scale) for f in range(N_FRAMES)])
        for scale in (0.65, 0.95)
    )
    assert 0.01 < small < large < 0.2


def test_a_caption_that_appears_once_is_told() -> None:
    assert read([said(f, "SO IT WAS SAID", 0.8) if f >= 38 else show(f) for f in range(N_FRAMES)]) > 0.01


def test_words_that_stay_throughout_read_as_part_of_the_picture() -> None:
    assert read([said(f, "SO IT WAS SAID", 0.8) for f in range(N_FRAMES)]) < 0.005


def test_a_cut_to_another_picture_is_no_caption() -> None:
    frames = [show(f) if f < 38 else 255 - show(f)[::-1] for f in range(N_FRAMES)]
    assert read(frames) == 0


def test_a_clip_of_a_second_is_too_short() -> None:
    with pytest.raises(Unmeasurable) as why:
        read([show(f) for f in range(25)])
    assert why.value.code == "too_short"
