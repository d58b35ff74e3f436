"""Face crops cut from pictures, and the clip that scores see through them."""

import numpy as np
import pytest
from av import VideoFrame
from hand_made import make_clip, make_segment, make_source
from numpy.typing import NDArray
from scripted_film import FACE, SHADES

import vividhead.clip_media as room
from vividhead.clip_media import BufferedClipMedia, FaceCrop, cut_face
from vividhead.media.decode import Planes, rgb_from_i420
from vividhead.records import Box


def ramp() -> Planes:
    """A grey picture of 640×480 whose luma is a quarter of x."""
    planes_HW = np.full((720, 640), 128, np.uint8)
    planes_HW[:480] = np.arange(640) // 4
    return Planes(VideoFrame.from_ndarray(planes_HW, format="yuv420p"))


def luma_at(crop: FaceCrop, column: int) -> float:
    return float(np.median(crop.i420[:256, column]))


@pytest.mark.parametrize("box", [(201.6, 101.7, 302.4, 202.5), (10.0, 10.0, 51.0, 51.0), (600.0, 400.0, 700.0, 500.0)])
def test_a_face_crop_is_an_even_placed_square_of_18_tenths_of_the_face(box: Box) -> None:
    crop = cut_face(ramp(), box)
    assert crop.side_px % 2 == crop.x0_px % 2 == crop.y0_px % 2 == 0
    assert crop.side_px == pytest.approx((box[3] - box[1]) * 1.8, abs=1)
    assert crop.x0_px + crop.side_px / 2 == pytest.approx((box[0] + box[2]) / 2, abs=1)
    assert crop.y0_px + crop.side_px / 2 == pytest.approx((box[1] + box[3]) / 2, abs=1)
    assert crop.i420.shape == (384, 256)


def test_a_face_crop_shows_the_part_of_the_picture_it_says() -> None:
    crop = cut_face(ramp(), (220.0, 100.0, 360.0, 240.0))
    assert (crop.x0_px, crop.side_px) == (164, 252)
    assert luma_at(crop, 0) == pytest.approx(164 / 4, abs=1)
    assert luma_at(crop, 255) == pytest.approx((164 + 251) / 4, abs=1)


def test_outside_the_picture_its_border_is_repeated() -> None:
    crop = cut_face(ramp(), (-40.0, 100.0, 60.0, 200.0))
    assert crop.x0_px == -80
    assert {luma_at(crop, column) for column in (0, 40, 80)} == {0.0}
    assert luma_at(crop, 255) == pytest.approx((-80 + 179) / 4, abs=1)


def clip_media(n_frames: int = 10, n_samples: int | None = None) -> tuple[BufferedClipMedia, list[tuple[int, int]]]:
    """A clip at frame 100 of its source, and the list of the spans of sound it has asked for."""
    asked: list[tuple[int, int]] = []

    def sound(start: int, end: int) -> NDArray[np.float32]:
        asked.append((start, end))
        return np.zeros(640 * (end - start) if n_samples is None else n_samples, np.float32)

    source = make_source()
    clip = make_clip(make_segment(source), 100, 100 + n_frames)
    faces = [cut_face(Planes(SHADES[0][k % 7]), FACE) for k in range(n_frames)]
    boxes = [FACE] * n_frames
    size = source.width_px or 0, source.height_px or 0
    return BufferedClipMedia(clip, size, boxes, lambda: faces, [0, 5], [], [], sound), asked


def test_a_clip_holds_boxes_squares_and_the_size_of_its_source() -> None:
    media, _ = clip_media()
    assert (media.source_width_px, media.source_height_px) == (1280, 720)
    assert media.box_xyxy_px_T4.shape == (10, 4) and media.box_xyxy_px_T4.dtype == np.float32
    assert media.crop_xyxy_px_T4.tolist() == [[60, 20, 240, 200]] * 10


def test_its_pictures_are_rgb_of_the_crops_in_order_and_in_steps() -> None:
    media, _ = clip_media()
    assert [frame for frame, _ in media.faces()] == list(range(10))
    assert [frame for frame, _ in media.faces(step=4)] == [0, 4, 8]
    for frame, face_HWC in media.faces(step=3):
        expected_HWC = rgb_from_i420(cut_face(Planes(SHADES[0][frame % 7]), FACE).i420)
        assert np.array_equal(face_HWC, expected_HWC)
        assert np.array_equal(media.face_HWC(frame), expected_HWC)
        assert face_HWC.shape == (256, 256, 3) and face_HWC.dtype == np.uint8


def test_faces_are_cut_once_and_only_when_a_picture_is_asked_for() -> None:
    source = make_source()
    clip = make_clip(make_segment(source), 0, 2)
    times: list[int] = []

    def cut() -> list[FaceCrop]:
        times.append(len(times))
        return [cut_face(ramp(), FACE)] * 2

    media = BufferedClipMedia(
        clip, (1280, 720), [FACE] * 2, cut, [0], [], [], lambda a, b: np.zeros(0, np.float32), int
    )
    assert len(media.box_xyxy_px_T4) == 2 and times == []
    assert len(list(media.faces())) == 2 and len(media.crop_xyxy_px_T4) == 2 and times == [0]


def test_sound_is_read_once_for_just_the_clips_span_of_the_source() -> None:
    media, asked = clip_media()
    assert len(media.audio_S) == len(media.audio_S) == 6400
    assert asked == [(100, 110)]


def test_sound_of_another_length_is_our_own_mistake() -> None:
    media, _ = clip_media(n_samples=6399)
    with pytest.raises(AssertionError):
        _ = media.audio_S


def test_the_mesh_is_made_once_over_all_crops_and_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    class Mesh:
        def __enter__(self) -> "Mesh":
            return self

        def __exit__(self, *fault: object) -> None:
            seen.append(-1)

        def points(self, crops):  # type: ignore[no-untyped-def]
            for number, crop_HWC in enumerate(crops):
                seen.append(number)
                yield np.full((478, 3), float(crop_HWC.shape[0] + number), np.float32)

    monkeypatch.setattr(room, "FaceMesh", Mesh)
    media, _ = clip_media()
    assert not media.has_mesh and seen == []
    assert media.landmarks_TNC.shape == (10, 478, 3)
    assert media.landmarks_TNC[:, 0, 0].tolist() == [256 + k for k in range(10)]
    assert media.has_mesh and seen == [*range(10), -1]


def test_a_mesh_that_is_known_is_taken_and_no_picture_asked_for() -> None:
    clip = make_clip(make_segment(make_source()), 0, 2)
    known = np.ones((2, 478, 3), np.float32)
    media = BufferedClipMedia(
        clip, (1280, 720), [FACE] * 2, list, [0], [], [], lambda a, b: np.zeros(0, np.float32), mesh=lambda crops: known
    )
    assert media.landmarks_TNC is known
