"""The face that speaks: found by the real models, its mouth where it was driven."""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from vividhead.faces import FaceDetector
from vividhead.testing import Actor, ArrayClipMedia, Look, Speech, Take, talking_head
from vividhead.testing.mouth import MOUTH_SHAPES, perform
from vividhead.testing.speech import Phoneme

Picture = NDArray[np.uint8]
EYE_CORNERS, INNER_LIPS = (33, 263), (13, 14)


@pytest.fixture(scope="module")
def landmarks_TNC(pictures: list[Picture]) -> NDArray[np.float32]:
    """What the real mesh sees in the take."""
    return ArrayClipMedia(lambda frame: pictures[frame], len(pictures)).landmarks_TNC


def distance_T(landmarks_TNC: NDArray[np.float32], pair: tuple[int, int]) -> NDArray[np.float32]:
    return np.linalg.norm(landmarks_TNC[:, pair[0], :2] - landmarks_TNC[:, pair[1], :2], axis=1)


def test_the_measured_mouth_follows_the_driven_one(take: Take, landmarks_TNC: NDArray[np.float32]) -> None:
    measured_T = distance_T(landmarks_TNC, INNER_LIPS) / distance_T(landmarks_TNC, EYE_CORNERS)
    driven_T = take.opening_T()
    assert np.corrcoef(measured_T, driven_T)[0, 1] > 0.9
    assert np.ptp(measured_T) == pytest.approx(np.ptp(driven_T), rel=0.35)


def test_the_mesh_never_loses_the_face(landmarks_TNC: NDArray[np.float32]) -> None:
    assert np.isfinite(landmarks_TNC).all()


def test_lips_meet_at_every_b_and_m(take: Take, sentence: Speech) -> None:
    opening_T = take.opening_T()
    closures = [p for p in sentence.phonemes if p.mnemonic in ("b", "m", "p") and 0.1 < p.end_s < 2.9]
    assert closures
    for phoneme in closures:
        first, last = int(phoneme.start_s * 25) - 2, int(phoneme.end_s * 25) + 1
        assert opening_T[max(first, 0) : last].min() < 0.25 * opening_T.max()


def test_the_face_is_as_large_as_asked(sentence: Speech) -> None:
    for face_px in (70.0, 185.0):
        take = talking_head(Actor(speech=sentence, face_px=face_px, nose_at=(0.5, 0.6)), duration_s=0.04)
        x0, y0, x1, y1 = FaceDetector(0.5).detect(next(take.frames()))[0].box
        assert y1 - y0 == pytest.approx(face_px, rel=0.25)
        assert x0 < 320 < x1


def test_every_actor_is_found(sentence: Speech) -> None:
    left = Actor(speech=sentence, face_px=150.0, nose_at=(0.28, 0.5))
    right = Actor(speech=None, face_px=150.0, nose_at=(0.72, 0.5), look=Look(mirrored=True, suit_hue_deg=120))
    take = talking_head(left, right, duration_s=0.04, size_px=(800, 480))
    assert len(FaceDetector(0.5).detect(next(take.frames()))) == 2


def test_a_silent_actor_keeps_her_mouth_shut_and_still_moves() -> None:
    take = talking_head(Actor(speech=None), duration_s=2.0)
    assert take.opening_T().max() == pytest.approx(0, abs=1e-4)
    assert np.ptp(take.performances[0].yaw_deg_T) > 0.5
    assert take.performances[0].shapes_T["blink"].max() > 0.5


def test_frames_differ_by_noise_alone_where_nothing_moves(take: Take, pictures: list[Picture]) -> None:
    corner = np.stack([picture[:40, :40] for picture in pictures[:20]]).astype(float)
    assert 1.0 < corner.std(axis=0).mean() < 3.0
    assert np.ptp(corner.mean(axis=(1, 2, 3))) < 0.5


def test_the_same_seed_gives_the_same_pictures_and_another_one_others(take: Take, sentence: Speech) -> None:
    def first_of(seed: int) -> Picture:
        return next(talking_head(Actor(speech=sentence), duration_s=0.2, seed=seed).frames())

    assert np.array_equal(first_of(7), first_of(7))
    assert not np.array_equal(first_of(7), first_of(8))
    assert np.array_equal(next(take.frames()), next(take.frames()))


def test_movement_depends_on_time_not_on_the_frame_rate(sentence: Speech) -> None:
    slow = perform(sentence, [frame / 25 for frame in range(50)], seed=1)
    quick = perform(sentence, [frame / 50 for frame in range(99)], seed=1)
    for name in MOUTH_SHAPES:
        assert quick.shapes_T[name][::2] == pytest.approx(slow.shapes_T[name], abs=1e-3)
    assert quick.yaw_deg_T[::2] == pytest.approx(slow.yaw_deg_T, abs=1e-6)


def test_unknown_phonemes_still_move_the_mouth(sentence: Speech) -> None:
    strange = tuple(Phoneme("¿", p.start_s, p.end_s) for p in sentence.phonemes)
    performance = perform(dataclasses.replace(sentence, phonemes=strange), [0.5, 1.0], seed=0)
    assert performance.shapes_T["jaw"].max() > 0.05
