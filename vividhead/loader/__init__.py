"""From the shards of a dataset to batches of training windows: `ShardDataset`.

manifest ─ select ─▶ Chosen ─ order ─▶ Window ─ members, reader ─▶ Sample ─▶ Batch
                                ▲
                seed, plan, position (all that a resumed run must know)
"""

from vividhead.loader.dataset import ShardDataset
from vividhead.loader.plan import WindowPlan
from vividhead.loader.sample import Batch, Sample, batched
from vividhead.loader.windows import LoaderState

__all__ = ["Batch", "LoaderState", "Sample", "ShardDataset", "WindowPlan", "batched"]
