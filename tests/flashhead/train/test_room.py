"""What cannot fit into a GPU is refused before anything is read, and what would fit is said."""

from dataclasses import replace

import pytest
import torch

from vividhead.errors import UsageError
from vividhead.flashhead.config import FlashHeadConfig, load_config
from vividhead.flashhead.train.room import need_of, room_for

GB = 10**9
CUDA = torch.device("cuda", 0)


def lite(batch: int = 8, recompute: bool = False) -> FlashHeadConfig:
    config = load_config("lite")
    return replace(
        config,
        stage1=replace(config.stage1, batch=batch),
        stage2=replace(config.stage2, batch=batch),
        loop=replace(config.loop, recompute_blocks=recompute),
    )


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    total = int(request.param * GB)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (total, total))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")


def test_networks_need_what_the_notes_say() -> None:
    """16 bytes for each of both that learn, and the rest: 55 + 3 + 6 GB of Lite, section 2.4, with float32 teachers."""
    need = need_of(lite(), 2, recomputes=False)
    assert need.networks == pytest.approx((2 * 18 + 4) * 1.527 * GB, rel=1e-3)
    assert need.on_each == pytest.approx(6 * 1.527 * GB, rel=1e-3), "the teacher is not spread"
    assert need.networks + need.on_each == pytest.approx(64 * GB, rel=0.15)


def test_recomputing_keeps_less_of_a_window() -> None:
    kept, recomputed = (need_of(lite(), 1, recomputes=r).window for r in (False, True))
    assert 2 * GB < kept < 6 * GB
    assert recomputed < kept / 8


@pytest.mark.parametrize("gpu", [24.0], indirect=True)
def test_nothing_is_refused_on_a_cpu_nor_what_fits(gpu: None) -> None:
    room_for(lite(batch=4096), 1, torch.device("cpu"))
    room_for(load_config("nano"), 1, CUDA)
    room_for(load_config("nano"), 2, CUDA)


def fits(config: FlashHeadConfig, stage: int, there: float, parts: int = 1) -> bool:
    batch = (config.stage1 if stage == 1 else config.stage2).batch
    need = need_of(config, stage, recomputes=config.loop.recompute_blocks)
    return need.bytes_on_a_gpu(batch, parts) <= there * GB


@pytest.mark.parametrize("gpu", [80.0], indirect=True)
def test_a_batch_that_is_too_large_is_told_what_would_fit(gpu: None) -> None:
    with pytest.raises(UsageError, match="needs at least .* batch of 32, and a GPU has 80 GB") as told:
        room_for(lite(batch=32), 1, CUDA)
    text = str(told.value)
    smaller = int(text.split("stage1.batch = ")[1].split(",")[0])
    assert fits(lite(smaller), 1, 80) and not fits(lite(smaller + 1), 1, 80)
    assert "loop.recompute_blocks = true" in text and fits(lite(32, recompute=True), 1, 80)
    assert "--shard" not in text  # a window more than 80 GB is no matter of the networks
    room_for(lite(smaller), 1, CUDA)


@pytest.mark.parametrize("gpu", [40.0], indirect=True)
def test_networks_that_are_too_large_are_told_over_how_many_gpus_they_fit(gpu: None) -> None:
    with pytest.raises(UsageError, match="stage 2 of lite needs at least") as told:
        room_for(lite(batch=1), 2, CUDA)
    parts = int(str(told.value).split("--shard with ")[1].split()[0])
    assert fits(lite(1), 2, 40, parts) and not fits(lite(1), 2, 40, parts - 1)
    room_for(lite(batch=1), 2, CUDA, parts=parts)


@pytest.mark.parametrize("gpu", [8.0], indirect=True)
def test_where_no_single_change_helps_several_are_named(gpu: None) -> None:
    with pytest.raises(UsageError) as told:
        room_for(lite(batch=64), 1, CUDA)
    text = str(told.value)
    assert "loop.recompute_blocks = true with stage1.batch = 1 and --shard with " in text
    assert fits(lite(1, recompute=True), 1, 8, int(text.split("--shard with ")[1].split()[0]))


@pytest.mark.parametrize("gpu", [0.05], indirect=True)
def test_where_nothing_helps_a_smaller_model_is_named(gpu: None) -> None:
    with pytest.raises(UsageError, match="What would fit: a smaller --config$"):
        room_for(lite(batch=1), 1, CUDA)
