"""What training is said to cost: counted from shapes, on the stages' own steps, with and without the codec."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from tests.flashhead.stubs import tiny_config
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.model.flops import counted_flops, forward_pass
from vividhead.flashhead.train import bench
from vividhead.flashhead.train.begin import fresh
from vividhead.flashhead.train.bench import Trial, bench_train, pictures_feed, ready_feed, table
from vividhead.flashhead.train.ranks import Place
from vividhead.flashhead.train.updates import Stage1, Stage2, Surroundings


def small(recompute: bool = False) -> FlashHeadConfig:
    config = tiny_config(side_px=32)
    return replace(
        config,
        stage1=replace(config.stage1, batch=2),
        stage2=replace(config.stage2, batch=1, chunks=3, critic_updates=2),
        loop=replace(config.loop, recompute_blocks=recompute),
    )


def around(trial: Trial) -> Surroundings:
    codec, _ = bench._parts(trial)
    return Surroundings(config=trial.config, place=Place(), device=torch.device("cpu"), seed=0, codec=codec)


class Calls(nn.Module):
    """A network that counts how often it is called, with and without a gradient."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.without, self.learning = inner, 0, 0

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        learns = torch.is_grad_enabled() and any(p.requires_grad for p in self.inner.parameters())
        self.learning += learns
        self.without += not learns
        out: torch.Tensor = self.inner(*inputs)
        return out


def test_the_passes_of_stage_two_are_those_that_it_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Surroundings, "ready", lambda self, dit: Calls(dit))
    trial = Trial(config=small(), stage=2, latents=True)
    stage = Stage2(around(trial), *(fresh(trial.config, 0) for _ in range(3)))
    feed = ready_feed(trial, *bench._parts(trial))
    networks = stage._networks
    generator, teacher, fake = networks.generator, networks.teacher, networks.fake
    assert isinstance(generator, Calls) and isinstance(teacher, Calls) and isinstance(fake, Calls)
    for step in range(4):
        for calls in (generator, teacher, fake):
            calls.without = calls.learning = 0
        stage.update(feed, step)
        passes = generator.without + 2 * teacher.without + fake.without  # the teacher sees each window twice
        passes += 3 * (generator.learning + fake.learning)
        # The fake score is asked once for the generator, where its answer takes no gradient.
        assert stage.forward_passes(step) == passes


@pytest.mark.parametrize("recompute", [False, True])
def test_three_forward_passes_are_what_an_update_costs(recompute: bool) -> None:
    """Up to what no formula counts alike: attention's backward pass, and the first layer's, which needs no inputs'."""
    config = small(recompute)
    deep = replace(config.dit, dim=96, ffn_dim=384, heads=4, layers=6)  # so that blocks are the most of it
    trial = Trial(config=replace(config, dit=deep), latents=True)
    stage, feed = Stage1(around(trial), fresh(trial.config, 0)), ready_feed(trial, *bench._parts(trial))
    once = forward_pass(trial.config)
    said = trial.batch * (stage.forward_passes(0) * once.flops + recompute * once.blocks_flops)
    windows = feed()
    counted = counted_flops(lambda: stage.update(lambda: windows, 0))
    assert counted == pytest.approx(said, rel=0.1)


@pytest.mark.parametrize("stage", [1, 2])
def test_both_feeds_give_windows_of_one_shape(stage: int) -> None:
    trial = Trial(config=small(), stage=stage)
    encoded, ready = (make(trial, *bench._parts(trial))() for make in (pictures_feed, ready_feed))
    for name in ("latents_BKCTHW", "context_BKFWLC", "reference_BCTHW"):
        assert getattr(encoded, name).shape == getattr(ready, name).shape
        assert getattr(encoded, name).dtype == getattr(ready, name).dtype
    assert encoded.latents_BKCTHW.shape[:2] == ((2, 1) if stage == 1 else (1, 3))
    if stage == 1:
        assert encoded.face_BKTHW is not None and ready.face_BKTHW is not None
        assert encoded.face_BKTHW.shape == ready.face_BKTHW.shape
    else:
        assert encoded.portrait_B3HW is not None and ready.portrait_B3HW is not None
        assert encoded.portrait_B3HW.shape == ready.portrait_B3HW.shape


@pytest.fixture(scope="module", params=[(1, False), (1, True), (2, False)], ids=["one", "ready", "two"])
def figures(request: pytest.FixtureRequest) -> dict[str, Any]:
    stage, latents = request.param
    return bench_train(Trial(config=small(recompute=True), stage=stage, steps=2, latents=latents))


def test_figures_say_what_was_measured_and_agree_with_each_other(figures: dict[str, Any]) -> None:
    assert json.loads(json.dumps(figures)) == figures
    assert (figures["model"], figures["random_weights"], figures["compute"]) == ("tiny", True, "float32")
    assert figures["hfu"] >= figures["mfu"] > 0
    assert figures["mfu"] == pytest.approx(figures["model_tflop_per_s"] / figures["matmul_tflop_per_s"], abs=0.01)
    if figures["stage"] == 1:
        samples = 3 * figures["forward_tflop_per_sample"] * figures["samples_per_s"]
        assert figures["model_tflop_per_s"] == pytest.approx(samples, rel=0.1)
    assert 0 < figures["before_updates"] < 1
    assert "mfu_of_vendors" not in figures


def test_the_table_holds_every_figure_a_reader_looks_for(figures: dict[str, Any]) -> None:
    text = table(figures)
    for said in (f"stage {figures['stage']}", "samples/s", "MFU", "HFU", "peak memory", figures["measured"]):
        assert said in text
    assert ("latents ready" in text) == figures["latents"]
