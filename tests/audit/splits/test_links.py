"""Likeness between clips: found where it is, not found where it is not."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead.audit.splits.links import audio_links, components, embedding_links, same_links, video_links
from vividhead.audit.splits.prints import SIDE_PX, Print, picture_prints, sound_prints
from vividhead.records import SAMPLE_RATE_HZ

NOTHING = np.zeros((0, 4), np.uint64), np.zeros(0, np.uint32), np.zeros(0, np.bool_)


def film(seed: int, n_pictures: int = 6) -> NDArray[np.uint8]:
    """Pictures with large and small structure that change slowly, as those of one scene do."""
    rng = np.random.default_rng(seed)
    base = [rng.normal(0, 1, (n, n)) for n in (4, 8, 16)]
    out = []
    for _ in range(n_pictures):
        layers = [cv2.resize(layer + rng.normal(0, 0.05, layer.shape), (256, 256)) for layer in base]
        grey_HW = 128 + 30 * np.asarray(layers).sum(axis=0)
        out.append(np.repeat(np.clip(grey_HW, 0, 255).astype(np.uint8)[..., None], 3, axis=2))
    return np.stack(out)


def encoded_anew(pictures_PHWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Smaller, brighter, less contrast, JPEG at low quality."""
    out = []
    for picture_HWC in pictures_PHWC:
        small = cv2.resize(picture_HWC, (160, 160), interpolation=cv2.INTER_AREA)
        dim = np.clip(small * 0.8 + 30, 0, 255).astype(np.uint8)
        _, jpeg = cv2.imencode(".jpg", dim, [cv2.IMWRITE_JPEG_QUALITY, 25])
        out.append(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))
    return np.stack(out)


def pictures_of(pictures_PHWC: NDArray[np.uint8]) -> Print:
    small = np.stack([cv2.resize(p, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA) for p in pictures_PHWC])
    return Print(picture_prints(small), *NOTHING[1:])


def sound_of(audio_S: NDArray[np.float32]) -> Print:
    return Print(NOTHING[0], *sound_prints(audio_S))


def noise_song(seed: int, seconds: float) -> NDArray[np.float32]:
    """Notes of changing pitch and loudness: sound with structure, without a voice."""
    rng = np.random.default_rng(seed)
    at_S = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    parts = []
    for _ in range(12):
        wander = np.interp(
            at_S, np.arange(0, seconds + 1, 0.15), rng.uniform(300, 2800, len(np.arange(0, seconds + 1, 0.15)))
        )
        swell = np.interp(at_S, np.arange(0, seconds + 1, 0.2), rng.uniform(0, 1, len(np.arange(0, seconds + 1, 0.2))))
        parts.append(swell * np.sin(2 * np.pi * np.cumsum(wander) / SAMPLE_RATE_HZ))
    return (np.sum(parts, axis=0) / 12).astype(np.float32)


def pairs(links: object) -> list[tuple[int, int]]:
    return [(link.a, link.b) for link in links]  # type: ignore[attr-defined]


def test_the_same_film_encoded_anew_is_found_among_others() -> None:
    first = film(0)
    prints = [pictures_of(first), *(pictures_of(film(seed)) for seed in range(1, 12)), pictures_of(encoded_anew(first))]
    assert pairs(video_links(prints, np.arange(13))) == [(0, 12)]


def test_clips_of_one_source_need_no_link() -> None:
    first = film(0)
    prints = [pictures_of(first), pictures_of(encoded_anew(first))]
    assert pairs(video_links(prints, np.zeros(2, np.int64))) == []


def test_the_same_sound_is_found_at_another_time_and_loudness_with_noise() -> None:
    song_S = noise_song(0, 8)
    rng = np.random.default_rng(1)
    later_S = 0.3 * song_S[int(2.345 * SAMPLE_RATE_HZ) :] + rng.normal(
        0, 0.002, len(song_S) - int(2.345 * SAMPLE_RATE_HZ)
    )
    prints = [
        sound_of(song_S),
        *(sound_of(noise_song(seed, 8)) for seed in range(1, 8)),
        sound_of(later_S.astype(np.float32)),
    ]
    (link,) = audio_links(prints, np.arange(9))
    assert (link.a, link.b) == (0, 8) and link.distance < 0.3


def test_silence_is_not_alike() -> None:
    rng = np.random.default_rng(0)
    quiet = [
        np.concatenate([noise_song(s, 1), rng.normal(0, 1e-6, 5 * SAMPLE_RATE_HZ)]).astype(np.float32) for s in (1, 2)
    ]
    assert pairs(audio_links([sound_of(q) for q in quiet], np.arange(2))) == []


def test_sound_too_short_to_tell_has_no_prints() -> None:
    bits, heard = sound_prints(np.zeros(1000, np.float32))
    assert len(bits) == len(heard) == 0


def test_faces_are_joined_up_to_the_distance_and_no_further() -> None:
    vectors = {0: np.zeros(128), 1: np.full(128, 0.04), 2: np.full(128, 0.2), 3: np.zeros(128)}
    source_N = np.array([0, 1, 2, 0])
    (link,) = embedding_links("face", vectors, source_N, 0.5)
    assert (link.a, link.b) == (0, 1)
    assert link.distance == pytest.approx(0.04 * np.sqrt(128))


def test_a_face_is_joined_by_its_nearest_clips_also_where_those_that_stand_for_them_are_further_apart() -> None:
    places = {0: 0.0, 1: 0.04, 2: 0.58, 3: 0.54}
    vectors = {row: np.eye(128)[0] * at for row, at in places.items()}
    (link,) = embedding_links("face", vectors, np.array([0, 0, 1, 1]), 0.5)
    assert (link.a, link.b) == (1, 3) and link.distance == pytest.approx(0.5)


def test_equal_attributes_chain_their_sources_and_missing_ones_do_not() -> None:
    links = list(same_links("speaker", ["Ada", "Ada", None, "", "Ada", None], np.array([0, 0, 1, 2, 3, 4])))
    assert [(link.a, link.b) for link in links] == [(0, 4)]


def test_components_are_closed_under_links() -> None:
    assert components(6, [(0, 3), (4, 3), (1, 2)]) == [0, 1, 1, 0, 0, 5]
