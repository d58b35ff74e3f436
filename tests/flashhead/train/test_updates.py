"""What a step does with networks and batches."""

from dataclasses import replace
from functools import partialmethod
from typing import Any

import pytest
import torch

from tests.flashhead.train.tiny import codec_of, config_of, dit_of, windows_of
from vividhead.errors import VividHeadError
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.model.dit import Block
from vividhead.flashhead.train.ranks import Place
from vividhead.flashhead.train.updates import Patience, Stage1, Stage2, Surroundings


def around(config: FlashHeadConfig) -> Surroundings:
    return Surroundings(config=config, place=Place(), device=torch.device("cpu"), seed=0, codec=codec_of(config))


def second_stage(**options: Any) -> Stage2:
    config = config_of(chunks=2, critic_updates=3, **options)
    return Stage2(around(config), dit_of(config, 1), dit_of(config, 2), dit_of(config, 3))


def test_patience_is_with_updates_in_a_row_and_counts_them_all() -> None:
    patience = Patience(most=2)
    nan, inf = float("nan"), float("inf")
    assert [patience.allows(norm) for norm in (1.0, nan, inf, 0.0, nan, -inf)] == [
        True,
        False,
        False,
        True,
        False,
        False,
    ]
    assert patience.skipped == 4
    with pytest.raises(VividHeadError, match=r"3 updates in a row had no finite gradient \(loop.most_nonfinite = 2\)"):
        patience.allows(nan)


def test_a_step_of_stage_two_takes_a_batch_for_each_update_of_the_fake_score() -> None:
    stage = second_stage()
    taken: list[int] = []

    def following() -> Any:
        taken.append(len(taken))
        return windows_of(stage.around.config, chunks=2, seed=len(taken))

    before = {name: [p.clone() for p in getattr(stage, name).parameters()] for name in ("dit", "teacher", "fake")}
    figures = stage.update(following, 0)
    assert (len(taken), stage.batches) == (3, 3)
    assert {int(state["step"]) for state in stage.optimizers["generator"].state.values()} == {1}
    assert {int(state["step"]) for state in stage.optimizers["fake"].state.values()} == {3}
    moved = {
        name: any(not torch.equal(a, b) for a, b in zip(values, getattr(stage, name).parameters(), strict=True))
        for name, values in before.items()
    }
    assert moved == {"dit": True, "teacher": False, "fake": True}
    assert {"loss", "dmd_gradient", "critic", "critic_gradient_norm"} <= figures.keys()


def test_a_generator_without_a_finite_gradient_is_given_up_though_the_fake_score_learns() -> None:
    """Each network has patience of its own."""
    stage = second_stage()
    stage.patience["generator"].most = 1
    torch.nn.init.constant_(stage.dit.head.head.bias, float("nan"))
    stage.patience["fake"].most = 100
    with pytest.raises(VividHeadError, match="2 updates in a row"):
        for step in range(2):
            stage.update(lambda: windows_of(stage.around.config, chunks=2), step)
    assert int(stage.ema.state_dict()["updates"]) == 0


def test_the_fake_scores_figures_are_means_over_its_updates() -> None:
    stage = second_stage()
    norms = iter([1.0, 2.0, 3.0, 7.0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vividhead.flashhead.train.updates.clipped_norm", lambda parameters, most: next(norms))
        figures = stage.update(lambda: windows_of(stage.around.config, chunks=2), 0)
    assert (figures["gradient_norm"], figures["critic_gradient_norm"]) == (1.0, 4.0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The .grad attribute:UserWarning")  # torch's own
@pytest.mark.parametrize("option", ["compile_blocks", "recompute_blocks"])
def test_compiled_and_recomputed_blocks_learn_the_same(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled but for the last step, machine code, which takes minutes to make."""
    traced = partialmethod(torch.nn.Module.compile, backend="aot_eager")
    monkeypatch.setattr(Block, "compile", traced)
    updated = []
    for on in (False, True):
        config = config_of(chunks=1)
        config = replace(config, loop=replace(config.loop, **{option: on}))
        stage = Stage1(around(config), dit_of(config, 1))
        stage.update(lambda config=config: windows_of(config, chunks=1), 0)  # type: ignore[misc]
        updated.append({name: p.detach() for name, p in stage.dit.named_parameters()})
    assert updated[0].keys() == updated[1].keys()  # also the names are those without a compiler
    for name, value in updated[0].items():
        torch.testing.assert_close(updated[1][name], value, rtol=1e-3, atol=1e-5)


def test_the_rate_rises_over_the_warm_up_and_falls_over_the_last_share_of_the_steps() -> None:
    config = config_of()
    config = replace(config, stage1=replace(config.stage1, steps=10, warmup_steps=4, cooldown=0.5, learning_rate=1e-3))
    stage, windows = Stage1(around(config), dit_of(config, 0)), windows_of(config, rows=1)
    rates = []
    for step in range(10):
        figures = stage.update(lambda: windows, step)
        rates.append(figures["learning_rate"])
        assert stage.optimizers["dit"].param_groups[0]["lr"] == rates[-1]
    assert rates == pytest.approx([rate * 1e-3 for rate in (0.25, 0.5, 0.75, 1, 1, 1, 0.8, 0.6, 0.4, 0.2)])
