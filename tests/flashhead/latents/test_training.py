"""The training loop fed with cached latents."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.flashhead.train.tiny_runs import log, result
from vividhead.errors import DatasetError, UsageError
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.latents.identity import codec_digest, read_identity
from vividhead.flashhead.latents.maker import Made, make_latents
from vividhead.flashhead.latents.maker import Order as ToMake
from vividhead.flashhead.model.codecs import load_codec
from vividhead.flashhead.train.feeding import ANY_CACHE
from vividhead.flashhead.train.loop import Order, train


@pytest.fixture
def learning(config: FlashHeadConfig) -> FlashHeadConfig:
    """Four steps, the pictures as they are."""
    return replace(
        config,
        data=replace(config.data, workers=0, mirrored=0.0, recoloured=0.0),
        stage1=replace(config.stage1, steps=4, batch=2, warmup_steps=2),
        stage2=replace(config.stage2, steps=2, batch=1, chunks=2, critic_updates=2),
        loop=replace(config.loop, log_every=1, validate_every=4, validation_windows=2, save_every=2, sample_every=4),
    )


def order_of(made: Made, config: FlashHeadConfig, run: Path) -> Order:
    return Order(dataset=str(made.cache.parents[1]), config=config, stage=1, run=run, latents=ANY_CACHE)


def test_both_stages_learn_from_a_cache_with_its_codec(whole: Made, learning: FlashHeadConfig, tmp_path: Path) -> None:
    order = order_of(whole, learning, tmp_path / "run")
    assert train(order).is_done
    assert train(replace(order, stage=2)).is_done
    lines = log(order.run, 1)
    assert all(line["loss"] > 0 for line in lines) and "validation" in lines[-1]
    assert "dmd_gradient" in log(order.run, 2)[0]
    for stage in (1, 2):
        codec = load_codec(learning, order.run / f"stage{stage}" / "checkpoint")
        assert codec_digest(codec) == read_identity(whole.cache).codec_sha256


def test_a_run_on_cached_latents_that_is_stopped_goes_on_with_the_same_updates(
    whole: Made, learning: FlashHeadConfig, tmp_path: Path
) -> None:
    once = order_of(whole, learning, tmp_path / "once")
    train(once)
    parted = replace(once, run=tmp_path / "parted")
    train(replace(parted, config=replace(learning, stage1=replace(learning.stage1, steps=2))))
    assert train(parted).step == 4
    one, other = result(once.run), result(parted.run)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_with_another_codec_than_the_caches_is_refused(
    whole: Made, dataset: Path, learning: FlashHeadConfig, tmp_path: Path
) -> None:
    order = replace(order_of(whole, learning, tmp_path / "run"), dataset=str(dataset))
    made = make_latents(ToMake(dataset=str(dataset), config=learning, on="local", workers=1, random_weights=True))
    load_codec(learning, whole.cache).save(order.stage1_result)  # type: ignore[attr-defined]
    with pytest.raises(DatasetError, match="made by another linear codec .* than this run's"):
        train(replace(order, latents=made.cache))


def test_latents_without_pictures_are_refused_where_pictures_are_to_be_varied(
    whole: Made, learning: FlashHeadConfig, tmp_path: Path
) -> None:
    varying = replace(learning, data=replace(learning.data, mirrored=0.5))
    with pytest.raises(UsageError, match="data.mirrored 0.5 and data.recoloured 0 change pictures"):
        train(order_of(whole, varying, tmp_path / "run"))
