"""Training windows straight from the shards of a dataset: pictures and sound, decoded when they are asked for."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vividhead.loader.checks import check_side, packed_side_px
from vividhead.loader.folder import Folder
from vividhead.loader.plan import WindowPlan
from vividhead.loader.reader import Reader, members_read
from vividhead.loader.sample import Batch, Sample, batched
from vividhead.loader.windows import MB, WindowDataset

if TYPE_CHECKING:
    import pandas


class ShardDataset(WindowDataset[Sample, Batch]):
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
        split: str | None = None,
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
        frame to one bool a row. `filters`: a policy, applied to the manifest. `split`: train, val or test, as
        `vividhead split` parted the clips. `columns`: of the manifest, for `Sample.about`. `shuffle_bytes`: None mixes
        the whole dataset and reads each clip anew for each window.
        `endless`: iterate across epochs, so that no rank runs out before another. `rank`, `world`: those of
        torch.distributed unless given. Raises a VividHeadError that says what is wrong.
        """
        packed_px = packed_side_px(Folder(str(path)))
        check_side(side_px, packed_px, str(path))
        super().__init__(
            path, plan, members_read(landmarks), seed=seed, where=where, filters=filters, split=split,
            columns=columns, shuffle_bytes=shuffle_bytes, endless=endless, skip_log=skip_log, rank=rank, world=world,
        )  # fmt: skip
        self._reader_options: dict[str, Any] = {
            "side_px": side_px, "packed_side_px": packed_px, "landmarks": landmarks,
            "columns": columns, "limit_bytes": shuffle_bytes or 0,
        }  # fmt: skip

    def reader(self) -> Reader:
        """A new reader of this dataset's windows, for the process that calls this."""
        return Reader(self._folder, self._rows, self.plan, **self._reader_options)

    @staticmethod
    def batch_of(samples: Sequence[Sample]) -> Batch:
        """Windows side by side."""
        return batched(samples)
