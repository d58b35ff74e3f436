"""SyncNet, its coefficients of sound and its distances: the reference's own numbers."""

import json

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from tests.parity import Parity
from vividhead.backends.mfcc import mfcc
from vividhead.backends.syncnet import (
    FACE_PX,
    WIDTH,
    LipReader,
    SyncNet,
    face_of,
    fit,
    flat_lips,
    lips_of,
    sound_points_ND,
)


@pytest.fixture(scope="module")
def expected(parity: Parity) -> dict[str, Tensor]:
    return parity.outputs("syncnet")


@pytest.fixture(scope="module")
def network(parity: Parity) -> SyncNet:
    made = SyncNet().eval()
    parity.fill_module(made)
    return made


@pytest.fixture(scope="module")
def pcm_S(parity: Parity) -> np.ndarray:
    wave_S = parity.noise("syncnet.wave", (32000,)).cumsum(0)
    return ((wave_S - wave_S.mean()) / wave_S.abs().max() * 20000).round().to(torch.int16).numpy()


def test_every_tensor_of_the_published_file_has_its_place(parity: Parity) -> None:
    published = json.loads((parity.folder / "keys_syncnet.json").read_text(encoding="utf-8"))
    assert {name: list(tensor.shape) for name, tensor in SyncNet().state_dict().items()} == published


def test_the_coefficients_of_sound_are_the_references(pcm_S: np.ndarray, expected: dict[str, Tensor]) -> None:
    np.testing.assert_allclose(mfcc(pcm_S), expected["mfcc"].numpy(), rtol=1e-4, atol=2e-4)


def test_both_branches_and_the_measures_are_the_references(
    parity: Parity, network: SyncNet, pcm_S: np.ndarray, expected: dict[str, Tensor]
) -> None:
    small = parity.noise("syncnet.face", (40, 14, 14, 3), 60).add(120).clamp(0, 255).round()
    faces = interpolate(small.permute(0, 3, 1, 2), (FACE_PX, FACE_PX), mode="bilinear", align_corners=False).round()
    reader = LipReader(network)
    for face_CHW in faces:
        reader.add(face_CHW.permute(1, 2, 0).to(torch.uint8).numpy())
    lips_ND = reader.points_ND()
    sounds_ND = sound_points_ND(network, np.asarray(pcm_S / 32768, np.float32))
    assert lips_ND.shape == (35, WIDTH)
    for found_ND, name in ((lips_ND, "lip"), (sounds_ND[:35], "audio")):
        scale = float(expected[name].std())
        np.testing.assert_allclose(found_ND[::5], expected[name].numpy(), rtol=0, atol=2e-4 * scale)
    found = fit(lips_ND, sounds_ND)
    np.testing.assert_allclose(found.mean_distance_K, expected["mean_distance"].numpy(), rtol=1e-5)
    assert found.offset_frames == int(expected["offset"])
    assert found.lse_d == pytest.approx(float(expected["min_distance"]), rel=1e-5)
    assert found.lse_c == pytest.approx(float(expected["confidence"]), abs=2e-3)


def test_sound_that_is_three_frames_late_is_found_with_the_references_numbers(
    parity: Parity, expected: dict[str, Tensor]
) -> None:
    lips = parity.noise("syncnet.embedding", (80, WIDTH))
    late = lips.roll(3, 0) + 0.3 * parity.noise("syncnet.jitter", (80, WIDTH))
    found = fit(lips.numpy(), late.numpy())
    np.testing.assert_allclose(found.mean_distance_K, expected["shifted_mean_distance"].numpy(), rtol=1e-5)
    assert found.offset_frames == int(expected["shifted_offset"]) == -3
    assert found.lse_d == pytest.approx(float(expected["shifted_min_distance"]), rel=1e-5)
    assert found.lse_c == pytest.approx(float(expected["shifted_confidence"]), rel=1e-5)


def test_flattened_lips_give_the_points_of_the_deep_ones(parity: Parity, network: SyncNet) -> None:
    faces_BCTHW = parity.noise("flat.faces", (2, 3, 5, FACE_PX, FACE_PX), 60).add(120).clamp(0, 255).round()
    with torch.inference_mode():
        deep, flat = network.lips(faces_BCTHW), flat_lips(network)(faces_BCTHW.flatten(1, 2))
    np.testing.assert_allclose(flat.numpy(), deep.numpy(), rtol=0, atol=1e-5 * float(deep.std()))


def test_one_window_in_five_frames_gives_the_same_points_there_and_none_elsewhere(network: SyncNet) -> None:
    faces = np.random.default_rng(0).integers(0, 255, (17, FACE_PX, FACE_PX, 3), np.uint8)
    readers = LipReader(network), LipReader(network, every=5)
    for face_HWC in faces:
        for reader in readers:
            reader.add(face_HWC)
    whole_ND, sampled_ND = (reader.points_ND() for reader in readers)
    assert np.flatnonzero(np.isfinite(sampled_ND[:, 0])).tolist() == [0, 5, 10]
    np.testing.assert_array_equal(sampled_ND[::5], whole_ND[::5])


def test_onnx_runtime_gives_the_points_of_torch(network: SyncNet) -> None:
    faces = np.random.default_rng(0).integers(0, 255, (2, 5, FACE_PX, FACE_PX, 3), np.uint8)
    with torch.inference_mode():
        expected = network.lips(torch.from_numpy(faces).permute(0, 4, 1, 2, 3).float()).numpy()
    np.testing.assert_allclose(lips_of(network)(faces), expected, rtol=0, atol=1e-5 * float(expected.std()))


def test_windows_without_a_face_count_for_nothing() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(60, WIDTH)).astype(np.float32)
    gaps = points.copy()
    gaps[20:30] = np.nan
    assert fit(gaps, points).offset_frames == 0
    assert fit(gaps, points).lse_d == pytest.approx(0, abs=1e-3)


def test_a_missing_face_leaves_the_five_windows_that_hold_it_unknown() -> None:
    torch.manual_seed(0)
    reader = LipReader(SyncNet().eval())
    for frame in range(12):
        reader.add(None if frame == 6 else np.full((FACE_PX, FACE_PX, 3), frame, np.uint8))
    unknown = np.isnan(reader.points_ND()).all(1)
    assert unknown.tolist() == [False, False, True, True, True, True, True]


def test_the_view_is_what_the_reference_cuts_around_a_box() -> None:
    rows, columns = np.mgrid[:252, :252].astype(np.uint8)
    crop_HWC = np.stack([columns, rows, np.full_like(rows, 200)], 2)
    view_HWC = face_of(crop_HWC, crop_scale=1.8)
    # The box is 140 px wide, from 56 to 196: seen are columns 28 … 224, and rows from its top 56 down to 252.
    assert view_HWC[0, 0].tolist() == [200, 56, 28]
    assert view_HWC[-1, -1].tolist() == [200, 251, 223]
