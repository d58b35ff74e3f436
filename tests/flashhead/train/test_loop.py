"""The training loop on a tiny dataset: the same updates whether stopped or not, and what it leaves."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.flashhead.train.tiny_runs import log, result, saved, tiny
from vividhead.errors import UsageError, VividHeadError
from vividhead.flashhead.config import FlashHeadConfig, load_config
from vividhead.flashhead.evaluate.held_out_talks import held_out_clips
from vividhead.flashhead.generate.talk_file import read_provenance
from vividhead.flashhead.model.flashhead import load_flashhead
from vividhead.flashhead.train import loop, updates
from vividhead.flashhead.train.feeding import datasets
from vividhead.flashhead.train.loop import Order, train
from vividhead.flashhead.train.saving import Checkpoints
from vividhead.flashhead.train.validation import Validation


def test_a_run_that_is_stopped_and_goes_on_makes_the_same_updates(dataset: Path, tmp_path: Path) -> None:
    config = tiny(tmp_path, steps=4)
    once = Order(dataset=str(dataset), config=config, stage=1, run=tmp_path / "once")
    assert train(once).is_done
    parted = replace(once, run=tmp_path / "parted")
    short = replace(config, stage1=replace(config.stage1, steps=3))
    train(replace(parted, config=short))
    ended = train(parted)
    assert (ended.step, ended.is_done) == (4, True)
    one, other = result(tmp_path / "once"), result(tmp_path / "parted")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert [line["step"] for line in log(tmp_path / "parted", 1)] == [1, 2, 3, 4]


def test_stage_one_leaves_a_log_a_sample_and_a_model_that_speaks(dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(Order(dataset=str(dataset), config=tiny(tmp_path), stage=1, run=run))
    lines = log(run, 1)
    assert {"loss", "velocity", "face", "temporal", "gradient_norm", "samples_per_s"} <= lines[0].keys()
    assert {"validation", "validation_misheard", "codec_psnr_db"} <= lines[-1].keys()
    said = read_provenance(run / "stage1" / "samples" / "step-00000004.mp4")
    assert said is not None
    assert said.model == "tiny"
    model = load_flashhead(run / "stage1" / "checkpoint", device="cpu")
    assert model.config.dit.layers == 1
    assert not model.random_weights


def test_stage_two_begins_with_what_stage_one_left(dataset: Path, tmp_path: Path) -> None:
    order = Order(dataset=str(dataset), config=tiny(tmp_path), stage=1, run=tmp_path / "run")
    with pytest.raises(UsageError, match="finish --stage 1 first"):
        train(replace(order, stage=2))
    train(order)
    before = result(order.run)
    assert train(replace(order, stage=2)).steps == 2
    assert any(not torch.equal(before[name], value) for name, value in result(order.run, 2).items())
    lines = log(order.run, 2)
    assert [line["step"] for line in lines] == [1, 2]
    known = {"loss", "regression", "dmd_gradient", "gradient_norm", "critic", "critic_gradient_norm", "skipped", "mfu"}
    assert all(known <= line.keys() for line in lines)
    assert any(name.startswith("critic_t") for name in lines[0])
    assert any("seam_psnr_db" in line for line in lines)
    read = [json.loads(path.read_text())["extra"]["data"]["position"] for path in saved(order.run, 2)]
    assert read == [4]  # two batches of one clip in each step


def order_of(dataset: Path, config: FlashHeadConfig, run: Path) -> Order:
    """With the folders that a run has."""
    for stage in (1, 2):
        (run / f"stage{stage}").mkdir()
    return Order(dataset=str(dataset), config=config, stage=1, run=run)


def test_no_held_out_clip_is_learned_from(dataset: Path, tmp_path: Path) -> None:
    config = tiny(tmp_path)
    order = order_of(dataset, config, tmp_path)
    training, held = datasets(order)
    assert held is not None
    assert set(held.clip_ids).isdisjoint(training.clip_ids)
    assert len(held.clip_ids) == 1
    assert len(training.clip_ids) == 5


def test_both_stages_hold_out_the_same_clips(dataset: Path, tmp_path: Path) -> None:
    config = tiny(tmp_path)
    config = replace(config, stage2=replace(config.stage2, chunks=4))  # which fewer clips are long enough for
    order = order_of(dataset, config, tmp_path)
    (_, first), (training, second) = datasets(order), datasets(replace(order, stage=2))
    assert first is not None and second is not None
    assert first.clip_ids == second.clip_ids == tuple(held_out_clips(str(dataset), config))
    assert set(second.clip_ids).isdisjoint(training.clip_ids)


def test_updates_without_a_finite_gradient_are_given_up_after_so_many(dataset: Path, tmp_path: Path) -> None:
    config = tiny(tmp_path, steps=10, face_weight=100.0)
    config = replace(config, loop=replace(config.loop, most_nonfinite=2))
    order = Order(dataset=str(dataset), config=config, stage=1, run=tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "fresh", lambda config, seed: _spoilt(config, seed))
        with pytest.raises(VividHeadError, match="3 updates in a row had no finite gradient"):
            train(order)


def test_how_many_failed_in_a_row_is_known_after_a_new_start(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms = iter([1.0, float("nan"), float("nan"), float("nan")])
    monkeypatch.setattr(updates, "clipped_norm", lambda parameters, most: next(norms))
    config = tiny(tmp_path, steps=4, save_every=1)
    config = replace(config, loop=replace(config.loop, most_nonfinite=2))
    order = Order(dataset=str(dataset), config=config, stage=1, run=tmp_path / "run")
    train(replace(order, config=replace(config, stage1=replace(config.stage1, steps=3))))
    with pytest.raises(VividHeadError, match="3 updates in a row had no finite gradient"):
        train(order)


@pytest.mark.parametrize(("rank", "own", "skipped"), [(0, {"n_skipped": 2}, 5), (1, {"n_skipped": 2}, 2), (1, None, 0)])
def test_each_rank_knows_how_many_windows_it_could_not_read(
    rank: int, own: dict[str, int] | None, skipped: int
) -> None:
    """The first rank's count comes with the position; another's is its own, or none after a change of ranks."""
    saved_: dict[str, Any] = {}
    training = SimpleNamespace(n_skipped=2, state_dict=lambda: {"n_skipped": 5})
    training.load_state_dict = lambda state: setattr(training, "n_skipped", state["n_skipped"])
    stage: Any = SimpleNamespace(
        modules={}, optimizers={}, patience={}, around=SimpleNamespace(place=SimpleNamespace(is_first=rank == 0))
    )
    checkpoints: Any = SimpleNamespace(
        save=lambda step, modules, optimizers, extra, own: saved_.update(extra=extra, own=own),
        newest=lambda: Path("step-00000003"),
        load=lambda *_: SimpleNamespace(step=3, extra=saved_["extra"], own=own),
    )
    loop._save(checkpoints, stage, training, 3)  # type: ignore[arg-type]
    assert saved_["own"] == {"n_skipped": 2}
    assert loop._resumed(checkpoints, stage, training) == 3  # type: ignore[arg-type]
    assert training.n_skipped == skipped


def test_a_fault_leaves_no_checkpoint_half_written(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    honest_update, honest_wait = updates.Stage1.update, Checkpoints.wait

    def update(stage: updates.Stage1, following: updates.Next, step: int) -> updates.Figures:
        if step == 2:
            happened.append("fault")
            raise VividHeadError("in the middle of training")
        return honest_update(stage, following, step)

    def wait(checkpoints: Checkpoints) -> None:
        happened.append("waited")
        honest_wait(checkpoints)

    monkeypatch.setattr(updates.Stage1, "update", update)
    monkeypatch.setattr(Checkpoints, "wait", wait)
    order = Order(dataset=str(dataset), config=tiny(tmp_path), stage=1, run=tmp_path / "run")
    with pytest.raises(VividHeadError, match="in the middle"):
        train(order)
    assert happened[-2:] == ["fault", "waited"]
    assert [path.name for path in (order.run / "stage1" / "checkpoints").iterdir()] == ["step-00000002"]


def test_parameters_of_one_process_alone_cannot_be_spread(dataset: Path, tmp_path: Path) -> None:
    order = Order(dataset=str(dataset), config=tiny(tmp_path), stage=1, run=tmp_path / "run", shard=True)
    with pytest.raises(UsageError, match="--shard spreads parameters over ranks, and this process is alone"):
        train(order)
    assert not order.run.exists()


def _spoilt(config: FlashHeadConfig, seed: int) -> Any:
    from vividhead.flashhead.train.begin import fresh

    dit = fresh(config, seed)
    torch.nn.init.constant_(dit.head.head.bias, float("nan"))
    return dit


def test_an_update_without_a_finite_gradient_is_skipped_and_counted_and_leaves_no_trace(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms = iter([1.0, float("nan"), 1.0, float("inf")])
    monkeypatch.setattr(updates, "clipped_norm", lambda parameters, most: next(norms))
    run = tmp_path / "run"
    config = tiny(tmp_path, steps=4, save_every=1)
    halfway = replace(config, stage1=replace(config.stage1, steps=2))
    train(Order(dataset=str(dataset), config=halfway, stage=1, run=run))
    first, second = (read_tensors(run, step) for step in (1, 2))
    assert all(torch.equal(first[name], value) for name, value in second.items() if name.startswith("ema/"))
    assert int(second["ema/updates"]) == 1
    train(Order(dataset=str(dataset), config=config, stage=1, run=run))
    assert [line["skipped"] for line in log(run, 1)] == [0, 1, 1, 2]  # also over a new start
    assert [line["gradient_norm"] for line in log(run, 1)] == [1.0, None, 1.0, None]


def read_tensors(run: Path, step: int) -> dict[str, Tensor]:
    """What a checkpoint holds of the average."""
    from torch.distributed.checkpoint.state_dict_loader import load

    from vividhead.flashhead.train.saved_files import TensorReader

    reader = TensorReader(run / "stage1" / "checkpoints" / f"step-{step:08d}")
    state = {
        name: torch.zeros(about.size, dtype=about.properties.dtype)
        for name, about in reader.tensors.items() if name.startswith("ema/")
    }  # fmt: skip
    load(state, storage_reader=reader, no_dist=True)
    return state


@pytest.mark.parametrize("asked_at", [2, 3, 4])
def test_a_run_that_is_stopped_saves_its_last_step_once(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked_at: int
) -> None:
    steps: list[int] = []

    def save(self: Checkpoints, step: int, *rest: Any, **options: Any) -> None:
        steps.append(step)

    monkeypatch.setattr(Checkpoints, "save", save)
    run = tmp_path / "run"

    def told(step: int, *_: Any) -> None:
        if step == asked_at:
            (run / "stage1" / "stop").touch()

    ended = train(Order(dataset=str(dataset), config=tiny(tmp_path, steps=4), stage=1, run=run), told)
    assert (ended.step, ended.is_done) == (asked_at, asked_at == 4)
    assert steps == {2: [2], 3: [2, 3], 4: [2, 4]}[asked_at]
    assert (run / "stage1" / "checkpoint" / "Model_Tiny").exists() == ended.is_done


def test_a_run_is_of_one_configuration(dataset: Path, tmp_path: Path) -> None:
    config = tiny(tmp_path, steps=1)
    order = Order(dataset=str(dataset), config=config, stage=1, run=tmp_path / "run")
    train(order)
    assert load_config(str(order.run / "tiny.toml")) == config
    for stage in (1, 2):
        with pytest.raises(UsageError, match="is a run of tiny .*train other in another folder, with --out"):
            train(replace(order, config=replace(config, name="other"), stage=stage))


def test_validation_computes_in_the_precision_that_training_does(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parameters that travel in bfloat16 cannot be multiplied with what autocast has not made so."""
    found: list[bool] = []

    def judged(self: Validation, dit: object) -> dict[str, float]:
        found.append(torch.is_autocast_enabled("cpu"))
        return {"validation": 1.0}

    monkeypatch.setattr(Validation, "__call__", judged)
    monkeypatch.setattr(updates.Surroundings, "compute", torch.bfloat16)
    order = Order(dataset=str(dataset), config=tiny(tmp_path, steps=1), stage=1, run=tmp_path / "run")
    assert train(order).is_done
    assert found == [True]
