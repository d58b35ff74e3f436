"""Rotary positions: against complex numbers, and their defining property."""

import torch

from vividhead.flashhead.model.rope import axis_widths, rope_tables, rotated


def test_widths_of_the_axes() -> None:
    assert axis_widths(128) == (44, 42, 42)
    assert sum(axis_widths(64)) == 64


def test_rotation_is_a_complex_product() -> None:
    x = torch.randn(1, 24, 2, 24, dtype=torch.float64)
    tables = rope_tables((2, 3, 4), 24, torch.float64)
    turns = torch.polar(torch.ones(24, 12, dtype=torch.float64), torch.atan2(tables[1], tables[0]))
    wanted = torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2))) * turns[:, None]).flatten(-2)
    assert torch.allclose(rotated(x, tables), wanted)


def test_products_depend_on_the_distance_alone() -> None:
    tables = rope_tables((6, 1, 1), 128, torch.float64)
    q, k = torch.randn(128, dtype=torch.float64), torch.randn(128, dtype=torch.float64)
    turned_q = rotated(q.expand(1, 6, 1, -1), tables)[0, :, 0]
    turned_k = rotated(k.expand(1, 6, 1, -1), tables)[0, :, 0]
    products = turned_q @ turned_k.T
    for distance in range(-5, 6):
        along = products.diagonal(distance)
        assert torch.allclose(along, along[:1].expand_as(along))
    assert not torch.allclose(products[0, 0], products[0, 1])


def test_the_type_of_the_tokens_stays() -> None:
    x = torch.randn(1, 4, 1, 24, dtype=torch.bfloat16)
    assert rotated(x, rope_tables((1, 2, 2), 24, torch.float64)).dtype == torch.bfloat16
