"""Windows of a dataset's kept clips in an order that any number of ranks and workers shares: what all readers do alike.

What a window is made of, pictures or cached latents, is its subclass's (`ShardDataset`, flashhead's `LatentDataset`).
"""

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypedDict, TypeVar

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from vividhead.errors import DatasetError, MediaError, UsageError
from vividhead.loader.checks import long_enough, place_among_ranks
from vividhead.loader.folder import Folder
from vividhead.loader.members import check_shards
from vividhead.loader.order import ORDER_VERSION, Chosen, Order, Window, share
from vividhead.loader.plan import WindowPlan
from vividhead.loader.select import check_columns, chosen_rows
from vividhead.loader.skips import SkipLog
from vividhead.loader.split import in_split

if TYPE_CHECKING:
    import pandas
    import pyarrow

MB = 1_000_000
MOST_STAND_INS = 1000
"""So many windows in a row that cannot be read are no single faults: reading is given up."""


class _Sample(Protocol):
    @property
    def stand_in(self) -> bool: ...


class _Batch(Protocol):
    @property
    def stand_in_B(self) -> Tensor: ...


S = TypeVar("S", bound=_Sample)
B = TypeVar("B", bound=_Batch)
Made = TypeVar("Made", covariant=True)


class WindowReader(Protocol[Made]):
    """Makes a window; raises MediaError where its clip is damaged."""

    def sample(self, window: Window, reference_frame: int, position: int, *, stand_in: bool) -> Made:
        """The window with this reference."""


class LoaderState(TypedDict):
    """Where reading stands; plain JSON values."""

    position: int
    n_skipped: int
    order: dict[str, str]


class WindowDataset(IterableDataset[S], Generic[S, B], ABC):
    """The order of windows, each rank's and worker's share of them, resuming, and what stands in for damage."""

    def __init__(
        self,
        path: str | Path,
        plan: WindowPlan,
        members: Sequence[str],
        *,
        seed: int,
        where: "str | Callable[[pandas.DataFrame], pandas.Series[bool]] | None",
        filters: str | None,
        split: str | None = None,
        columns: Sequence[str],
        shuffle_bytes: int | None,
        endless: bool,
        skip_log: str | Path | None,
        rank: int | None,
        world: int | None,
    ) -> None:
        """Choose the clips; `members` are those whose bytes `shuffle_bytes` counts. The rest is as in ShardDataset."""
        super().__init__()
        self.plan, self.seed, self.endless = plan, seed, endless
        self.rank, self.world = place_among_ranks(rank, world)
        if shuffle_bytes is not None and shuffle_bytes < 1:
            raise UsageError(f"shuffle_bytes {shuffle_bytes}: at least 1 is needed, or None for the whole dataset")
        self._folder = Folder(str(path))
        table = self._folder.manifest()
        check_columns(table, columns)
        self._rows, self.n_too_short = long_enough(
            chosen_rows(in_split(self._folder, table, split), where, filters), plan
        )
        check_shards(self._folder, self._rows)
        self._chosen = _chosen(self._rows, members)
        self._order = Order(self._chosen, plan, seed, shuffle_bytes)
        self._shuffle_bytes = shuffle_bytes
        self._skips = SkipLog(None if skip_log is None else Path(skip_log))
        self.position = 0
        """Windows read by all ranks together since the first epoch began."""
        self.n_skipped = 0
        """Windows handed out by this rank that stand in for one that cannot be read."""

    @abstractmethod
    def reader(self) -> WindowReader[S]:
        """A new reader of this dataset's windows, for the process that calls this."""

    @staticmethod
    @abstractmethod
    def batch_of(samples: Sequence[S]) -> B:
        """Windows side by side: the `collate_fn` of a DataLoader."""

    @property
    def where(self) -> str:
        """Folder or address of the dataset."""
        return self._folder.where

    @property
    def n_clips(self) -> int:
        """Clips that are chosen and long enough; `n_too_short` others are chosen but not."""
        return len(self._rows)

    @property
    def clip_ids(self) -> tuple[str, ...]:
        """Their ids, in the manifest's order."""
        return tuple(self._chosen.clip_ids)

    @property
    def n_windows(self) -> int:
        """Windows of an epoch, over all ranks."""
        return self._order.n_windows

    @property
    def epoch(self) -> int:
        """The epoch of the next window."""
        return self.position // self.n_windows

    @property
    def end(self) -> int | None:
        """Position at which iterating ends: that of the next epoch, or none."""
        return None if self.endless else (self.epoch + 1) * self.n_windows

    def __iter__(self) -> Iterator[S]:
        """This rank's windows from `position` on, one by one.

        In a DataLoader of your own the workers share them, each window goes to one; but it cannot tell `position` how
        far it came: use `loader` to be able to resume.
        """
        worker = get_worker_info()
        if worker is not None:
            yield from _Share(self, self.position, self.end, 1)
            return
        first, end = self.position, self.end
        for n_read, sample in enumerate(_Share(self, first, end, 1), 1):
            reached = first + n_read * self.world
            self._handed_out(reached if end is None else min(reached, end), int(sample.stand_in))
            yield sample
        self._ended(end)

    def loader(
        self, batch_size: int, *, workers: int = 0, pin_memory: bool = False, prefetch: int = 2
    ) -> Generator[B, None, None]:
        """Batches of windows from `position` on, which moves on as they are handed out.

        `workers`: processes that decode; 0 decodes here. `prefetch`: batches that each has ready. Without `endless`
        the epoch's last batch may be short, and some ranks have one fewer.
        """
        first, end = self.position, self.end
        mine = DataLoader(
            _Share(self, first, end, batch_size), batch_size, collate_fn=self.batch_of, num_workers=workers,
            pin_memory=pin_memory, prefetch_factor=prefetch if workers else None, worker_init_fn=_deaf_to_signals,
            # The stores' libraries do not survive a fork.
            multiprocessing_context="forkserver" if workers and self._folder.is_remote else None,
        )  # fmt: skip
        for n_batches, batch in enumerate(mine, 1):
            reached = first + n_batches * self.world * batch_size
            self._handed_out(reached if end is None else min(reached, end), int(batch.stand_in_B.sum()))
            yield batch
        self._ended(end)

    def _handed_out(self, position: int, n_skipped: int) -> None:
        self.position = position
        self.n_skipped += n_skipped

    def _ended(self, end: int | None) -> None:
        """An epoch is over for a rank that had one batch fewer, too, or it would never begin the next one."""
        if end is not None:
            self.position = end

    def state_dict(self) -> LoaderState:
        """Where reading stands: after the batches handed out, not those that workers have ready."""
        return {"position": self.position, "n_skipped": self.n_skipped, "order": self._describe()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there; raises DatasetError where the state is of another order, and says what differs."""
        theirs, ours = state["order"], self._describe()
        differing = [f"{k} ({theirs.get(k)}; now {mine})" for k, mine in ours.items() if theirs.get(k) != mine]
        if differing:
            raise DatasetError(
                f"the saved position is of another order of {self._folder.where}: {', '.join(differing)}. Give what it "
                "was saved with, or begin without it"
            )
        self.position, self.n_skipped = int(state["position"]), int(state["n_skipped"])

    def _describe(self) -> dict[str, str]:
        """All that the order depends on."""
        return {
            "version": str(ORDER_VERSION), "seed": str(self.seed), "plan": str(self.plan),
            "shuffle_bytes": str(self._shuffle_bytes), "clips": f"{self.n_clips}, digest {self._chosen.digest}",
        }  # fmt: skip

    def sample_at(self, position: int, reader: WindowReader[S]) -> S:
        """The window at a position, or the next readable one in its place."""
        begin = position - position % self.n_windows
        for hop in range(min(MOST_STAND_INS, self.n_windows)):
            window = self._order.window(begin + (position + hop) % self.n_windows)
            try:
                reference_frame = self._order.reference_frame(window)
                return reader.sample(window, reference_frame, position, stand_in=hop > 0)
            except MediaError as fault:
                last = fault
                if hop == 0:  # the others are noted at their own positions
                    self._skips.note(
                        fault, clip_id=self._chosen.clip_ids[window.clip], start_frame=window.start_frame,
                        epoch=window.epoch, position=position, rank=self.rank,
                    )  # fmt: skip
        raise DatasetError(f"{self._folder.where}: {hop + 1} windows in a row cannot be read, the last as {last}")


def _deaf_to_signals(worker: int) -> None:
    """Ctrl-C and a batch system's SIGTERM reach every process of a run; only the one that reads decides what follows.

    A worker ends when its reader is through with it or is gone.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


class _Share(IterableDataset[S], Generic[S, B]):
    """What one worker of one rank reads, beginning at a position."""

    def __init__(self, dataset: WindowDataset[S, B], first: int, end: int | None, batch_size: int) -> None:
        super().__init__()
        self._dataset, self._first, self._end, self._batch_size = dataset, first, end, batch_size

    def __iter__(self) -> Iterator[S]:
        dataset, worker = self._dataset, get_worker_info()
        positions = share(
            self._first, self._end, rank=dataset.rank, world=dataset.world, batch=self._batch_size,
            worker=worker.id if worker else 0, workers=worker.num_workers if worker else 1,
        )  # fmt: skip
        reader = dataset.reader()
        for position in positions:
            yield dataset.sample_at(position, reader)


def _chosen(rows: "pyarrow.Table", members: Sequence[str]) -> Chosen:
    return Chosen(
        clip_ids=tuple(rows["clip_id"].to_pylist()), shards=tuple(rows["shard"].to_pylist()),
        n_frames_N=np.asarray(rows["n_frames"].to_numpy(), np.int64),
        bytes_N=np.sum([rows[f"{name}_bytes"].to_numpy() for name in members], axis=0, dtype=np.int64),
    )  # fmt: skip
