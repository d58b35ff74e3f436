"""`vividhead demo`: footage with known truth, the main job on it, and what to try next."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vividhead.audit.account import SourceAccount, account, funnel
from vividhead.errors import DatasetError, UsageError
from vividhead.faces import hushed
from vividhead.main_job import curate
from vividhead.progress import Progress
from vividhead.view import open_dataset

if TYPE_CHECKING:
    from vividhead.testing import DemoSource


def demo(out: Path, *, on: str, workers: int | None, address: str | None, progress: Progress) -> Iterator[str]:
    """Make the footage in `out/footage`, curate it into `out/dataset`, and yield lines to show."""
    try:
        from vividhead.testing import make_demo_footage
    except ModuleNotFoundError as fault:
        raise UsageError(f"the demo needs {fault.name}: pip install 'vividhead[demo]'") from fault
    footage, dataset = out / "footage", out / "dataset"
    if out.is_dir() and any(out.iterdir()) and not footage.is_dir():
        raise DatasetError(f"{out} is not empty and holds no demo; choose a new folder")
    yield f"making footage in {footage} …"
    with hushed():
        made = make_demo_footage(footage, workers=workers or os.cpu_count() or 1)
    yield f"{len(made)} files; curating on {on} …"
    curate(footage, dataset, on=on, workers=workers, address=address, progress=progress)
    found = account(open_dataset(dataset))
    yield ""
    yield funnel(found)
    yield ""
    became = {Path(source.uri).name: source for source in found.sources}
    right = 0
    yield f"{'source':<28}{'made to be':<12}{'became':<12}because"
    for source in made:
        got = became[source.path.name]
        right += as_intended(source, got)
        yield f"{source.path.name:<28}{source.expect:<12}{got.outcome:<12}{next(iter(got.reasons), '')}"
    yield f"{right} of {len(made)} became what they were made to be, for the reason they were made with"
    yield ""
    yield "Try next:"
    yield f"  vividhead status {dataset} --json          # every source, clip and reason"
    yield f"  vividhead curate {footage} --out {dataset} --filters strict   # new thresholds, no recompute"
    yield f"  vividhead explain {dataset} late_sound.mp4@3   # why this second was dropped, and what would keep it"
    yield f"  tar tf {dataset}/shards/train-000000.tar"
    yield f"  vividhead train {dataset} --stage 1        # a small FlashHead that learns to talk, here, in 15 minutes"
    yield "  vividhead curate YOUR_FOOTAGE --out YOUR_DATASET"


def as_intended(made: "DemoSource", got: SourceAccount) -> bool:
    """Did the footage become what it was made to be, and for the one reason it was given?"""
    because = not made.because or any(code.startswith(tuple(made.because)) for code in got.reasons)
    return got.outcome == made.expect and because
