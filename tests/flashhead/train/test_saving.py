import errno
import math
import os
import pickle
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.distributed.checkpoint.filesystem import FileSystemWriter

from tests.flashhead.stubs import tiny_config
from tests.flashhead.train.learners import Learner, differing
from tests.flashhead.train.processes import PATIENCE_S, started
from vividhead.errors import StorageError, UsageError
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.model.checkpoint import CheckpointError
from vividhead.flashhead.train import saving
from vividhead.flashhead.train.ranks import Place
from vividhead.flashhead.train.saved_files import read_values, write_values
from vividhead.flashhead.train.saving import Checkpoints, newest, prune


def checkpoints(folder: Path, config: FlashHeadConfig | None = None, keep: int = 3) -> Checkpoints:
    return Checkpoints(folder, config or tiny_config(), Place(), keep)


def saved(folder: Path, learner: Learner, step: int = 7, keep: int = 3) -> Path:
    own = {"generator": learner.generator.get_state()}
    checkpoints(folder, learner.config, keep).save(
        step, learner.modules, learner.optimizers, {"position": 12}, own=own, wait=True
    )
    return folder / f"step-{step:08d}"


def resumed(path: Path, learner: Learner) -> saving.Restored:
    restored = checkpoints(path.parent, learner.config).load(path, learner.modules, learner.optimizers)
    assert restored.own is not None
    learner.generator.set_state(restored.own["generator"])
    return restored


def test_a_run_that_is_resumed_goes_on_bit_by_bit(tmp_path: Path) -> None:
    learner = Learner(seed=1)
    learner.update(3)
    at_save = learner.values()
    path = saved(tmp_path, learner)
    learner.update(3)

    other = Learner(seed=2)
    restored = resumed(path, other)
    assert differing(other.values(), at_save) == []
    assert (restored.step, restored.extra) == (7, {"position": 12})
    other.update(3)
    assert differing(other.values(), learner.values()) == []
    assert differing(at_save, learner.values())  # or nothing would have been shown


def test_what_is_saved_is_the_moment_of_the_call_although_training_goes_on(tmp_path: Path) -> None:
    learner = Learner(seed=1)
    learner.update(1)
    at_save = learner.values()
    own = {"generator": learner.generator.get_state()}
    writer = checkpoints(tmp_path)
    writer.save(1, learner.modules, learner.optimizers, {}, own=own)
    learner.update(2)
    writer.wait()
    other = Learner(seed=2)
    resumed(tmp_path / "step-00000001", other)
    assert differing(other.values(), at_save) == []


def test_an_optimizer_that_has_not_stepped_is_not_made_to(tmp_path: Path) -> None:
    learner = Learner(seed=1)
    path = saved(tmp_path, learner)
    assert not learner.optimizer.state
    other = Learner(seed=2)
    other.update(2)
    resumed(path, other)
    assert not other.optimizer.state
    other.update(3)
    learner.update(3)
    assert differing(other.values(), learner.values()) == []


def test_options_of_the_optimizer_come_back_bit_by_bit(tmp_path: Path) -> None:
    learner = Learner(seed=1)
    learner.optimizer.param_groups[0]["lr"] = 1 / 3e5
    path = saved(tmp_path, learner)
    other = Learner(seed=2)
    resumed(path, other)
    plain = [{k: v for k, v in g.items() if k != "params"} for g in learner.optimizer.param_groups]
    assert [{k: v for k, v in g.items() if k != "params"} for g in other.optimizer.param_groups] == plain


def test_a_part_of_what_was_saved_can_be_read(tmp_path: Path) -> None:
    learner = Learner(seed=1)
    learner.update(1)
    path = saved(tmp_path, learner)
    other = Learner(seed=2)
    checkpoints(tmp_path).load(path, {"dit": other.dit}, {})
    assert differing(dict(other.dit.state_dict()), dict(learner.dit.state_dict())) == []
    assert int(other.ema.state_dict()["updates"]) == 0


def hang_while_saving(folder: Path, patch: Callable[[Callable[[], None]], None]) -> None:
    """Save step 1, and hang in step 2 at the moment that `patch` chooses, having told so."""
    torch.set_num_threads(1)
    learner = Learner(seed=1)
    learner.update(1)
    saved(folder, learner, step=1, keep=1)

    def hang() -> None:
        (folder / "now").touch()
        time.sleep(PATIENCE_S)

    patch(hang)
    learner.update(1)
    saved(folder, learner, step=2, keep=1)


def hang_after_writing(hang: Callable[[], None]) -> None:
    write = FileSystemWriter.write_data

    def write_data(self: FileSystemWriter, *arguments: object) -> object:
        written = write(self, *arguments)  # type: ignore[arg-type]
        hang()
        return written

    FileSystemWriter.write_data = write_data  # type: ignore[method-assign,assignment]


def hang_before_renaming(hang: Callable[[], None]) -> None:
    saving.sync_folder = lambda folder: hang()  # type: ignore[attr-defined]


def hang_before_deleting(hang: Callable[[], None]) -> None:
    shutil.rmtree = lambda _: hang()  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("patch", "left"), [(hang_after_writing, 1), (hang_before_renaming, 1), (hang_before_deleting, 2)]
)
def test_a_run_killed_while_it_saves_leaves_whole_checkpoints_alone(
    tmp_path: Path, patch: Callable[[Callable[[], None]], None], left: int
) -> None:
    process = started(hang_while_saving, tmp_path, patch)
    deadline = time.monotonic() + PATIENCE_S
    while not (tmp_path / "now").exists():
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.02)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()

    assert [p.name for p in tmp_path.glob("step-*[0-9]")] == [f"step-{left:08d}"]
    path = newest(tmp_path)
    assert path is not None
    learner, other = Learner(seed=1), Learner(seed=2)
    learner.update(left)
    resumed(path, other)
    assert differing(other.values(), learner.values()) == []
    again = saved(tmp_path, other, step=left + 1)
    assert sorted(p.name for p in tmp_path.glob("step-*")) == [path.name, again.name]


def test_another_model_is_refused_by_the_names_of_what_differs(tmp_path: Path) -> None:
    path = saved(tmp_path, Learner(seed=1))
    config = tiny_config()
    other = replace(config, dit=replace(config.dit, ffn_dim=48), audio=replace(config.audio, cache_s=4.0))
    learner = Learner(seed=1, config=other)
    before = learner.values()
    with pytest.raises(CheckpointError, match=r"of tiny with dit.ffn_dim 32 \(now 48\), audio.cache_s 8.0 \(now 4.0\)"):
        resumed(path, learner)
    assert differing(learner.values(), before) == []


def test_options_that_do_not_shape_the_model_may_change(tmp_path: Path) -> None:
    path = saved(tmp_path, Learner(seed=1))
    config = tiny_config()
    resumed(path, Learner(seed=2, config=replace(config, name="mine", stage1=replace(config.stage1, batch=3))))


def test_another_stage_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, Learner(seed=1))
    learner = Learner(seed=1)
    with pytest.raises(CheckpointError, match="no critic among its modules, dit, ema: it is of another stage"):
        checkpoints(tmp_path).load(path, {"dit": learner.dit, "critic": learner.dit}, {})
    with pytest.raises(CheckpointError, match="no critic among its optimizers, dit"):
        checkpoints(tmp_path).load(path, {"dit": learner.dit}, {"critic": learner.optimizer})


def test_other_parameter_groups_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, Learner(seed=1))
    learner = Learner(seed=1)
    learner.optimizer = torch.optim.AdamW(learner.dit.parameters())
    with pytest.raises(CheckpointError, match="optimizer dit had other parameters"):
        resumed(path, learner)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("__0_0.distcp", "is damaged"),
        (".metadata", "metadata is missing or damaged"),
        ("checkpoint.json", "checkpoint.json or the tensors beside it are damaged"),
        ("rank-00000.safetensors", "rank-00000.json or the tensors beside it are damaged"),
    ],
)
def test_a_file_cut_short_is_named(tmp_path: Path, name: str, text: str) -> None:
    learner = Learner(seed=1)
    learner.update(1)
    path = saved(tmp_path, learner)
    content = (path / name).read_bytes()
    (path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=text):
        resumed(path, learner)


def test_a_folder_that_is_no_checkpoint_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint of training: checkpoint.json is missing"):
        resumed(tmp_path, Learner(seed=1))


class Touch:
    """What a foreign pickle may do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_foreign_table_of_contents_runs_no_code(tmp_path: Path) -> None:
    learner = Learner(seed=1)
    path = saved(tmp_path / "run", learner)
    content = pickle.dumps(Touch(tmp_path / "run_by_pickle"))
    pickle.loads(content)  # noqa: S301 - made above
    assert (tmp_path / "run_by_pickle").exists()  # it would
    (tmp_path / "run_by_pickle").unlink()
    (path / ".metadata").write_bytes(content)
    with pytest.raises(CheckpointError, match="which no checkpoint of training does"):
        resumed(path, learner)
    assert not (tmp_path / "run_by_pickle").exists()


def test_only_the_newest_checkpoints_stay(tmp_path: Path) -> None:
    learner = Learner(seed=1)
    for step in (1, 5, 9, 20):
        saved(tmp_path, learner, step, keep=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000009", "step-00000020"]
    with pytest.raises(UsageError, match="at least 1"):
        prune(tmp_path, 0)


def test_the_newest_is_a_whole_one_with_the_highest_step(tmp_path: Path) -> None:
    assert newest(tmp_path / "none") is None
    for name in ("step-00000002", "step-100000000", "step-00000900", "step-200000000.part", "step-x", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "step-300000000").touch()
    assert newest(tmp_path) == tmp_path / "step-100000000"
    assert checkpoints(tmp_path).newest() == tmp_path / "step-100000000"


def test_a_step_that_is_there_already_is_left_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    learner = Learner(seed=1)
    path = saved(tmp_path, learner)
    before = {p.name: p.stat().st_mtime_ns for p in path.iterdir()}
    saved(tmp_path, learner)
    assert {p.name: p.stat().st_mtime_ns for p in path.iterdir()} == before
    assert "is there already" in caplog.text


def test_a_disk_that_is_full_in_the_background_is_told_at_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    learner, writer = Learner(seed=1), checkpoints(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(FileSystemWriter, "write_data", full)
        writer.save(1, learner.modules, learner.optimizers, {})
        with pytest.raises(StorageError, match="the disk is full"):
            writer.wait()
    assert newest(tmp_path) is None
    writer.save(1, learner.modules, learner.optimizers, {}, wait=True)
    assert newest(tmp_path) == tmp_path / "step-00000001"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write .*file"):
        saved(tmp_path / "file", Learner(seed=1))


def test_values_come_back_as_they_were(tmp_path: Path) -> None:
    one = torch.tensor(2)
    values = {
        "numbers": [0.1, 1 / 3, math.inf, -0.0, 2**60, True, None], "nested": {"text": "ä", "empty": []},
        "tensors": {"half": torch.arange(3, dtype=torch.bfloat16), "state": torch.Generator().get_state(), "one": one},
    }  # fmt: skip
    write_values(tmp_path, "values", values)
    back = read_values(tmp_path, "values")
    assert {k: back[k] for k in ("numbers", "nested")} == {k: values[k] for k in ("numbers", "nested")}
    assert math.copysign(1, back["numbers"][3]) == -1
    assert back["tensors"].keys() == values["tensors"].keys()  # type: ignore[attr-defined]
    for name, tensor in values["tensors"].items():  # type: ignore[attr-defined]
        assert back["tensors"][name].dtype == tensor.dtype
        assert torch.equal(back["tensors"][name], tensor)


@pytest.mark.parametrize("value", [{"a": {1, 2}}, {"a": {1: 2}}, {"a": object()}])
def test_what_is_neither_plain_nor_a_tensor_is_refused(tmp_path: Path, value: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="a"):
        write_values(tmp_path, "values", value)
