import pytest
import torch

from vividhead.errors import VividHeadError
from vividhead.flashhead.model.codecs.block_basis import (
    WEIGHTED_YCC,
    BlockMoments,
    aligned,
    canonical,
    dct,
    prior_power,
)

FRAMES, SIDE = 2, 4
VALUES = 3 * FRAMES * SIDE**2


def patterns(count: int) -> torch.Tensor:
    """Orthonormal patterns of a block, (count, VALUES), float64."""
    noise = torch.randn(VALUES, count, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return torch.linalg.qr(noise)[0].T


def rgb(weighted_NP: torch.Tensor) -> torch.Tensor:
    """Blocks of weighted colours as the RGB blocks that have them."""
    blocks = weighted_NP.unflatten(1, (3, FRAMES, SIDE, SIDE))
    return torch.einsum("ij,njtyx->nityx", torch.linalg.inv(WEIGHTED_YCC), blocks)


def known_blocks(power: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Blocks whose principal components and their power are known exactly: the patterns, and their mean."""
    vectors = patterns(len(power))
    drawn = torch.randn(1000, len(power), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    drawn = torch.linalg.qr(drawn - drawn.mean(0))[0] * 1000**0.5  # no mean, and no correlation at all
    mean = 0.3 * torch.ones(VALUES, dtype=torch.float64)
    return rgb(drawn * power.sqrt() @ vectors + mean), mean


def test_dct_is_orthonormal_and_begins_with_the_mean() -> None:
    rows = dct(6)
    torch.testing.assert_close(rows @ rows.T, torch.eye(6, dtype=torch.float64))
    torch.testing.assert_close(rows[0], torch.full((6,), 6**-0.5, dtype=torch.float64))
    assert (rows[1].diff() < 0).all()


def test_components_are_those_the_blocks_were_made_of() -> None:
    power = torch.tensor([5.0, 3.0, 2.0, 1.0, 0.5, 0.25], dtype=torch.float64)
    blocks, mean = known_blocks(power)
    moments = BlockMoments(FRAMES, SIDE, 48, prior_blocks=0)  # 48 channels keep every frequency of such a block
    for part in blocks.split(300):
        moments.add(part)
    basis = moments.basis()
    torch.testing.assert_close(basis.vectors_CP[:6], canonical(patterns(6)))
    torch.testing.assert_close(basis.scale_C[:6], power.sqrt())
    torch.testing.assert_close(basis.mean_P, mean)
    torch.testing.assert_close(basis.vectors_CP @ basis.vectors_CP.T, torch.eye(48, dtype=torch.float64))
    assert moments.blocks == 1000


def test_latents_of_the_fitted_blocks_have_zero_mean_no_correlation_and_unit_power_on_average() -> None:
    blocks, _ = known_blocks(torch.tensor([5.0, 3.0, 0.01], dtype=torch.float64))
    moments = BlockMoments(FRAMES, SIDE, 48, prior_blocks=0)
    moments.add(blocks)
    matrix_CP, offset_C = moments.basis().analysis()
    every = blocks.flatten(1) @ matrix_CP.T + offset_C
    torch.testing.assert_close(every.square().mean().item(), 1.0, rtol=1e-4, atol=0)
    latents = every[:, :3]
    torch.testing.assert_close(latents.mean(0), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-9)
    powers = latents.T @ latents / 1000
    wanted = torch.tensor([5.0, 3.0, 0.01], dtype=torch.float64)
    torch.testing.assert_close(powers / powers[0, 0], torch.diag(wanted / 5.0), rtol=0, atol=1e-6)


def test_what_is_left_out_is_the_weak_components() -> None:
    """Weighted error of three of six components: the power of the other three."""
    power = torch.tensor([5.0, 3.0, 2.0, 0.3, 0.2, 0.1], dtype=torch.float64)
    blocks, _ = known_blocks(power)
    moments = BlockMoments(FRAMES, SIDE, 48, prior_blocks=0)
    moments.add(blocks)
    basis = moments.basis()
    (to_latents, offset_C), (to_blocks, offset_P) = basis.analysis(), basis.synthesis()
    latents = blocks.flatten(1) @ to_latents.T + offset_C
    latents[:, 3:] = 0
    error = (latents @ to_blocks.T + offset_P - blocks.flatten(1)).reshape(blocks.shape)
    weighted = torch.einsum("ij,njtyx->nityx", WEIGHTED_YCC, error)
    assert weighted.square().sum().item() / 1000 == pytest.approx(0.6)


def test_a_still_block_has_no_weak_component_blown_up() -> None:
    moments = BlockMoments(FRAMES, SIDE, 48, prior_blocks=0)
    moments.add(torch.full((10, 3, FRAMES, SIDE, SIDE), 0.5))
    matrix_CP, _ = moments.basis().analysis()
    rounding = torch.full((VALUES,), 1 / 255, dtype=torch.float64)
    assert (matrix_CP @ rounding).abs().max() < 40  # without a floor it would be beyond 1e6


def test_without_blocks_components_are_the_strongest_frequencies() -> None:
    basis = BlockMoments(FRAMES, SIDE, 5, prior_blocks=1).basis()
    side, time = dct(SIDE), dct(FRAMES)
    frequencies = [torch.einsum("t,y,x->tyx", time[0], side[y], side[x]) for y, x in ((0, 0), (0, 1), (1, 0))]
    luma = torch.zeros(3, 3, FRAMES, SIDE, SIDE, dtype=torch.float64)
    for row, frequency in enumerate(frequencies):
        luma[row, 0] = frequency
    likeness = (basis.vectors_CP @ luma.flatten(1).T).abs()
    torch.testing.assert_close(likeness[0], torch.tensor([1.0, 0, 0], dtype=torch.float64))
    torch.testing.assert_close(likeness.square().sum(0), torch.ones(3, dtype=torch.float64))
    assert (basis.scale_C.diff() <= 0).all()
    assert basis.mean_P.abs().max() == 0


def test_the_prior_holds_the_power_of_pictures_whatever_the_block() -> None:
    for frames, side in ((1, 16), (8, 16), (4, 8)):
        power = prior_power(frames, side)
        assert power.shape == (3, frames, side, side)
        assert power.sum().item() / (frames * side**2) == pytest.approx(0.217)
        assert power[0].argmax() == 0 and power[1].sum() < 0.1 * power[0].sum()


def test_signs_do_not_depend_on_the_solver() -> None:
    rows = patterns(4)
    assert torch.equal(canonical(-rows), canonical(rows))


def test_a_channel_means_the_same_in_the_first_latent_frame_as_in_later_ones() -> None:
    first = BlockMoments(1, SIDE, 12, prior_blocks=1).basis()
    later = BlockMoments(8, SIDE, 12, prior_blocks=1).basis()
    ordered = aligned(first, later)
    still_CP = later.vectors_CP.unflatten(1, (3, 8, -1)).mean(2).flatten(1)
    likeness = (still_CP * ordered.vectors_CP).sum(1) * 8**0.5
    moving = still_CP.norm(dim=1) < 1e-9  # components that only motion has; the first picture has others there
    assert 0 < moving.sum() < 6
    torch.testing.assert_close(likeness[~moving], torch.ones(int((~moving).sum()), dtype=torch.float64))
    assert sorted(ordered.scale_C.tolist()) == sorted(first.scale_C.tolist())
    torch.testing.assert_close(ordered.vectors_CP.norm(dim=1), torch.ones(12, dtype=torch.float64))


def test_more_channels_than_values_are_refused() -> None:
    with pytest.raises(VividHeadError, match="49 channels are more than the 48 values of a 4 px block"):
        BlockMoments(1, 4, 49, prior_blocks=1)


def test_nothing_to_fit_to_is_an_error() -> None:
    with pytest.raises(VividHeadError, match="no clip was given"):
        BlockMoments(FRAMES, SIDE, 4, prior_blocks=0).basis()
