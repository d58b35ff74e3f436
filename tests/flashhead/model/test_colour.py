"""Colour matching against the published model's numbers, and its known truths."""

import torch

from tests.flashhead.conftest import Parity
from vividhead.flashhead.model.colour import _matrices, lab_of, matched, moments, reference_moments, rgb_of


def test_colours_are_matched_as_the_published_model_does_alone_and_in_a_batch(parity: Parity) -> None:
    source = parity.noise("colour.source", (1, 3, 3, 16, 16), 0.4).clamp(-1, 1)
    reference = reference_moments(parity.noise("colour.reference", (1, 3, 1, 16, 16), 0.25).clamp(-1, 1))
    for name, strength in (("corrected_f32", 1.0), ("corrected_half_strength_f32", 0.5)):
        wanted = parity.outputs("colour")[name]
        assert (matched(source, reference, strength) - wanted).abs().max() <= 2e-4 * wanted.std()
        batch = torch.cat((source.flip(-1) / 2, source))
        references = (torch.cat((moment + 0.1, moment)) for moment in reference)
        assert (matched(batch, tuple(references), strength)[1:] - wanted).abs().max() <= 2e-4 * wanted.std()


def test_lab_of_known_colours() -> None:
    rgb = torch.tensor([[1.0, 1, 1], [0, 0, 0], [1, 0, 0], [0, 0, 1]])[..., None, None, None]
    lab = lab_of(rgb)[..., 0, 0, 0]
    wanted = torch.tensor([[100.0, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86]])
    assert (lab - wanted).abs().max() < 0.05


def test_lab_and_back_is_the_same_colour() -> None:
    rgb = torch.rand(2, 3, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    assert (rgb_of(lab_of(rgb)) - rgb).abs().max() < 1e-4


def test_a_tinted_stream_gets_the_portraits_moments_back() -> None:
    portrait = torch.rand(1, 3, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.8 - 0.4
    tinted = portrait.expand(-1, -1, 3, -1, -1) * 0.7 + torch.tensor([0.1, 0.0, -0.1])[None, :, None, None, None]
    goal = reference_moments(portrait)
    found = moments(lab_of((matched(tinted, goal, 1.0) + 1) / 2))
    for ours, wanted in zip(found, goal, strict=True):
        assert (ours - wanted).abs().max() < 0.5


def test_strength_zero_changes_nothing_and_a_flat_picture_makes_no_nan() -> None:
    video = torch.rand(1, 3, 2, 4, 4) * 2 - 1
    goal = reference_moments(torch.zeros(1, 3, 1, 4, 4))
    assert torch.allclose(matched(video, goal, 0.0), video, atol=1e-6)
    assert matched(torch.full((1, 3, 1, 4, 4), 0.3), goal, 1.0).isfinite().all()


def test_what_was_kept_in_inference_mode_does_no_harm_in_training() -> None:
    _matrices.cache_clear()
    with torch.inference_mode():
        reference = reference_moments(torch.rand(1, 3, 1, 4, 4))
    video = torch.rand(1, 3, 2, 4, 4, requires_grad=True)
    drawn = matched(video, (reference[0].clone(), reference[1].clone()), 1.0)
    drawn.sum().backward()
    assert video.grad is not None
