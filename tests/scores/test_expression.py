"""A mesh whose lips and lids are moved by a known amount."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead.score import Unmeasurable, loaded_score
from vividhead.testing.media import ArrayClipMedia

Mesh = NDArray[np.float32]
N_FRAMES = 100
GREY = np.full((N_FRAMES, 64, 64, 3), 128, np.uint8)
BOX = np.array([[20, 20, 44, 44]], np.float32)
EYE_CORNERS = [33, 263]
LOWER_LIP = [87, 14, 317]
UPPER_LIDS, LOWER_LIDS = [160, 158, 385, 387], [144, 153, 380, 373]


def acted(mesh: Mesh, act: Callable[[Mesh, float], None]) -> dict[str, float]:
    """`act` changes the mesh (T, N, C) in place; it is told the distance of the eye corners."""
    mesh_TNC = np.stack([mesh] * N_FRAMES)
    act(mesh_TNC, float(np.linalg.norm(np.diff(mesh[EYE_CORNERS, :2], axis=0))))
    clip = ArrayClipMedia(GREY, box_xyxy_px_T4=BOX)
    clip.landmarks_TNC = mesh_TNC
    return dict(loaded_score("expression").measure(clip))


def test_a_still_face_does_nothing(astronaut_mesh: Mesh) -> None:
    got = acted(astronaut_mesh, lambda mesh, size: None)
    assert got["mouth_active_fraction"] == got["blinks_per_min"] == got["eyes_shut_fraction"] == 0
    assert got["mouth_width_range"] == 0


def test_a_mouth_that_opens_reads_how_far_and_how_often(astronaut_mesh: Mesh) -> None:
    def open_half_the_time(mesh_TNC: Mesh, size: float) -> None:
        swing = np.maximum(np.sin(2 * np.pi * 3 * np.arange(N_FRAMES) / 25), 0) * (np.arange(N_FRAMES) < N_FRAMES / 2)
        mesh_TNC[:, LOWER_LIP, 1] += (0.2 * size * swing)[:, None]

    still = acted(astronaut_mesh, lambda mesh, size: None)
    got = acted(astronaut_mesh, open_half_the_time)
    assert got["mouth_open_p90"] - still["mouth_open_p90"] == pytest.approx(0.17, abs=0.04)
    assert got["mouth_active_fraction"] == pytest.approx(0.45, abs=0.1)


def test_blinks_are_counted_and_a_long_rest_is_none(astronaut_mesh: Mesh) -> None:
    def blink(mesh_TNC: Mesh, size: float) -> None:
        for begin, end in ((20, 24), (50, 55), (70, 95)):
            lids = mesh_TNC[begin:end]
            lids[:, UPPER_LIDS] += 0.8 * (lids[:, LOWER_LIDS] - lids[:, UPPER_LIDS])

    got = acted(astronaut_mesh, blink)
    assert got["blinks_per_min"] == pytest.approx(2 * 60 / (N_FRAMES / 25))
    assert got["eyes_shut_fraction"] == pytest.approx(34 / N_FRAMES)


def test_under_a_second_of_mesh_is_unmeasurable(astronaut_mesh: Mesh) -> None:
    def lose(mesh_TNC: Mesh, size: float) -> None:
        mesh_TNC[20:] = np.nan

    with pytest.raises(Unmeasurable) as why:
        acted(astronaut_mesh, lose)
    assert why.value.code == "no_mesh"
