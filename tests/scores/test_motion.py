from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead.score import Unmeasurable, loaded_score
from vividhead.testing.media import ArrayClipMedia

Mesh = NDArray[np.float32]
Moved = Callable[..., ArrayClipMedia]
GREY = np.full((75, 64, 64, 3), 128, np.uint8)
BOX = np.array([[20, 20, 44, 44]], np.float32)
LOWER_LIP_AND_CHIN = [17, 84, 314, 181, 405, 14, 87, 317, 152, 148, 377]
LIDS = [159, 160, 158, 386, 385, 387]
EYE_CORNERS = [33, 263]


def read(clip: ArrayClipMedia) -> dict[str, float]:
    return dict(loaded_score("motion").measure(clip))


def acted(mesh: Mesh, points: list[int], eye_distances: float, hz: float = 3.0) -> ArrayClipMedia:
    """A clip of one mesh whose `points` go down and up by this much, and nothing else."""
    size = np.linalg.norm(np.diff(mesh[EYE_CORNERS, :2], axis=0)) * eye_distances
    mesh_TNC = np.stack([mesh] * len(GREY))
    mesh_TNC[:, points, 1] += (size * np.sin(2 * np.pi * hz * np.arange(len(GREY)) / 25))[:, None]
    clip = ArrayClipMedia(GREY, box_xyxy_px_T4=BOX)
    clip.landmarks_TNC = mesh_TNC
    return clip


def test_a_face_carried_at_a_known_speed_reads_that_speed(
    astronaut: NDArray[np.uint8], astronaut_box: NDArray[np.float32], moved: Moved
) -> None:
    got = read(moved(astronaut, astronaut_box, 30, px_per_frame=2.0))
    face_height_px = float(astronaut_box[0, 3] - astronaut_box[0, 1])
    assert got["head_speed_p95"] == pytest.approx(2.0 * 25 / face_height_px, rel=0.1)


def test_a_still_photo_moved_zoomed_and_turned_by_a_noisy_camera_has_no_expression(
    astronaut: NDArray[np.uint8], astronaut_box: NDArray[np.float32], moved: Moved
) -> None:
    got = read(moved(astronaut, astronaut_box, 70, px_per_frame=0.5, turn_deg=5, zoom=0.08, noise=4))
    assert got["expression_std"] < 0.003


def test_twice_the_opening_of_the_mouth_reads_twice_as_much(astronaut_mesh: Mesh) -> None:
    small, large = (read(acted(astronaut_mesh, LOWER_LIP_AND_CHIN, size)) for size in (0.02, 0.04))
    assert small["mouth_std"] > 0.004
    assert large["mouth_std"] == pytest.approx(2 * small["mouth_std"], rel=0.05)
    assert large["expression_std"] == large["mouth_std"]


def test_a_blink_is_expression_but_no_movement_of_the_mouth(astronaut_mesh: Mesh) -> None:
    got = read(acted(astronaut_mesh, LIDS, 0.03))
    assert got["expression_std"] > 0.004
    assert got["mouth_std"] < 0.1 * got["expression_std"]


def test_a_drift_over_many_seconds_is_no_expression(astronaut_mesh: Mesh) -> None:
    slow, spoken = (read(acted(astronaut_mesh, LOWER_LIP_AND_CHIN, 0.03, hz)) for hz in (0.1, 3.0))
    assert slow["mouth_std"] < 0.25 * spoken["mouth_std"]


def test_under_a_second_of_mesh_is_unmeasurable(astronaut_mesh: Mesh) -> None:
    clip = acted(astronaut_mesh, LIDS, 0.03)
    clip.landmarks_TNC[24:] = np.nan
    with pytest.raises(Unmeasurable) as why:
        read(clip)
    assert why.value.code == "no_mesh"


def test_a_talker_stands_far_from_a_moved_still_of_the_same_talker(
    footage: Callable[..., NDArray[np.uint8]], moved: Moved
) -> None:
    pictures = footage("radio34", 0, 75)
    talker = ArrayClipMedia(pictures)
    still = moved(pictures[10], talker.box_xyxy_px_T4[10:11], 75, turn_deg=4, zoom=0.05, noise=3)
    assert read(talker)["mouth_std"] > 5 * read(still)["expression_std"]
