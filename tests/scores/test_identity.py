from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead.score import Unknown, Unmeasurable, loaded_score
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
    return shown(np.repeat(of_seconds, 25).tolist())


def shown(of_frames: list[int]) -> ArrayClipMedia:
    pictures = np.array(of_frames, np.uint8)[:, None, None, None]
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


def test_the_two_least_alike_samples_count_as_a_pair(identity: Identity) -> None:
    assert identity.measure(shades(50, 60, 55, 20))["worst_pair_similarity"] == pytest.approx(1 - 0.4)


def test_the_largest_step_is_between_means_of_two(identity: Identity) -> None:
    got = identity.measure(shades(10, 12, 40, 42, 41))
    assert got["largest_step"] == pytest.approx(0.3)
    assert got["switch_at_s"] == Unknown("no_switch")


@pytest.mark.parametrize("frame", [30, 49, 62, 70, 88])
def test_a_switch_is_found_within_a_tenth_of_a_second_by_four_looks_more(identity: Identity, frame: int) -> None:
    clip = shown([10] * frame + [90] * (125 - frame))
    got = identity.measure(clip)
    assert got["largest_step"] == pytest.approx(0.8)
    assert got["switch_at_s"] == pytest.approx(frame / 25, abs=0.1)
    assert identity._network.calls <= 5 + 4


@pytest.mark.parametrize("length", [13, 25, 50])
def test_of_a_cross_fade_the_middle_is_the_moment(identity: Identity, length: int) -> None:
    faded = np.clip((np.arange(150) - 80) / length + 0.5, 0, 1) * 80 + 10
    got = identity.measure(shown(faded.round().astype(int).tolist()))
    assert got["switch_at_s"] == pytest.approx(80 / 25, abs=0.25)


def test_a_minute_s_drift_is_the_slope_of_its_samples(identity: Identity) -> None:
    steady = identity.measure(shades(*range(10, 70, 2)))  # 0.02 a second
    assert steady["drift_per_minute"] == pytest.approx(1.2, abs=0.01)
    assert steady["switch_at_s"] == Unknown("no_switch")


def test_scatter_alone_is_hardly_any_drift(identity: Identity) -> None:
    scattered = 100 + np.random.default_rng(3).normal(0, 10, (20, 12))
    rates = [identity.measure(shades(*row.round().astype(int).tolist()))["drift_per_minute"] for row in scattered]
    # The slope of twelve samples that scatter by 0.1 scatters by 0.5 a minute.
    assert np.sqrt(np.mean(np.square(rates))) < 0.5


def test_a_short_clip_has_no_rate(identity: Identity) -> None:
    assert identity.measure(shades(10, 20, 30))["drift_per_minute"] == Unknown("too_short")


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
    assert two["largest_step"] > 0.5 > one["largest_step"]
    assert two["switch_at_s"] == pytest.approx(1.0, abs=0.5)  # 100 of the file, by its label
    assert one["switch_at_s"] == Unknown("no_switch")
