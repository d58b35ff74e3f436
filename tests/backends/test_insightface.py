"""Faces as ArcFace and genderage see them, and files that are not theirs."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.random_weights import put_onnx
from vividhead.backends.insightface import (
    ARCFACE_PX,
    GENDERAGE_PX,
    FaceNetwork,
    age_and_gender,
    aligned,
    embedding_512,
    face_network,
    similarity,
)
from vividhead.errors import VividHeadError

PLACES = {33: (36.0, 52.0), 133: (41.0, 51.5), 362: (71.0, 51.5), 263: (76.0, 51.5), 1: (56.0, 74.0), 4: (56.0, 69.5)}
PLACES |= {61: (41.5, 92.4), 291: (70.7, 92.2)}


def mesh(turn_deg: float = 0, scale: float = 1, move: tuple[float, float] = (0, 0)) -> NDArray[np.float32]:
    """A mesh whose five points lie near ArcFace's places, turned about the middle, scaled and moved."""
    points = np.zeros((478, 3), np.float32)
    points[:, :2] = (56, 72)
    for at, place in PLACES.items():
        points[at, :2] = place
    laid = cv2.getRotationMatrix2D((56, 72), -turn_deg, scale)
    points[:, :2] = points[:, :2] @ laid[:, :2].T + laid[:, 2] + move
    return points


def test_a_similarity_that_was_made_is_found() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 100, (5, 2))
    made = np.array([[0.6, -0.8, 7.0], [0.8, 0.6, -3.0]]) * [[1.7, 1.7, 1], [1.7, 1.7, 1]]
    assert similarity(points, points @ made[:, :2].T + made[:, 2]) == pytest.approx(made)


def test_a_turned_and_larger_face_is_laid_as_an_upright_one() -> None:
    rng = np.random.default_rng(1)
    face = cv2.resize(rng.integers(0, 255, (12, 12, 3), np.uint8), (256, 256), interpolation=cv2.INTER_CUBIC)
    upright = aligned(face, mesh(scale=1.5, move=(60, 40)))
    turned = cv2.warpAffine(face, cv2.getRotationMatrix2D((116, 112), -20, 1), (256, 256), flags=cv2.INTER_CUBIC)
    again = aligned(turned, mesh(turn_deg=20, scale=1.5, move=(60, 40)))
    middle = np.s_[20:90, 20:90]
    assert np.abs(upright[middle].astype(float) - again[middle]).mean() < 3


class Told:
    """In place of a session: remembers what it was given, and answers with fixed numbers."""

    def __init__(self, *answer: float) -> None:
        self.answer = np.array([answer], np.float32)
        self.given = np.zeros(0)

    def run(self, _names: object, feeds: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        (self.given,) = feeds.values()
        return [self.answer]


def test_arcface_is_given_rgb_from_minus_one_to_one_and_its_answer_made_of_unit_length() -> None:
    told = Told(3.0, 4.0)
    red = np.zeros((256, 256, 3), np.uint8)
    red[..., 0] = 255
    found = embedding_512(FaceNetwork(told, "x"), red, mesh(scale=1.5, move=(60, 40)))  # type: ignore[arg-type]
    assert found.tolist() == pytest.approx([0.6, 0.8])
    assert told.given.shape == (1, 3, ARCFACE_PX, ARCFACE_PX)
    assert told.given[0, :, 56, 56].tolist() == pytest.approx([1, -1, -1])


def test_genderage_is_given_levels_around_the_face_and_read_as_its_authors_do() -> None:
    told = Told(0.2, 1.2, 0.415)
    face = np.zeros((256, 256, 3), np.uint8)
    points = np.zeros((478, 3), np.float32)
    points[:, :2] = (128, 128)
    points[10, 1], points[152, 1] = 68, 188  # 120 px high: 180 px are seen, from 38 to 218
    face[:, 128:] = 200
    age, male = age_and_gender(FaceNetwork(told, "data"), face, points)  # type: ignore[arg-type]
    assert age == pytest.approx(41.5)
    assert male == pytest.approx(1 / (1 + np.exp(-1.0)))
    assert told.given.shape == (1, 3, GENDERAGE_PX, GENDERAGE_PX)
    assert told.given[0, 0, 48, [10, 46, 49, 90]].tolist() == [0, 0, 200, 200]


def test_a_network_of_other_shapes_is_refused(tmp_path: Path) -> None:
    put_onnx(tmp_path / "genderage.onnx", 96, 3, 1_322_532)
    with pytest.raises(VividHeadError, match="has a network of other shapes .*\n?.*fetch buffalo_l"):
        face_network(tmp_path / "genderage.onnx", ARCFACE_PX, 512)


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w600k_r50.onnx").write_bytes(b"no network" * 10)
    with pytest.raises(VividHeadError, match="cannot be read as an ONNX network"):
        face_network(tmp_path / "w600k_r50.onnx", ARCFACE_PX, 512)
