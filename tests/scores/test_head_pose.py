from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead.score import Unknown, loaded_score
from vividhead.scores.head_pose import yaw_pitch_roll_deg
from vividhead.testing.media import ArrayClipMedia

Mesh = NDArray[np.float32]
GREY = np.full((20, 64, 64, 3), 128, np.uint8)
BOX = np.array([[20, 20, 44, 44]], np.float32)


def about(axis: int, deg: float) -> NDArray[np.float64]:
    """Rotate column vectors about x (nod down), y (turn to the picture's left) or z (tilt clockwise)."""
    one, two = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(3)
    cos, sin = np.cos(np.radians(deg)), np.sin(np.radians(deg))
    matrix[[one, one, two, two], [one, two, one, two]] = cos, -sin, sin, cos
    return matrix


def posed(mesh: Mesh, yaw: float, pitch: float, roll: float) -> Mesh:
    """The mesh turned from wherever it looks into this pose."""
    now = yaw_pitch_roll_deg(mesh[None])[0]
    to_pose, from_pose = (about(2, r) @ about(0, p) @ about(1, y) for y, p, r in ((yaw, pitch, roll), now))
    middle = mesh.mean(axis=0)
    return ((mesh - middle) @ (to_pose @ from_pose.T).T + middle).astype(np.float32)


def read(mesh_TNC: Mesh) -> dict[str, float | Unknown]:
    clip = ArrayClipMedia(GREY[: len(mesh_TNC)], box_xyxy_px_T4=BOX)
    clip.landmarks_TNC = mesh_TNC
    return dict(loaded_score("head_pose").measure(clip))


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(0, 0, 0), (20, 0, 0), (0, -20, 0), (0, 0, 20), (-40, 25, 70)])
def test_a_mesh_turned_by_known_angles_reads_them_back(
    astronaut_mesh: Mesh, yaw: float, pitch: float, roll: float
) -> None:
    angles = yaw_pitch_roll_deg(posed(astronaut_mesh, yaw, pitch, roll)[None])[0]
    assert angles == pytest.approx([yaw, pitch, roll], abs=0.01)


def test_a_mesh_turned_from_where_it_was_changes_that_angle_alone(astronaut_mesh: Mesh) -> None:
    before = yaw_pitch_roll_deg(astronaut_mesh[None])[0]
    after = yaw_pitch_roll_deg((astronaut_mesh @ about(2, 20).T).astype(np.float32)[None])[0]
    assert after - before == pytest.approx([0, 0, 20], abs=0.01)


def test_a_portrait_from_the_front_reads_small_angles(astronaut_mesh: Mesh) -> None:
    yaw, pitch, roll = np.abs(yaw_pitch_roll_deg(astronaut_mesh[None])[0])
    assert yaw < 5
    assert pitch < 15
    assert roll < 8


def test_a_mirrored_picture_mirrors_yaw_and_roll(astronaut: NDArray[np.uint8], astronaut_mesh: Mesh) -> None:
    clip = ArrayClipMedia(np.stack([astronaut[:, ::-1]] * 3))
    mirrored, upright = (yaw_pitch_roll_deg(mesh[None])[0] for mesh in (clip.landmarks_TNC[-1], astronaut_mesh))
    assert mirrored == pytest.approx(upright * (-1, 1, -1), abs=2.5)


def test_a_picture_tilted_by_15_degrees_reads_15_more_of_roll(
    astronaut: NDArray[np.uint8], astronaut_box: NDArray[np.float32], moved: Callable[..., ArrayClipMedia]
) -> None:
    clip = moved(astronaut, astronaut_box, 54, turn_deg=-15)  # the swing is 0 at frame 0, 15 degrees near 18
    clip.landmarks_TNC = np.stack(list(clip.landmarks_TNC))
    angles = yaw_pitch_roll_deg(clip.landmarks_TNC)
    assert angles[17:19, 2].mean() - angles[0, 2] == pytest.approx(15, abs=2)
    assert angles[52:54, 2].mean() - angles[0, 2] == pytest.approx(-15, abs=2)
    assert angles[17:19, 0].mean() == pytest.approx(angles[0, 0], abs=3)


def test_a_turn_of_a_few_frames_counts(astronaut_mesh: Mesh) -> None:
    still, turned = posed(astronaut_mesh, 1, 0, 0), posed(astronaut_mesh, -50, 0, 0)
    got = read(np.stack([still] * 18 + [turned] * 2))
    assert got["yaw_deg_p95"] == pytest.approx(50, abs=0.01)
    assert got["coverage"] == 1


def test_frames_without_a_mesh_lower_the_coverage_and_nothing_else(astronaut_mesh: Mesh) -> None:
    mesh_TNC = np.stack([posed(astronaut_mesh, 10, 5, 2)] * 20)
    mesh_TNC[5:] = np.nan
    assert read(mesh_TNC) == pytest.approx(
        {"yaw_deg_p95": 10, "pitch_deg_p95": 5, "roll_deg_p95": 2, "coverage": 0.25}, abs=0.01
    )


def test_without_any_mesh_the_angles_are_unknown_and_the_coverage_is_zero() -> None:
    got = read(np.full((20, 478, 3), np.nan, np.float32))
    assert got == {
        "yaw_deg_p95": Unknown("no_mesh"),
        "pitch_deg_p95": Unknown("no_mesh"),
        "roll_deg_p95": Unknown("no_mesh"),
        "coverage": 0.0,
    }
