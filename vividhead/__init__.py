"""Raw video in, an auditable talking-head training set out.

from vividhead import curate, open_dataset
curate("videos/", "dataset/")
open_dataset("dataset/").clips()   # a pandas view of every candidate, its scores and why it was kept or not
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vividhead.loader import ShardDataset, WindowPlan
    from vividhead.main_job import curate
    from vividhead.view import Dataset, open_dataset

__version__ = "0.1.0"
__all__ = ["Dataset", "ShardDataset", "WindowPlan", "__version__", "curate", "open_dataset"]

_HOMES = {
    "curate": "vividhead.main_job", "Dataset": "vividhead.view", "open_dataset": "vividhead.view",
    "ShardDataset": "vividhead.loader", "WindowPlan": "vividhead.loader",
}  # fmt: skip


def __getattr__(name: str) -> Any:  # the public names are imported when first used: the command line starts at once
    if name not in _HOMES:
        raise AttributeError(f"module 'vividhead' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
