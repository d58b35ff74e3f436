"""Checkpoints that training goes on from, bit by bit: whole under their name, or not there.

    step-00001000/              appears by rename, after the parts of all ranks are on the disk
      checkpoint.json           step, configuration, names of what it holds, parameter groups, `extra`
      checkpoint.safetensors    the tensors in `extra`
      rank-00000.json …         `own` of each rank, and its tensors, likewise
      __0_0.distcp … .metadata  modules and optimizers, by torch.distributed.checkpoint
    step-00001100.part/         being written, or left by a run that was killed

Nothing is unpickled but torch's table of contents, `.metadata`, and that by a reader that makes nothing but torch's
own records of tensors. torch promises no format across its versions: what is to last is exported (`export_dit`).
"""

import logging
import re
import shutil
import warnings
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner, DefaultSavePlanner
from torch.distributed.checkpoint.state_dict import get_model_state_dict, set_model_state_dict
from torch.distributed.checkpoint.state_dict_loader import load as read_tensors
from torch.distributed.checkpoint.state_dict_saver import async_save
from torch.optim import Optimizer

from vividhead.errors import UsageError
from vividhead.flashhead.config import FlashHeadConfig
from vividhead.flashhead.model.checkpoint import CheckpointError
from vividhead.flashhead.train.optimizer_state import Group, groups_of, restore_optimizer, targets, tensors_of
from vividhead.flashhead.train.ranks import Place, from_first, together
from vividhead.flashhead.train.saved_files import TensorReader, read_values, write_values
from vividhead.ledger import storage_error, sync_folder
from vividhead.plain import to_plain

logger = logging.getLogger(__name__)
FORMAT = 1
_NAME = re.compile(r"step-(\d{8,})")
_PART = ".part"
_SHARED = "checkpoint"
_MODEL_SECTIONS = ("dit", "codec", "audio", "stream")


class HasState(Protocol):
    """What is saved beside modules: flat tensors by name, such as an Ema's."""

    def state_dict(self) -> Mapping[str, Any]:
        """The tensors themselves, not copies."""

    def load_state_dict(self, state: Mapping[str, Tensor]) -> Any:
        """Take them over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a checkpoint says beside modules and optimizers, which hold theirs already."""

    step: int
    extra: dict[str, Any]
    own: dict[str, Any] | None
    """Of this rank; None where another number of ranks saved it."""


def newest(folder: Path) -> Path | None:
    """The checkpoint with the highest step, or None."""
    return max(_whole(folder), key=_step_of, default=None)


def prune(folder: Path, keep: int) -> None:
    """Delete all but the `keep` newest checkpoints, and what killed runs left of others."""
    if keep < 1:
        raise UsageError(f"{keep} checkpoints to keep: at least 1")
    for path in sorted(_whole(folder), key=_step_of)[:-keep]:
        path.rename(path.with_name(path.name + _PART))  # or a kill would leave half of it under its name
    for left in folder.glob(f"step-*{_PART}"):
        shutil.rmtree(left)


def _whole(folder: Path) -> list[Path]:
    return [path for path in folder.glob("step-*") if _NAME.fullmatch(path.name) and path.is_dir()]


def _step_of(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


class Checkpoints:
    """The checkpoints of one run. All ranks make one and call its methods alike; at the end, or at Ctrl-C, `wait`."""

    def __init__(self, folder: Path, config: FlashHeadConfig, place: Place, keep: int = 3) -> None:
        """`folder` is made at the first save; `keep` checkpoints stay."""
        self.folder, self.keep = folder, keep
        self._config, self._place = config, place
        # Ranks agree about files in a thread, while the main one computes gradients with the group of all.
        self._group = dist.new_group(backend="gloo") if dist.is_initialized() else None
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._pending: Future[None] | None = None

    def newest(self) -> Path | None:
        """The checkpoint with the highest step, or None; the same on all ranks."""
        return from_first(lambda: newest(self.folder), self._group)

    def save(
        self,
        step: int,
        modules: Mapping[str, "nn.Module | HasState"],
        optimizers: Mapping[str, Optimizer],
        extra: Mapping[str, Any],
        *,
        own: Mapping[str, Any] | None = None,
        wait: bool = False,
    ) -> None:
        """Copy everything as it is now, and write it while training goes on; with `wait`, return when it is there.

        `extra` (the first rank's is kept) and `own` (each rank keeps its own, such as `generator.get_state()`): text,
        numbers, None, lists and mappings of these, and tensors. A step that is there already is left as it is. Raises
        StorageError, also for the save before, on all ranks.
        """
        self.wait()
        part = self.folder / f"step-{step:08d}{_PART}"
        if not from_first(lambda: self._begun(part), self._group):
            return
        contents = {
            "format": FORMAT, "step": step, "world": self._place.world, "torch": torch.__version__,
            "config": self._config.name, "model": _model_options(self._config), "modules": sorted(modules),
            "optimizers": {name: groups_of(o, modules) for name, o in optimizers.items()}, "extra": dict(extra),
        }  # fmt: skip
        together(lambda: self._write_values(part, contents, own or {}), self._group)
        tensors = {f"{name}/{key}": value for name, m in modules.items() for key, value in _state(m).items()}
        for name, optimizer in optimizers.items():
            tensors |= tensors_of(name, optimizer, modules)
        assert all(isinstance(value, Tensor) for value in tensors.values()), "anything else would be pickled"
        _single_process_is_fine()
        written = async_save(
            tensors, checkpoint_id=part, process_group=self._group, no_dist=self._group is None,
            planner=DefaultSavePlanner(flatten_state_dict=False),
        )  # fmt: skip
        assert isinstance(written, Future)
        self._pending = self._thread.submit(self._finish, written, part)
        if wait:
            self.wait()

    def wait(self) -> None:
        """Return when the last save is there under its name; raises StorageError where it failed."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def load(
        self, path: Path, modules: Mapping[str, "nn.Module | HasState"], optimizers: Mapping[str, Optimizer]
    ) -> Restored:
        """Give modules and optimizers their saved values; these may be some of those that were saved.

        Any number of ranks may have saved it, replicated or sharded. Raises CheckpointError where it is damaged, of
        another configuration, or without what is asked for; after that the modules' values are worth nothing.
        """
        contents = read_values(path, _SHARED)
        self._check(path, contents, modules, optimizers)
        reader = TensorReader(path)
        state = {name: _state(m) for name, m in modules.items()}
        tensors = {f"{name}/{key}": value for name, flat in state.items() for key, value in flat.items()}
        remembered = {name: targets(name, o, modules, reader.tensors) for name, o in optimizers.items()}
        for kept in remembered.values():
            tensors |= kept
        _single_process_is_fine()
        try:
            read_tensors(
                tensors, storage_reader=reader, process_group=self._group, no_dist=self._group is None,
                planner=DefaultLoadPlanner(flatten_state_dict=False),
            )  # fmt: skip
        except CheckpointException as fault:
            raise CheckpointError(f"{path} is damaged: {_first_of(fault)}") from fault
        for name, module in modules.items():
            if isinstance(module, nn.Module):
                set_model_state_dict(module, state[name])
            else:
                module.load_state_dict(state[name])
        for name, optimizer in optimizers.items():
            groups: list[Group] = contents["optimizers"][name]
            restore_optimizer(path, name, optimizer, modules, groups, remembered[name])
        own = read_values(path, f"rank-{self._place.rank:05d}") if contents["world"] == self._place.world else None
        return Restored(step=contents["step"], extra=contents["extra"], own=own)

    def _begun(self, part: Path) -> bool:
        """Make the folder to write to, or tell that the step is there already."""
        if part.with_suffix("").exists():
            logger.warning("%s is there already and left as it is", part.with_suffix(""))
            return False
        try:
            if part.exists():
                shutil.rmtree(part)
            part.mkdir(parents=True)
        except OSError as fault:
            raise storage_error(fault, part) from fault
        return True

    def _write_values(self, part: Path, contents: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        write_values(part, f"rank-{self._place.rank:05d}", own)
        if self._place.is_first:
            write_values(part, _SHARED, contents)

    def _finish(self, written: "Future[Any]", part: Path) -> None:
        try:
            written.result()
        except CheckpointException as fault:
            cause = _first_of(fault)
            raise storage_error(cause if isinstance(cause, OSError) else OSError(str(cause)), part) from fault
        from_first(lambda: self._appear(part), self._group)

    def _appear(self, part: Path) -> None:
        try:
            sync_folder(part)
            part.rename(part.with_suffix(""))
            sync_folder(self.folder)
            prune(self.folder, self.keep)
        except OSError as fault:
            raise storage_error(fault, part.with_suffix("")) from fault

    def _check(
        self, path: Path, contents: Mapping[str, Any], modules: Mapping[str, Any], optimizers: Mapping[str, Any]
    ) -> None:
        """Is it one that this version wrote, of this model, with what is asked for?"""
        if contents.get("format") != FORMAT:
            raise CheckpointError(f"{path} is of format {contents.get('format')}; this version reads {FORMAT}")
        now, saved = _model_options(self._config), contents["model"]
        differing = [f"{k} {saved.get(k)} (now {v})" for k, v in now.items() if saved.get(k) != v]
        if differing:
            raise CheckpointError(
                f"{path} is of {contents['config']} with {', '.join(differing)}: go on with the configuration that it "
                f"was saved with, or train {self._config.name} in another folder"
            )
        for kind, asked in (("modules", modules), ("optimizers", optimizers)):
            lacking = sorted(asked.keys() - set(contents[kind]))
            if lacking:
                raise CheckpointError(
                    f"{path} has no {', '.join(lacking)} among its {kind}, {', '.join(contents[kind])}: it is of "
                    "another stage"
                )


def _model_options(config: FlashHeadConfig) -> dict[str, Any]:
    """The options that shape the model and what it sees; others may change from one start to the next."""
    sections = {name: to_plain(getattr(config, name)) for name in _MODEL_SECTIONS}
    return {f"{name}.{option}": value for name, section in sections.items() for option, value in section.items()}


def _state(module: "nn.Module | HasState") -> dict[str, Any]:
    return dict(get_model_state_dict(module) if isinstance(module, nn.Module) else module.state_dict())


def _first_of(fault: CheckpointException) -> BaseException:
    """What went wrong on the lowest rank where anything did."""
    cause, _ = fault.failures[min(fault.failures)]
    return cause


def _single_process_is_fine() -> None:
    warnings.filterwarnings("ignore", "torch.distributed is disabled, unavailable or uninitialized", UserWarning)
