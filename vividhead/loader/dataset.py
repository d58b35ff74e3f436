"""Training windows straight from the shards of a dataset, in an order that any number of ranks and workers shares."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from vividhead.errors import DatasetError, MediaError, UsageError
from vividhead.loader.checks import check_side, long_enough, packed_side_px, place_among_ranks
from vividhead.loader.folder import Folder
from vividhead.loader.members import check_shards
from vividhead.loader.order import ORDER_VERSION, Chosen, Order, share
from vividhead.loader.plan import WindowPlan
from vividhead.loader.reader import Reader, members_read
from vividhead.loader.sample import Batch, Sample, batched
from vividhead.loader.select import check_columns, chosen_rows
from vividhead.loader.skips import SkipLog

if TYPE_CHECKING:
    import pandas
    import pyarrow

MB = 1_000_000
MOST_STAND_INS = 1000
"""So many windows in a row that cannot be read are no single faults: reading is given up."""


class LoaderState(TypedDict):
    """Where reading stands; plain JSON values."""

    position: int
    n_skipped: int
    order: dict[str, str]


class ShardDataset(IterableDataset[Sample]):
    """The windows of a dataset's kept clips, decoded from its shards.

        dataset = ShardDataset("dataset", WindowPlan(), side_px=512, seed=1, where='"lip_sync.confidence" > 0.7')
        for batch in dataset.loader(batch_size=4, workers=8):   # the rest of this epoch; again: the next one
            ...
            state = dataset.state_dict()

    **Order.** Position p, counted over all epochs, is one window: a pure function of seed, plan, `shuffle_bytes` and
    the chosen clips (`order`). Rank r of R reads every R-th batch, its workers take turns. So after n batches on each
    rank just the first n * R * batch_size positions are read, each once, and that number is the whole state: load it
    with another number of ranks or workers, or another batch size, and reading goes on at exactly that window.

    **Damage.** A member whose sha256 is not the manifest's, or that cannot be decoded, costs its windows: each is
    noted in `skip_log` and counted in `n_skipped`, and the next readable window in the order stands in for it
    (`Sample.stand_in`), so that ranks stay in step and positions keep their meaning.

    **Memory.** Each worker holds at most `shuffle_bytes` of media, or a single clip. More mixes better.
    """

    def __init__(
        self,
        path: str | Path,
        plan: WindowPlan,
        *,
        side_px: int,
        seed: int = 0,
        where: "str | Callable[[pandas.DataFrame], pandas.Series[bool]] | None" = None,
        filters: str | None = None,
        columns: Sequence[str] = (),
        landmarks: bool = False,
        shuffle_bytes: int | None = 256 * MB,
        endless: bool = False,
        skip_log: str | Path | None = None,
        rank: int | None = None,
        world: int | None = None,
    ) -> None:
        """Choose the clips and check all that can be known before the first window is read.

        `path`: the dataset folder, or an address of it such as s3://bucket/dataset. `side_px`: of the square
        pictures, at most as packed. `where`: a condition on the manifest, as DuckDB SQL or a function from its pandas
        frame to one bool a row. `filters`: a policy, applied to the manifest. `columns`: of the manifest, for
        `Sample.about`. `shuffle_bytes`: None mixes the whole dataset and reads each clip anew for each window.
        `endless`: iterate across epochs, so that no rank runs out before another. `rank`, `world`: those of
        torch.distributed unless given. Raises a VividHeadError that says what is wrong.
        """
        super().__init__()
        self.plan, self.seed, self.endless = plan, seed, endless
        self.rank, self.world = place_among_ranks(rank, world)
        if shuffle_bytes is not None and shuffle_bytes < 1:
            raise UsageError(f"shuffle_bytes {shuffle_bytes}: at least 1 is needed, or None for the whole dataset")
        self._folder = Folder(str(path))
        packed_px = packed_side_px(self._folder)
        check_side(side_px, packed_px, self._folder.where)
        table = self._folder.manifest()
        check_columns(table, columns)
        self._rows, self.n_too_short = long_enough(chosen_rows(table, where, filters), plan)
        check_shards(self._folder, self._rows)
        self._chosen = _chosen(self._rows, members_read(landmarks))
        self._order = Order(self._chosen, plan, seed, shuffle_bytes)
        self._shuffle_bytes = shuffle_bytes
        self._reader_options: dict[str, Any] = {
            "side_px": side_px, "packed_side_px": packed_px, "landmarks": landmarks,
            "columns": columns, "limit_bytes": shuffle_bytes or 0,
        }  # fmt: skip
        self._skips = SkipLog(None if skip_log is None else Path(skip_log))
        self.position = 0
        """Windows read by all ranks together since the first epoch began."""
        self.n_skipped = 0
        """Windows handed out by this rank that stand in for one that cannot be read."""

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

    def __iter__(self) -> Iterator[Sample]:
        """This rank's windows from `position` on, one by one.

        In a DataLoader of your own the workers share them, each window goes to one; but it cannot tell `position` how
        far it came: use `loader` to be able to resume.
        """
        worker = get_worker_info()
        if worker is not None:
            yield from _Share(self, self.position, self.end, 1)
            return
        first = self.position
        for n_read, sample in enumerate(_Share(self, first, self.end, 1), 1):
            self._handed_out(first + n_read * self.world, int(sample.stand_in))
            yield sample

    def loader(
        self, batch_size: int, *, workers: int = 0, pin_memory: bool = False, prefetch: int = 2
    ) -> Generator[Batch, None, None]:
        """Batches of windows from `position` on, which moves on as they are handed out.

        `workers`: processes that decode; 0 decodes here. `prefetch`: batches that each has ready. Without `endless`
        the epoch's last batch may be short, and some ranks have one fewer.
        """
        first, end = self.position, self.end
        mine = DataLoader(
            _Share(self, first, end, batch_size), batch_size, collate_fn=batched, num_workers=workers,
            pin_memory=pin_memory, prefetch_factor=prefetch if workers else None,
            # The stores' libraries do not survive a fork.
            multiprocessing_context="forkserver" if workers and self._folder.is_remote else None,
        )  # fmt: skip
        for n_batches, batch in enumerate(mine, 1):
            reached = first + n_batches * self.world * batch_size
            self._handed_out(reached if end is None else min(reached, end), int(batch.stand_in_B.sum()))
            yield batch

    def _handed_out(self, position: int, n_skipped: int) -> None:
        self.position = position
        self.n_skipped += n_skipped

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

    def reader(self) -> Reader:
        """A new reader of this dataset's windows, for the process that calls this."""
        return Reader(self._folder, self._rows, self.plan, **self._reader_options)

    def sample_at(self, position: int, reader: Reader) -> Sample:
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


class _Share(IterableDataset[Sample]):
    """What one worker of one rank reads, beginning at a position."""

    def __init__(self, dataset: ShardDataset, first: int, end: int | None, batch_size: int) -> None:
        super().__init__()
        self._dataset, self._first, self._end, self._batch_size = dataset, first, end, batch_size

    def __iter__(self) -> Iterator[Sample]:
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
