"""ArcFace's score through the real loading code, on a network of the true shapes, and with made-up answers."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.random_weights import put_random_onnx
from vividhead.backends import insightface
from vividhead.score import Unknown, Unmeasurable, score_class
from vividhead.scores.identity_arcface import IdentityArcface
from vividhead.testing.media import ArrayClipMedia

BOX = np.array([[20, 20, 44, 44]], np.float32)


@pytest.fixture(scope="module")
def arcface(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityArcface]:
    home = tmp_path_factory.mktemp("weights")
    put_random_onnx(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIVIDHEAD_WEIGHTS", str(home))
        yield score_class("identity_arcface")()  # type: ignore[misc]


class Meshed(ArrayClipMedia):
    """Pictures of one shade each; a mesh everywhere but at frames named."""

    def __init__(self, shades: list[int], without: tuple[int, ...] = ()) -> None:
        pictures = np.array(shades, np.uint8)[:, None, None, None]
        super().__init__(np.broadcast_to(pictures, (len(shades), 64, 64, 3)), box_xyxy_px_T4=BOX)
        self._without = without

    @property
    def landmarks_TNC(self) -> NDArray[np.float32]:  # type: ignore[override]
        mesh_TNC = np.random.default_rng(0).uniform(80, 180, (self.clip.n_frames, 478, 3)).astype(np.float32)
        mesh_TNC[list(self._without)] = np.nan
        return mesh_TNC


@pytest.fixture
def by_shade(monkeypatch: pytest.MonkeyPatch) -> None:
    """An embedding that turns by a hundredth of a circle with each level of the picture's shade."""

    def embedding(_network: object, face_HWC: NDArray[np.uint8], _mesh: object) -> NDArray[np.float32]:
        angle = 2 * np.pi * float(face_HWC[0, 0, 0]) / 100
        return np.array([np.cos(angle), np.sin(angle), *[0.0] * 510], np.float32)

    monkeypatch.setattr(insightface, "embedding_512", embedding)


@pytest.mark.usefixtures("by_shade")
def test_similarity_is_the_cosine(arcface: IdentityArcface) -> None:
    got = arcface.measure(Meshed([0] * 50 + [10] * 25 + [0] * 25))
    assert got["worst_similarity_to_medoid"] == pytest.approx(np.cos(2 * np.pi * 0.1), abs=1e-5)
    assert got["switch_at_s"] == Unknown("no_switch")


@pytest.mark.usefixtures("by_shade")
def test_a_switch_is_found_where_it_is(arcface: IdentityArcface) -> None:
    got = arcface.measure(Meshed([0] * 57 + [25] * 68))
    assert got["worst_pair_similarity"] == pytest.approx(0, abs=1e-5)
    assert got["largest_step"] == pytest.approx(2**0.5, abs=1e-5)
    assert got["switch_at_s"] == pytest.approx(57 / 25, abs=0.1)


@pytest.mark.usefixtures("by_shade")
def test_frames_without_a_mesh_are_passed_over(arcface: IdentityArcface) -> None:
    without = Meshed([0] * 25 + [40] * 25 + [10] * 25, without=tuple(range(25, 50)))
    assert arcface.measure(without)["worst_pair_similarity"] == pytest.approx(np.cos(2 * np.pi * 0.1), abs=1e-5)
    with pytest.raises(Unmeasurable) as why:
        arcface.measure(Meshed([0] * 50, without=tuple(range(50))))
    assert why.value.code == "face_mesh_lost"


def test_a_real_network_s_mean_embedding_is_kept_of_unit_length(arcface: IdentityArcface) -> None:
    clip = Meshed([60] * 25 + [200] * 25)
    arcface.measure(clip)
    kept = arcface.keep(clip)["mean_embedding"]
    assert kept.shape == (512,) and kept.dtype == np.float32
    assert np.linalg.norm(kept) == pytest.approx(1, abs=1e-5)


def test_the_fingerprint_names_file_licence_and_mesh(arcface: IdentityArcface) -> None:
    assert arcface.fingerprint.startswith("w600k_r50.onnx/")
    assert "NON-COMMERCIAL use only" in arcface.fingerprint and "mediapipe" in arcface.fingerprint


def test_a_file_cut_short_is_refused_with_the_way_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_random_onnx(tmp_path)
    (tmp_path / "insightface/models/buffalo_l/w600k_r50.onnx").write_bytes(b"cut")
    monkeypatch.setenv("VIVIDHEAD_WEIGHTS", str(tmp_path))
    with pytest.raises(Exception, match="cut short.*\n.*fetch buffalo_l --accept-licence"):
        score_class("identity_arcface")()
