"""Arithmetic is counted right, on shapes alone, and a device's rate is one that a device can have."""

import pytest
import torch

from vividhead.flashhead.config import load_config
from vividhead.flashhead.model import flops
from vividhead.flashhead.model.flops import counted_flops, forward_pass, matmul_flops_per_s, vendors_flops_per_s


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_counts_on_the_cpu_too(dtype: torch.dtype) -> None:
    q, kv = torch.randn(1, 2, 16, 8, dtype=dtype), torch.randn(1, 2, 5, 8, dtype=dtype)
    with torch.inference_mode():
        counted = counted_flops(lambda: torch.nn.functional.scaled_dot_product_attention(q, kv, kv))
    assert counted == 2 * (2 * 2 * 16 * 5 * 8)


def test_forward_passes_cost_what_the_notes_say() -> None:
    lite = forward_pass(load_config("lite"))
    assert lite.flops == pytest.approx(3.558e12, rel=1e-3)


def test_what_blocks_cost_is_the_sum_of_their_products() -> None:
    nano = load_config("nano")
    tokens, dim, ffn, layers = 5 * 8 * 8, 128, 512, 4
    assert (nano.dit.dim, nano.dit.ffn_dim, nano.dit.layers) == (dim, ffn, layers)
    linear = 2 * tokens * (6 * dim * dim + 2 * dim * ffn)  # q k v o, q o of the sound; up and down
    attention = 4 * tokens * tokens * dim + 4 * tokens * 32 * dim
    assert forward_pass(nano).blocks_flops == layers * (linear + attention)


def test_a_rate_is_one_that_a_device_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flops, "MATMUL_SIDE", {"cpu": 512})
    assert 1e8 < matmul_flops_per_s(torch.device("cpu"), torch.float32) < 1e14


def test_a_data_sheet_is_found_by_the_name_that_cuda_gives() -> None:
    assert vendors_flops_per_s("NVIDIA H200") == 989e12
    assert vendors_flops_per_s("NVIDIA L40S") == 362e12
    assert vendors_flops_per_s("NVIDIA GeForce GTX 1080") is None
