"""Light-ASD: the published network's logits, with its own published weights where they are at hand."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.parity import Parity
from vividhead.backends.light_asd import PIECE_FRAMES, VIEW_PX, LightAsd, logits_T2, view_of
from vividhead.backends.weights_file import loaded


@pytest.fixture(scope="module")
def network(shared: Path) -> LightAsd:
    path = shared / "weights" / "light_asd_talkset.model"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return loaded(LightAsd, path, "cpu")


def test_every_tensor_of_the_published_file_has_its_place(parity: Parity) -> None:
    published = json.loads((parity.folder / "keys_light_asd.json").read_text(encoding="utf-8"))
    assert {name: list(tensor.shape) for name, tensor in LightAsd().state_dict().items()} == published


@pytest.mark.parametrize("who", ["talking", "silent"])
def test_the_logits_of_a_real_face_are_the_references(parity: Parity, network: LightAsd, who: str) -> None:
    expected: dict[str, Tensor] = parity.outputs("light_asd")
    faces, mfcc = (expected[f"{who}_{part}"].float()[None] for part in ("faces", "mfcc"))
    with torch.inference_mode():
        found = network(faces, mfcc)[0]
    scale = float(expected[f"{who}_logits"].std())
    np.testing.assert_allclose(found.numpy(), expected[f"{who}_logits"].numpy(), rtol=0, atol=2e-5 * scale)


def test_a_long_talk_is_read_in_pieces_and_every_frame_is_read(network: LightAsd) -> None:
    n_frames = PIECE_FRAMES * 2 + 7
    face_HW = np.full((VIEW_PX, VIEW_PX), 90, np.uint8)
    taken: list[int] = []

    def views():  # type: ignore[no-untyped-def]
        for frame in range(n_frames):
            taken.append(frame)
            yield face_HW

    network_of_means = torch.nn.Module()
    network_of_means.register_parameter("here", torch.nn.Parameter(torch.zeros(1)))
    network_of_means.forward = lambda faces, sound: torch.stack(  # type: ignore[method-assign, assignment]
        [faces.mean((2, 3)), sound.reshape(1, faces.shape[1], -1).shape[1] + faces.mean((2, 3)) * 0], -1
    )
    found_T2 = logits_T2(network_of_means, views(), np.zeros(n_frames * 640, np.float32))  # type: ignore[arg-type]
    assert found_T2.shape == (n_frames, 2)
    assert len(taken) == n_frames
    assert set(found_T2[:, 0]) == {90.0}


def test_the_view_is_the_middle_of_the_reference_crop() -> None:
    rows, columns = np.mgrid[:252, :252].astype(np.uint8)
    view_HW = view_of(np.stack([rows] * 3, 2), crop_scale=1.8)
    # The box is 140 px high, from 56 to 196. Seen is 98 px around (126, 154): 0.4 of its half below its middle.
    assert view_HW.shape == (VIEW_PX, VIEW_PX)
    assert view_HW[0, 0] == pytest.approx(154 - 49, abs=1)
    assert view_HW[-1, -1] == pytest.approx(154 + 49, abs=1)
