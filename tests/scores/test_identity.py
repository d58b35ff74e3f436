from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead.score import Unmeasurable, loaded_score
from vividhead.scores.identity import Identity
from vividhead.testing.media import ArrayClipMedia

BOX = np.array([[20, 20, 44, 44]], np.float32)


class ShadeNetwork:
    """In place of dlib's: the embedding's first number is the picture's shade / 100."""

    def __init__(self) -> None:
        self.calls = 0

    def compute_face_descriptor(self, face_HWC: NDArray[np.uint8], _corners: object) -> list[float]:
        self.calls += 1
        return [face_HWC[0, 0, 0] / 100, *[0.0] * 127]


@pytest.fixture
def identity(monkeypatch: pytest.MonkeyPatch) -> Identity:
    score = loaded_score("identity")
    monkeypatch.setattr(score, "_network", ShadeNetwork())
    monkeypatch.setattr(score, "_latest", None)
    return score


def shades(*of_seconds: int) -> ArrayClipMedia:
    pictures = np.repeat(np.array(of_seconds, np.uint8), 25)[:, None, None, None]
    return ArrayClipMedia(np.broadcast_to(pictures, (len(pictures), 64, 64, 3)), box_xyxy_px_T4=BOX)


def test_the_farthest_sample_counts_from_the_medoid(identity: Identity) -> None:
    got = identity.measure(shades(50, 60, 55, 20))  # the medoid is 50 or 55
    assert got["worst_similarity_to_medoid"] == pytest.approx(1 - 0.3)


def test_drift_is_between_the_means_of_the_first_and_the_last_three(identity: Identity) -> None:
    got = identity.measure(shades(10, 20, 30, 90, 40, 50, 60))
    assert got["drift_start_to_end"] == pytest.approx(0.3)


def test_a_short_clip_halves_its_samples_for_the_drift(identity: Identity) -> None:
    assert identity.measure(shades(10, 90, 40))["drift_start_to_end"] == pytest.approx(0.3)


def test_one_sample_has_nothing_to_compare(identity: Identity) -> None:
    with pytest.raises(Unmeasurable) as why:
        identity.measure(shades(10))
    assert why.value.code == "too_few_samples"


def test_the_mean_embedding_is_kept_without_running_the_network_again(identity: Identity) -> None:
    clip = shades(10, 20, 60)
    identity.measure(clip)
    kept = identity.keep(clip)["mean_embedding"]
    assert kept.shape == (128,)
    assert kept.dtype == np.float32
    assert kept[0] == pytest.approx(0.3)
    assert identity._network.calls == 3


def test_another_clip_s_embedding_is_not_kept_for_this_one(identity: Identity) -> None:
    identity.measure(shades(10, 20))
    pictures = np.full((50, 64, 64, 3), 90, np.uint8)
    other = ArrayClipMedia(pictures, box_xyxy_px_T4=BOX, clip_id="another")
    assert identity.keep(other)["mean_embedding"][0] == pytest.approx(0.9)


def test_the_fingerprint_names_the_weights() -> None:
    name, digest = loaded_score("identity").fingerprint.split("/")
    assert name == "dlib-resnet-v1"
    assert len(bytes.fromhex(digest)) == 8


def test_one_face_moved_and_dimmed_stays_one_person(
    astronaut: NDArray[np.uint8], astronaut_box: NDArray[np.float32]
) -> None:
    pictures = np.stack([astronaut] * 25 + [(astronaut * 0.7).astype(np.uint8)] * 25)
    got = loaded_score("identity").measure(ArrayClipMedia(pictures, box_xyxy_px_T4=astronaut_box))
    assert got["worst_similarity_to_medoid"] > 0.8


def test_a_cut_from_one_talker_to_another_is_two_people(footage: Callable[..., NDArray[np.uint8]]) -> None:
    two, one = (
        loaded_score("identity").measure(ArrayClipMedia(footage("two_speakers_hardcut", start, start + 50)))
        for start in (75, 25)
    )
    assert one["worst_similarity_to_medoid"] > 0.4 > two["worst_similarity_to_medoid"]
    assert two["drift_start_to_end"] > 0.6 > one["drift_start_to_end"]
